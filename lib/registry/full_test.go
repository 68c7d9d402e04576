package registry

import (
	"errors"
	"math/rand"
	"os"
	"syscall"
	"testing"
)

// small mounts a file system of a few megabytes, which a test can fill.
func small(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s needs to mount a tmpfs: %v", t.Name(), err)
		}
		t.Skipf("%s SKIPPED: it needs to mount a tmpfs, as root: %v", t.Name(), err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
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
