package registry

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/tests/machine"
)

// small mounts a file system of a few megabytes, which a test can fill.
func small(t *testing.T, size string) string {
	t.Helper()
	return machine.Tmpfs(t, t.TempDir(), "size="+size)
}

func TestFullDisk(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "8m")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	kept := reg.pushImage("a", "v1", "x")
	big := make([]byte, 16<<20)
	rand.New(rand.NewSource(1)).Read(big)
	const answer = `{"errors":[{"code":"UNKNOWN","message":"no space left on the registry's disk"}]}`
	at := reg.begin("a")
	if a := reg.want(507, "PATCH", at, big); a.body != answer {
		t.Errorf("PATCH: %s, want %s", a.body, answer)
	}
	reg.want(404, "GET", at, nil)
	reg.want(507, "POST", "/v2/a/blobs/uploads/?digest="+string(digestBytes("sha256", big)), big)
	if left, _ := os.ReadDir(reg.path(uploadsDir)); len(left) != 0 {
		t.Errorf("left in uploads: %v", left)
	}
	fillDisk(t, reg.path("ballast"))
	m := image(digestBytes("sha256", []byte("{}")), "y")
	reg.want(507, "PUT", "/v2/a/manifests/v2", m, "Content-Type", mediaTypeImage)
	reg.want(404, "GET", "/v2/a/manifests/v2", nil)
	reg.want(200, "GET", "/v2/a/manifests/"+string(kept), nil)
	if err := os.Remove(reg.path("ballast")); err != nil {
		t.Fatal(err)
	}
	reg.want(201, "PUT", "/v2/a/manifests/v2", m, "Content-Type", mediaTypeImage)
	reg.restart()
	reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
	checkStorage(t, reg.dir)
}

// fillDisk writes until nothing more fits.
func fillDisk(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// However many inodes are free when a push fails, the tag that it would replace can
// still be pulled.
func TestFullDiskKeepsTheTag(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "9m,nr_inodes=200")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	kept := reg.pushImage("a", "v1", "x")
	config := reg.pushBlob("a", []byte("{}"))
	reg.restart() // index.json is written
	var fillers []string
	for {
		name := reg.path(fmt.Sprint("inode", len(fillers)))
		if err := os.WriteFile(name, nil, 0o644); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		fillers = append(fillers, name)
	}
	for free := 0; free < len(fillers); free++ {
		m := image(config, "y")
		answer := reg.do("PUT", "/v2/a/manifests/v1", m, "Content-Type", mediaTypeImage)
		if answer.StatusCode == 201 {
			if free == 0 {
				t.Error("a push succeeds with no inode free")
			}
			return
		}
		if got := reg.do("GET", "/v2/a/manifests/v1", nil); got.StatusCode != 200 || got.Header.Get("Docker-Content-Digest") != string(kept) {
			t.Errorf("%d inodes free: the push answers %d, then the tag %d %s", free, answer.StatusCode, got.StatusCode, got.body)
		}
		os.Remove(fillers[free])
	}
	t.Error("no push succeeds")
}

// Without a free byte or inode, and after a kill, the registry starts, serves and
// deletes, and garbage collection makes room.
func TestFullDiskStarts(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "9m,nr_inodes=400")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	reg.pushImage("a", "v1", "x")
	big := make([]byte, 2<<20)
	rand.New(rand.NewSource(1)).Read(big)
	d := reg.pushBlob("gone", big)
	reg.want(202, "DELETE", "/v2/gone/blobs/"+string(d), nil)
	deleted := reg.pushImage("b", "v1", "y")
	for i := 0; ; i++ {
		if err := os.WriteFile(reg.path(fmt.Sprintf("inode%d", i)), nil, 0o644); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	fill, err := os.OpenFile(reg.path("inode0"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := fill.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	fill.Close()
	reg.kill()
	reg.start()
	reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	reg.want(507, "POST", "/v2/a/blobs/uploads/", nil)
	if err := reg.disk.check(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Check = %v", err)
	}
	reg.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	reg.want(202, "DELETE", "/v2/b/manifests/"+string(deleted), nil)
	reg.want(404, "GET", "/v2/b/manifests/v1", nil)
	if a := reg.want(200, "GET", "/v2/b/tags/list", nil); a.body != `{"name":"b","tags":[]}` {
		t.Errorf("tags: %s", a.body)
	}
	if got, err := reg.disk.Collect(t.Context(), true); err != nil || got.Removed != 2 || got.RemovedBytes < 2<<20 || got.Repositories != 1 {
		t.Errorf("Collect = %+v, %v, want 2 MiB removed", got, err)
	}
	reg.restart()
	reg.pushImage("a", "v1", "x")
	reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	checkStorage(t, reg.dir)
}

// A read-only file system is served from; writes are refused.
func TestReadOnly(t *testing.T) {
	dir := small(t, "8m")
	reg := &testRegistry{t: t, dir: dir}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	reg.pushImage("a", "v1", "x")
	reg.stop()
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	reg.start()
	reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	reg.want(200, "GET", "/v2/a/tags/list", nil)
	for _, c := range [][2]string{{"POST", "/v2/a/blobs/uploads/"}, {"DELETE", "/v2/a/manifests/v1"}, {"PUT", "/v2/a/manifests/v2"}} {
		if a := reg.want(405, c[0], c[1], []byte("{}"), "Content-Type", mediaTypeIndex); !strings.Contains(a.body, "read-only") {
			t.Errorf("%s %s: %s", c[0], c[1], a.body)
		}
	}
	if err := reg.disk.Check(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Check = %v", err)
	}
	if s, found := reg.scrubbed(false); s.Bad > 0 || s.Good != 2 {
		t.Errorf("scrub: %+v %q", s, found)
	}
	_, err := OpenDisk(dir)
	if _, inUse := errors.AsType[*InUseError](err); !inUse {
		t.Errorf("second OpenDisk: %v, want an InUseError", err)
	}
	reg.stop()
	remount(0)
	reg.start()
	reg.pushImage("a", "v2", "y")
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
}

// A storage on two file systems is refused at startup.
func TestTwoFileSystems(t *testing.T) {
	dir := small(t, "8m")
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", filepath.Join(dir, "blobs"), "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(filepath.Join(dir, "blobs"), 0)
	if d, err := OpenDisk(dir); !errors.Is(err, ErrTwoFileSystems) {
		if err == nil {
			d.Close()
		}
		t.Errorf("OpenDisk = %v, want it refused", err)
	}
}
