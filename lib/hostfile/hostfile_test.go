//go:build linux

package hostfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
)

// names lists a directory, hidden files included.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestPut(t *testing.T) {
	tests := []struct {
		name    string
		before  func(path string) error // nil: there is nothing
		want    string                  // status
		wantErr error
	}{
		{"new, in directories that are missing", nil, record.StatusWritten, nil},
		{"the same already", func(p string) error { return os.WriteFile(p, []byte("content"), 0o640) }, record.StatusUnchanged, nil},
		{"same length", func(p string) error { return os.WriteFile(p, []byte("CONTENT"), 0o640) }, record.StatusWritten, nil},
		{"longer", func(p string) error { return os.WriteFile(p, []byte("content and more"), 0o640) }, record.StatusWritten, nil},
		{"open to more people", func(p string) error { return os.WriteFile(p, []byte("content"), 0o644) }, record.StatusWritten, nil},
		{"link to the same", func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte("content"), 0o640), os.Symlink(p+".real", p))
		}, record.StatusUnchanged, nil},
		{"link to different content", func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte("other"), 0o640), os.Symlink(p+".real", p))
		}, record.StatusFailed, ErrLink},
		{"link to nothing", func(p string) error { return os.Symlink(p+".real", p) }, record.StatusFailed, ErrLink},
		{"directory", func(p string) error { return os.Mkdir(p, 0o755) }, record.StatusFailed, ErrNotRegular},
		{"pipe", func(p string) error { return syscall.Mkfifo(p, 0o640) }, record.StatusFailed, ErrNotRegular},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "new", "dir", "file")
			var before uint64
			if tt.before != nil {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), tt.before(path)); err != nil {
					t.Fatal(err)
				}
				before = inode(t, path)
			}
			plan, planErr := Plan(path, 0o640, []byte("content"))
			if !errors.Is(planErr, tt.wantErr) || (plan.Status == record.StatusPlanned) != (tt.want == record.StatusWritten) {
				t.Errorf("Plan = %q, %v, want what Put does: %q, %v", plan.Status, planErr, tt.want, tt.wantErr)
			}
			r, err := Put(path, 0o640, []byte("content"))
			if r.Status != tt.want || !errors.Is(err, tt.wantErr) {
				t.Fatalf("Put = %q, %v, want %q, %v", r.Status, err, tt.want, tt.wantErr)
			}
			if (tt.want != record.StatusWritten) != (tt.before != nil && inode(t, path) == before) {
				t.Errorf("status %q, but inode was %d and is %d", r.Status, before, inode(t, path))
			}
			if strings.Contains(names(t, filepath.Dir(path)), ".new") {
				t.Errorf("left behind: %s", names(t, filepath.Dir(path)))
			}
			if tt.wantErr != nil {
				if r.Error == "" || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q, want one that names %s, also in the record", err, path)
				}
				return
			}
			want := record.File{
				Path: path, Mode: "0640", Size: 7, Status: tt.want,
				Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("content"))),
			}
			if r != want {
				t.Errorf("record %+v, want %+v", r, want)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v, want 0640", info.Mode(), err)
			}
		})
	}
}

func TestPutViaMakesNoOtherNameInTheDirectory(t *testing.T) {
	root := t.TempDir()
	watched := filepath.Join(root, "containerd.d")
	if err := os.Mkdir(watched, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := createVia(root, filepath.Join(watched, "x.toml"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if got := names(t, watched); got != "" {
		t.Errorf("while it is written, %s is in the directory, want nothing", got)
	}
	if _, err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, watched) + "," + names(t, root); got != "x.toml,containerd.d" {
		t.Errorf("got %s, want x.toml alone", got)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k0s")
	write := func(content string) *File {
		f, err := Create(path, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Abort)
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := write("one")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before Commit: %v, want no file", err)
	}
	if r, err := f.Commit(); err != nil || r.Status != record.StatusWritten || r.Mode != "0755" || r.Size != 3 {
		t.Errorf("Commit = %+v, %v, want it written", r, err)
	}
	at := inode(t, path)
	if r, err := write("one").Commit(); err != nil || r.Status != record.StatusUnchanged || inode(t, path) != at {
		t.Errorf("Commit of the same = %+v, %v, want the old file to stay", r, err)
	}
	f = write("two")
	f.Abort()
	if _, err := f.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Abort = %v, want fs.ErrClosed", err)
	}
	if _, err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Abort = %v, want fs.ErrClosed", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "one" || names(t, dir) != "k0s" {
		t.Errorf("content %q, directory %q, want one file as before", got, names(t, dir))
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{record.StatusRemoved, record.StatusUnchanged} {
		if r, err := Remove(path); err != nil || r.Status != want || r.Path != path {
			t.Errorf("Remove = %+v, %v, want %s", r, err, want)
		}
	}
	full := filepath.Dir(path)
	if err := os.WriteFile(filepath.Join(full, "y"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := Remove(full); err == nil || r.Status != record.StatusFailed {
		t.Errorf("Remove of a full directory = %+v, %v, want it to fail", r, err)
	}
}

// TestMain makes the test binary the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOSTFILE_TEST_WRITE"); path != "" {
		f, err := Create(path, 0o600)
		if err == nil {
			_, err = f.Write(bytes.Repeat([]byte("half"), 1<<16))
		}
		fmt.Println("written", err)
		for { // until the kill
			time.Sleep(time.Hour)
			runtime.KeepAlive(f) // collected, it would be closed, and unlocked
		}
	}
	os.Exit(machine.Run(m))
}

func TestKilledRunIsSweptAndAliveOneIsNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k0s")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOSTFILE_TEST_WRITE="+path)
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var word, result string
	if _, err := fmt.Fscan(stdout, &word, &result); err != nil || result != "<nil>" {
		t.Fatalf("the writing process: %s %s, %v", word, result, err)
	}
	d, err := openDir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	sweep(d, "k0s")
	if got := names(t, dir); !strings.Contains(got, ".new") {
		t.Fatalf("the file of a living process was swept away: %s", got)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("after the kill the file has %d bytes, want the old content", len(got))
	}
	if r, err := Put(path, 0o644, []byte("old")); err != nil || r.Status != record.StatusUnchanged {
		t.Fatalf("Put = %q, %v, want it unchanged", r.Status, err)
	}
	if got := names(t, dir); got != "k0s" {
		t.Errorf("the next run, which changes nothing, left %s, want k0s alone", got)
	}
}

// TestSweepKeepsNamesOfOthers checks that files with similar names are kept.
func TestSweepKeepsNamesOfOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".k0s.1.new", ".k0s.x.new", ".k0s.1.new2", ".k0s.yaml.1.new", "k0s.1.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("k0s.1.new", filepath.Join(dir, ".k0s.2.new")); err != nil {
		t.Fatal(err)
	}
	d, err := openDir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	sweep(d, "k0s")
	if got, want := names(t, dir), ".k0s.1.new2 .k0s.2.new .k0s.x.new .k0s.yaml.1.new k0s.1.new"; got != want {
		t.Errorf("left %q, want %q", got, want)
	}
}

// TestReadDoesNotWait checks that reading a pipe does not block.
func TestReadDoesNotWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !errors.Is(err, ErrNotRegular) {
		t.Errorf("%v, want %v", err, ErrNotRegular)
	}
}

// Readers see one complete content or the other while two writers run.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 300_000)}
	if _, err := Put(path, 0o644, contents[0]); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	for i := range 2 {
		go func() {
			var err error
			for n := 0; n < 40 && err == nil; n++ {
				_, err = Put(path, 0o644, contents[(n+i)%2])
			}
			errs <- err
		}()
	}
	for running := 2; running > 0; {
		select {
		case err := <-errs:
			if err != nil {
				t.Error(err)
			}
			running--
		default:
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
				t.Fatalf("read %d bytes, %v, want one content or the other", len(got), err)
			}
		}
	}
}

func TestFullDiskKeepsTheOldFile(t *testing.T) {
	dir := machine.Tmpfs(t, t.TempDir(), "size=128k")
	path := filepath.Join(dir, "x")
	if _, err := Put(path, 0o644, []byte("old")); err != nil {
		t.Fatal(err)
	}
	r, err := Put(path, 0o644, make([]byte, 1<<20))
	if !errors.Is(err, syscall.ENOSPC) || r.Status != record.StatusFailed || err.Error() != "write "+path+": no space left on device" {
		t.Errorf("Put = %q, %v, want no space, naming %s", r.Status, err, path)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" || names(t, dir) != "x" {
		t.Errorf("content %q, directory %q, want the old file alone", got, names(t, dir))
	}
}

func TestReadOnly(t *testing.T) {
	dir := machine.Tmpfs(t, t.TempDir(), "")
	path := filepath.Join(dir, "x")
	if _, err := Put(path, 0o644, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if r, err := Put(path, 0o644, []byte("old")); err != nil || r.Status != record.StatusUnchanged {
		t.Errorf("Put of the same = %q, %v, want it unchanged: nothing needs writing", r.Status, err)
	}
	if _, err := Put(path, 0o644, []byte("new")); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path+":") {
		t.Errorf("Put = %v, want a read-only file system, naming %s", err, path)
	}
	if _, err := Remove(path); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Remove = %v, want a read-only file system", err)
	}
}
