package bundle

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
)

// An unreadable directory or file is one error, and the walk continues.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer syscall.Setfsuid(0)
		syscall.Setfsuid(65534)
	}
	dir := writeDir(t, files("a_1.tar", "closed/b_1.tar", "secret_1.tar", "z_1.tar")...)
	for _, name := range []string{"closed", "secret_1.tar"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Join(dir, "closed"), 0o700) // so that it can be removed
	b, err := Open(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var seen, refused []string
	for e, err := range b.Entries(context.Background()) {
		if at, ok := errors.AsType[*EntryError](err); ok && errors.Is(err, fs.ErrPermission) && at.Problem == "permission denied" {
			refused = append(refused, at.Entry)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, e.Path)
	}
	if !slices.Equal(seen, []string{"a_1.tar", "z_1.tar"}) || !slices.Equal(refused, []string{"closed", "secret_1.tar"}) {
		t.Errorf("walked %q, refused %q", seen, refused)
	}
}

func TestHostileDirectory(t *testing.T) {
	for name, plant := range map[string]func(dir string) error{
		"symbolic link":           func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "x_1.tar")) },
		"link to a directory":     func(d string) error { return os.Symlink("/etc", filepath.Join(d, "x")) },
		"link within the tree":    func(d string) error { return os.Symlink("a_1.tar", filepath.Join(d, "x_1.tar")) },
		"named pipe":              func(d string) error { return syscall.Mkfifo(filepath.Join(d, "x_1.tar"), 0o644) },
		"control character":       func(d string) error { return os.WriteFile(filepath.Join(d, "x\x1b_1.tar"), nil, 0o644) },
		"control char. in folder": func(d string) error { return os.Mkdir(filepath.Join(d, "x\n"), 0o755) },
		"socket": func(d string) error {
			l, err := net.Listen("unix", filepath.Join(d, "s"))
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		},
	} {
		dir := writeDir(t, files("a_1.tar")...)
		if err := plant(dir); err != nil {
			t.Fatal(err)
		}
		if all, _, err := list(dir, nil); !errors.Is(err, ErrEntry) || len(all) != 1 {
			t.Errorf("%s: %q, %v, want a_1.tar and an ErrEntry", name, paths(all), err)
		}
	}
}
