package machine

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Skip skips a test because this machine lacks a part of it. With CI=true, where
// every part must be there, the test fails: a skip would hide a missing proof.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("required with CI=true: "+format, args...)
	}
	t.Skipf("NOT CHECKED: "+format, args...)
}

// NeedRoot skips a test that cannot do without the rights of root: action says
// what for, as in "give files away".
func NeedRoot(t testing.TB, action string) {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv(inside) != "" { // which has one user alone
		Skip(t, "only root can %s", action)
	}
}

// NeedProgram skips a test where a program that tests/setup.sh installs is missing,
// and returns its path.
func NeedProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, "%s is not installed (tests/setup.sh installs it)", name)
	}
	return path
}

// Tmpfs mounts a file system in memory on dir for the rest of a test and returns dir,
// or skips the test where none can be mounted. options are those of tmpfs(5), as in
// "size=1m".
func Tmpfs(t testing.TB, dir, options string) string {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		Skip(t, "cannot mount a tmpfs, which only root can: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
