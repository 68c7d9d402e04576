//go:build linux

package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"k0rdent-airgap/tests/machine"
)

func TestCreateNewReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	var files []*File
	for range 2 {
		f, err := CreateNew(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Abort()
		files = append(files, f)
	}
	files[0].Write([]byte("first"))
	files[1].Write([]byte("second"))
	if r, err := files[1].Commit(); err != nil || r.Status != "written" {
		t.Fatalf("Commit = %+v, %v, want written", r, err)
	}
	if _, err := files[0].Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Commit over a file: %v, want %v", err, fs.ErrExist)
	}
	if text, err := os.ReadFile(path); string(text) != "second" {
		t.Errorf("content %q, %v, want that of the file that came first", text, err)
	}
	if got := names(t, dir); got != "users" {
		t.Errorf("left %s, want users alone", got)
	}
}

func TestOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		machine.Skip(t, "only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "users")
	f, err := Create(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if err := f.Own(-1, 4242); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 0 || s.Gid != 4242 || info.Mode() != 0o640 {
		t.Errorf("owner %d:%d, mode %v, want 0:4242, 0640", s.Uid, s.Gid, info.Mode())
	}
}
