package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func links(t testing.TB, file string) uint64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}

func TestLock(t *testing.T) {
	reg := newRegistry(t)
	_, err := OpenDisk(reg.dir)
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || inUse.PID != os.Getpid() {
		t.Errorf("second OpenDisk: %v, want an InUseError that names process %d", err, os.Getpid())
	}
	reg.restart() // the lock ends with Close
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDisk(file); err == nil {
		t.Error("a file was opened as a storage")
	}
}

func TestDeleteManifest(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "x")
	reg.pushImage("a", "latest", "x")
	other := reg.pushImage("a", "v2", "y")
	// As a blob a manifest cannot be deleted: its tags would point at nothing.
	reg.want(405, "DELETE", "/v2/a/blobs/"+string(d), nil)
	reg.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	reg.want(404, "DELETE", "/v2/a/manifests/v1", nil)
	reg.want(200, "GET", "/v2/a/manifests/"+string(d), nil)
	reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
	reg.want(404, "DELETE", "/v2/a/manifests/"+string(d), nil)
	for _, target := range []string{"manifests/latest", "manifests/" + string(d), "blobs/" + string(d)} {
		reg.want(404, "GET", "/v2/a/"+target, nil)
	}
	reg.restart()
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v2"]}` {
		t.Errorf("tags after deletion: %s", a.body)
	}
	reg.want(200, "GET", "/v2/a/manifests/"+string(other), nil)
	checkStorage(t, reg.dir)
}

// A link that leads out of the storage must not be followed.
func TestLinkOut(t *testing.T) {
	reg := newRegistry(t)
	reg.pushBlob("a", []byte("x"))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, reg.path(blobPath("a", dig256))); err != nil {
		t.Fatal(err)
	}
	if a := reg.do("GET", "/v2/a/blobs/"+dig256, nil); a.StatusCode != 500 || strings.Contains(a.body, "secret") {
		t.Errorf("GET = %d %s, want a refusal", a.StatusCode, a.body)
	}
}

// BenchmarkPushSmall pushes blobs of the size of a config, several at once;
// each costs its syncs.
func BenchmarkPushSmall(b *testing.B) {
	reg := newRegistry(b)
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			data := fmt.Appendf(nil, "%d", rand.Int63())
			id, err := reg.disk.StartUpload(ctx, session(""), "sha256")
			if err == nil {
				_, err = reg.disk.WriteUpload(ctx, session(id), Part{-1, -1}, strings.NewReader(string(data)))
			}
			if err == nil {
				err = reg.disk.FinishUpload(ctx, session(id), digestBytes("sha256", data))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
