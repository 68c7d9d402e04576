package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
)

// TestSink covers how an existing file can compare with a new one.
func TestSink(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, tt := range map[string]struct {
		old  []byte
		mode os.FileMode
		want string
	}{
		"the same":           {content, 0o755, record.StatusUnchanged},
		"another mode":       {content, 0o644, record.StatusWritten},
		"first byte differs": {append([]byte("x"), content[1:]...), 0o755, record.StatusWritten},
		"last byte differs":  {append(bytes.Clone(content[:len(content)-1]), 'x'), 0o755, record.StatusWritten},
		"longer":             {append(bytes.Clone(content), 'x'), 0o755, record.StatusWritten},
		"shorter":            {content[:len(content)-1], 0o755, record.StatusWritten},
		"empty":              {nil, 0o755, record.StatusWritten},
	} {
		for _, plan := range []bool{true, false} {
			path := filepath.Join(t.TempDir(), "k0s")
			writeFile(t, path, tt.old, tt.mode)
			s := newSink(path, plan, func() error { return nil })
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 300_001) // more than the sink compares at once
				s.Write(rest[:n])
				rest = rest[n:]
			}
			r, err := s.commit()
			want := tt.want
			if plan && want == record.StatusWritten {
				want = record.StatusPlanned
			}
			if err != nil || r.Status != want || r.Digest != digestOf(content) || r.Size != int64(len(content)) || r.Mode != "0755" {
				t.Errorf("%s, plan %v: %+v, %v, want it %s", name, plan, r, err, want)
			}
			now := content
			if plan {
				now = tt.old
			}
			checkFile(t, path, now)
			if got := names(t, filepath.Dir(path)); got != "k0s" {
				t.Errorf("%s: left behind: %s", name, got)
			}
		}
	}
}

// place1 installs a k0s over an existing file.
func place1(t *testing.T, to, version string, flags ...string) (record.File, error) {
	t.Helper()
	path := writeBundle(t, "tar.gz", k0sAt(version, image1(t, version)))
	out, _, err := run1(t, nil, append(flags, "--to", to, path)...)
	all := records(t, out)
	if len(all) != 1 {
		t.Fatalf("records %+v, %v, want one", all, err)
	}
	if (all[0].Status == record.StatusFailed) != (err != nil) || err != nil && !strings.Contains(all[0].Error, err.Error()) {
		t.Errorf("record %+v, error %v: they do not agree", all[0], err)
	}
	return all[0], err
}

// TestRefusals checks what is not replaced without --replace.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		old  []byte
		want string // error; "" for none
	}{
		"older":                           {k0sFor("v1.32.8+k0s.0-rc"), ""},
		"the same version, another build": {append(k0sFor(v133), 0), ""},
		"newer":                           {k0sFor("v1.33.1+k0s.11"), "is k0s v1.33.1+k0s.11, newer than v1.33.1+k0s.10"},
		"no k0s":                          {[]byte("#!/bin/sh\nexit 7\n"), "exists but is not a working k0s binary"},
		"no program":                      {[]byte("notes"), "exists but is not a working k0s binary"},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "k0s")
			writeFile(t, to, tt.old, 0o755)
			for _, plan := range [][]string{{"--plan"}, nil} {
				r, err := place1(t, to, v133, plan...)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v: %+v, %v, want %q", plan, r, err, tt.want)
				}
				if tt.want != "" || plan != nil {
					checkFile(t, to, tt.old)
				}
			}
			if _, err := place1(t, to, v133, "--replace"); err != nil {
				t.Errorf("--replace: %v", err)
			}
			checkFile(t, to, k0sFor(v133))
			if got := names(t, filepath.Dir(to)); got != "k0s" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

// TestRunning covers the ways in which a program can run from the file.
func TestRunning(t *testing.T) {
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		machine.Skip(t, "%v", err)
	}
	to := filepath.Join(t.TempDir(), "k0s")
	writeFile(t, to, sleep, 0o755)
	process := exec.Command(to, "60")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Process.Kill(); process.Wait() })
	if err := os.Link(to, to+".link"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{to, to + ".link"} { // a second name of the same file
		if _, err := place1(t, path, v132); err == nil || !strings.Contains(err.Error(), "in use by process") {
			t.Errorf("%s: %v, want that it runs", path, err)
		}
		checkFile(t, path, sleep)
	}
	if _, err := place1(t, to, v132, "--replace"); err != nil {
		t.Errorf("--replace: %v", err)
	}
	checkFile(t, to, k0sFor(v132))
	// The old file was unlinked and still runs; its service would start the new
	// file next.
	if _, err := place1(t, to, v133); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("replaced under it: %v, want that it runs", err)
	}
	if r, err := place1(t, to, v132); err != nil || r.Status != record.StatusUnchanged {
		t.Errorf("the same: %+v, %v, want it unchanged while k0s runs", r, err)
	}
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	if _, err := place1(t, to, v133); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("removed under it: %v, want that it runs", err)
	}
	if got := names(t, filepath.Dir(to)); got != "k0s.link" {
		t.Errorf("left behind: %s", got)
	}
}

// TestOtherKinds covers what is never replaced.
func TestOtherKinds(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.Mkdir(filepath.Join(dir, "dir"), 0o755),
		os.Symlink("elsewhere", filepath.Join(dir, "dangling")), os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pipe": "not a regular file", "dir": "a directory", "dangling": "a symbolic link", "file/k0s": "not a directory"} {
		if r, err := place1(t, filepath.Join(dir, name), v132, "--replace"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", name, r, err, want)
		}
	}
	if got := names(t, dir); got != "dangling dir file pipe" {
		t.Errorf("directory holds %s", got)
	}
}

// TestNoRoom fills the disk half-way, and expects the old k0s to stay.
func TestNoRoom(t *testing.T) {
	dir := machine.Tmpfs(t, t.TempDir(), "size=8k")
	to := filepath.Join(dir, "k0s")
	writeFile(t, to, k0sFor(v132)[:4096], 0o755)
	_, err := place1(t, to, v133, "--replace")
	if !errors.Is(err, syscall.ENOSPC) || err.Error() != "write "+to+": no space left on device" {
		t.Errorf("%v, want no space and an error about %s", err, to)
	}
	checkFile(t, to, k0sFor(v132)[:4096])
	if got := names(t, dir); got != "k0s" {
		t.Errorf("left behind: %s", got)
	}
}

// TestReadOnly checks that a read-only /usr does not matter if k0s is up to date.
func TestReadOnly(t *testing.T) {
	dir := machine.Tmpfs(t, t.TempDir(), "")
	to := filepath.Join(dir, "k0s")
	writeFile(t, to, k0sFor(v132), 0o755)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if r, err := place1(t, to, v132); err != nil || r.Status != record.StatusUnchanged {
		t.Errorf("the same: %+v, %v, want it unchanged", r, err)
	}
	if _, err := place1(t, to, v133); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), to+": read-only file system") {
		t.Errorf("another: %v, want a read-only file system and an error about %s", err, to)
	}
	_, err := place1(t, filepath.Join(dir, "new", "k0s"), v132)
	if _, isPath := errors.AsType[*fs.PathError](err); !isPath {
		t.Errorf("a new directory: %v, want a path", err)
	}
}
