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
	"time"
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
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
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

// What a start must not do is look at everything that is stored.
func TestStartWithManyTags(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("many/tags", "first", "x")
	r, err := reg.disk.repos.acquire(reg.disk, "many/tags")
	if err != nil {
		t.Fatal(err)
	}
	d := r.index.tags["first"]
	for i := range 10000 {
		r.index.apply(change{Put: &Descriptor{Digest: d, MediaType: mediaTypeImage}, Tags: []string{fmt.Sprintf("v%d", i)}})
	}
	if err := reg.disk.replaceIndex(r); err != nil {
		t.Fatal(err)
	}
	reg.disk.repos.release(r)
	reg.stop()
	begin := time.Now()
	reg.start()
	started := time.Since(begin)
	a := reg.want(200, "GET", "/v2/many/tags/manifests/v9999", nil)
	first := time.Since(begin) - started
	t.Logf("start %v, first request %v", started, first)
	if a.Header.Get("Docker-Content-Digest") != string(d) || started > time.Second {
		t.Errorf("start took %v, want well below a second; the first request %v", started, first)
	}
}

// The indexes in memory must stay within their budget, and none that is in use
// may be forgotten.
func TestRepoCache(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v1", "x")
	held, err := reg.disk.repos.acquire(reg.disk, "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		name := fmt.Sprintf("r%d", i)
		reg.pushImage(name, "v1", "x")
		r, err := reg.disk.repos.acquire(reg.disk, name)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 1000 {
			r.index.put(digestOf(j), mediaTypeImage, 1, "")
		}
		reg.disk.repos.release(r)
	}
	if c := &reg.disk.repos; c.cost > indexBudget || len(c.m) != c.idle.Len()+1 || c.idle.Len() == 0 {
		t.Errorf("%d bytes for %d repositories, %d idle, want at most %d", c.cost, len(c.m), c.idle.Len(), indexBudget)
	}
	if again, err := reg.disk.repos.acquire(reg.disk, "a"); again != held || err != nil {
		t.Errorf("a repository in use was forgotten, %v", err)
	}
	reg.want(200, "GET", "/v2/r0/manifests/v1", nil)
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
			id, err := reg.disk.StartUpload(ctx, "a", "sha256")
			if err == nil {
				_, err = reg.disk.WriteUpload(ctx, "a", id, Part{-1, -1}, strings.NewReader(string(data)))
			}
			if err == nil {
				err = reg.disk.FinishUpload(ctx, "a", id, digestBytes("sha256", data))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
