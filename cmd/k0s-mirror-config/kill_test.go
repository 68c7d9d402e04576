package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/machine"
)

// TestMain lets the test binary be the program in a process that is killed.
func TestMain(m *testing.M) {
	if args := os.Getenv("MIRROR_CONFIG_TEST_ARGS"); args != "" {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		cli.Main("k0s-mirror-config", run)
	}
	os.Exit(machine.Run(m))
}

// TestKill kills runs that write and remove at random instants. After each, no directory leads
// to a public registry and every file is complete; in the end one run completes all.
func TestKill(t *testing.T) {
	root, ca := newRoot(t, current), testCA(t)
	runs := []string{
		"--mirror https://10.0.0.5:5000 --ca " + ca,
		"--mirror https://10.0.0.6:5000,https://10.0.0.5:5000/p --ca " + ca,
		"--remove",
		"--mirror http://127.0.0.1:5000",
	}
	killed := 0
	for n := range 40 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "MIRROR_CONFIG_TEST_ARGS=--root "+root+" --k0s-version "+current+" "+runs[n%len(runs)])
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(rand.IntN(250))*time.Millisecond, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
			killed++
		} else if err != nil {
			t.Errorf("%s: %v", runs[n%len(runs)], err)
		}
		kill.Stop()
		checkTree(t, root)
		if t.Failed() {
			t.Fatalf("after run %d: %s", n, runs[n%len(runs)])
		}
	}
	t.Logf("%d of 40 runs were killed", killed)
	ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", ca)
	filepath.WalkDir(root+"/etc", func(path string, e fs.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	again := ok(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", ca)
	if len(again.sum.Counts) != 1 || again.sum.Counts[record.StatusUnchanged] == 0 {
		t.Errorf("second run: %s, want all unchanged", again.counts())
	}
}

// small returns a host's tree on a file system of a few kilobytes, or skips the test if none
// can be mounted.
func small(t *testing.T, options string) string {
	t.Helper()
	root := newRoot(t, current)
	etc := filepath.Join(root, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	machine.Tmpfs(t, etc, options)
	return root
}

// TestFullDisk: the error names a file that does not fit, the drop-in is not written while a
// directory is incomplete, and no directory is left incomplete.
func TestFullDisk(t *testing.T) {
	root := small(t, "size=40k")
	o := start(t, root, "", "--mirror", "https://10.0.0.5:5000", "--ca", testCA(t))
	if o.code() != cli.CodeFailed || !errors.Is(o.err, syscall.ENOSPC) || o.sum.Counts[record.StatusFailed] == 0 {
		t.Errorf("code %d, %v, %s, want no space", o.code(), o.err, o.counts())
	}
	if _, err := os.Stat(root + k0s.DropInPath); err == nil {
		t.Error("the drop-in was written")
	}
	if n := checkTree(t, root); n == 0 || n > 10 {
		t.Errorf("%d directories, want some", n)
	}
}

func TestReadOnly(t *testing.T) {
	root := small(t, "")
	args := []string{"--mirror", "https://10.0.0.5:5000"}
	ok(t, root, "", args...)
	if err := syscall.Mount("", root+"/etc", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	ok(t, root, "", args...) // nothing needs writing
	for _, args := range [][]string{{"--mirror", "https://10.0.0.6:5000"}, {"--remove"}} {
		o := start(t, root, "", args...)
		if o.code() != cli.CodeFailed || !errors.Is(o.err, syscall.EROFS) || !strings.Contains(o.stderr, "read-only file system") {
			t.Errorf("%v: code %d, %v, want a read-only file system", args, o.code(), o.err)
		}
	}
	checkTree(t, root)
}
