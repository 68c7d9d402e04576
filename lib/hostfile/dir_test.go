//go:build linux

package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
)

const other = 12345 // a user that is neither root nor runs the test

// owned makes a directory of another user, in which they can do what they like.
func owned(t *testing.T) string {
	t.Helper()
	machine.NeedRoot(t, "give files away")
	dir := filepath.Join(t.TempDir(), "theirs")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, other, other)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Links that another user made, or could have made, in a path or in place of
// the file. Their targets are not changed.
func TestForeignLinks(t *testing.T) {
	for _, c := range []struct {
		name string
		link func(theirs, victim string) (path string, err error)
	}{
		{"the last directory", func(theirs, victim string) (string, error) {
			return theirs + "/k0s/file", errors.Join(os.Symlink(victim, theirs+"/k0s"), os.Lchown(theirs+"/k0s", other, other))
		}},
		{"of root, in a directory of theirs", func(theirs, victim string) (string, error) {
			return theirs + "/k0s/file", os.Symlink(victim, theirs+"/k0s")
		}},
		{"relative", func(theirs, victim string) (string, error) {
			return theirs + "/k0s/file", os.Symlink("../"+filepath.Base(victim), theirs+"/k0s")
		}},
		{"further up, with directories to be made", func(theirs, victim string) (string, error) {
			return theirs + "/k0s/new/dir/file", os.Symlink(victim, theirs+"/k0s")
		}},
		{"two in a row", func(theirs, victim string) (string, error) {
			return theirs + "/a/file", errors.Join(os.Symlink("b", theirs+"/a"), os.Symlink(victim, theirs+"/b"))
		}},
		{"in a directory that everybody may write", func(theirs, victim string) (string, error) {
			open := filepath.Join(filepath.Dir(theirs), "open")
			return open + "/k0s/file", errors.Join(os.Mkdir(open, 0o777), os.Chmod(open, 0o777), os.Symlink(victim, open+"/k0s"))
		}},
		{"of theirs, in a sticky directory", func(theirs, victim string) (string, error) {
			open := filepath.Join(filepath.Dir(theirs), "tmp")
			return open + "/k0s/file", errors.Join(os.Mkdir(open, 0o777), os.Chmod(open, 0o777|fs.ModeSticky),
				os.Symlink(victim, open+"/k0s"), os.Lchown(open+"/k0s", other, other))
		}},
		{"the file", func(theirs, victim string) (string, error) {
			return theirs + "/file", os.Symlink(victim+"/file", theirs+"/file")
		}},
		{"the file, to what it would be", func(theirs, victim string) (string, error) {
			return theirs + "/file", errors.Join(os.WriteFile(victim+"/real", []byte("new"), 0o644), os.Symlink(victim+"/real", theirs+"/file"))
		}},
		{"the file, to nothing", func(theirs, victim string) (string, error) {
			return theirs + "/file", os.Symlink(victim+"/absent", theirs+"/file")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			theirs := owned(t)
			victim := filepath.Join(filepath.Dir(theirs), "victim")
			if err := errors.Join(os.Mkdir(victim, 0o755), os.WriteFile(victim+"/file", []byte("old"), 0o644)); err != nil {
				t.Fatal(err)
			}
			path, err := c.link(theirs, victim)
			if err != nil {
				t.Fatal(err)
			}
			before := names(t, victim)
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, errForeign) && !errors.Is(err, ErrLink) {
					t.Errorf("%s: %v, want it refused", what, err)
				}
				if text, err := os.ReadFile(victim + "/file"); string(text) != "old" || err != nil || names(t, victim) != before {
					t.Errorf("%s: %q, %v, and the directory has %s", what, text, err, names(t, victim))
				}
			}
			_, err = Plan(path, 0o644, []byte("new"))
			if _, e := os.Stat(filepath.Dir(path)); e == nil { // else there is nothing to plan for
				refused("Plan", err)
			}
			_, err = Put(path, 0o644, []byte("new"))
			refused("Put", err)
			f, err := Create(path, 0o644)
			if err == nil {
				f.Write([]byte("new"))
				_, err = f.Commit()
			}
			refused("Create", err)
			if filepath.Dir(path) == theirs {
				return // what has a name there is removed, link or not
			}
			_, err = PutVia(filepath.Dir(path), filepath.Join(filepath.Dir(victim), "mine"), 0o644, []byte("new"))
			refused("PutVia", err)
			refused("MkdirAll", MkdirAll(filepath.Dir(path)))
			if _, e := os.Stat(path); e == nil {
				_, err = Remove(path)
				refused("Remove", err)
			}
		})
	}
}

// Links made by root are followed, and ordinary files in a directory of another
// user are written as usual.
func TestLinksOfRoot(t *testing.T) {
	theirs := owned(t)
	home := filepath.Dir(theirs)
	for _, err := range []error{
		os.Mkdir(home+"/disk", 0o755), os.Symlink("disk", home+"/relative"), os.Symlink(home+"/disk", home+"/absolute"),
		os.Symlink(theirs, home+"/way"), os.Symlink("loop", home+"/loop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/relative/a/b/file", "/absolute/a/file", "/way/k0s/file", "/theirs/file"} {
		for _, want := range []string{record.StatusWritten, record.StatusUnchanged} {
			if r, err := Put(home+path, 0o644, []byte("new")); err != nil || r.Status != want {
				t.Errorf("%s: %s, %v, want %s", path, r.Status, err, want)
			}
		}
	}
	if text, err := os.ReadFile(home + "/disk/a/b/file"); string(text) != "new" || err != nil {
		t.Errorf("through root's link: %q, %v", text, err)
	}
	if _, err := Put(home+"/loop/file", 0o644, nil); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself: %v, want %v", err, unix.ELOOP)
	}
	if _, err := Put(home+"/theirs/file/x", 0o644, nil); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v, want %v", err, unix.ENOTDIR)
	}
}

// A file of another user may change after it was found to be right.
func TestForeignFileIsReplaced(t *testing.T) {
	path := filepath.Join(filepath.Dir(owned(t)), "k0s")
	if err := errors.Join(os.WriteFile(path, []byte("new"), 0o755), os.Chown(path, other, other)); err != nil {
		t.Fatal(err)
	}
	r, err := Put(path, 0o755, []byte("new"))
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || r.Status != record.StatusWritten {
		t.Fatalf("Put = %s, %v, %v, want it written", r.Status, err, statErr)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("the file belongs to %d, want root", uid)
	}
}

// Files are written to the directory that was opened, even if another takes its
// name meanwhile.
func TestDirectoryIsSwapped(t *testing.T) {
	theirs := owned(t)
	victim := filepath.Join(filepath.Dir(theirs), "victim")
	if err := errors.Join(os.Mkdir(victim, 0o755), os.Mkdir(theirs+"/k0s", 0o755)); err != nil {
		t.Fatal(err)
	}
	f, err := Create(theirs+"/k0s/file", 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(theirs+"/k0s", theirs+"/moved"), os.Symlink(victim, theirs+"/k0s")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, victim) + "," + names(t, theirs+"/moved"); got != ",file" {
		t.Errorf("got %s, want the file in the directory that was opened", got)
	}
}

// Directories that can be traversed but not listed, such as /home on some
// hosts.
func TestUnreadableDirectories(t *testing.T) {
	home := t.TempDir()
	if err := errors.Join(os.MkdirAll(home+"/a/b", 0o755), os.Chmod(home+"/a", 0o311)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(home+"/a", 0o755) })
	if r, err := Put(home+"/a/b/file", 0o644, []byte("new")); err != nil || r.Status != record.StatusWritten {
		t.Errorf("%s, %v", r.Status, err)
	}
	if _, err := Put(home+"/a/file", 0o644, []byte("new")); err != nil && os.Geteuid() == 0 {
		t.Error(err)
	}
}
