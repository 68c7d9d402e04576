package machine

import (
	"os"
	"os/exec"
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

// inside is set in the user namespace of AsRoot.
const inside = "MACHINE_AS_ROOT"

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
