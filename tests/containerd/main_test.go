package containerd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// root is the project, seen from this directory.
const root = "../.."

// tool is the path of a program of the project, or of one that tests/setup.sh
// has made.
func tool(name string) string {
	dir := "bin"
	if strings.HasPrefix(name, "containerd") {
		dir = ".cache/bin"
	}
	path, err := filepath.Abs(filepath.Join(root, dir, name))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// skip skips a test, by name, since a part of it is missing; in CI none may be.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("NOT CHECKED: "+format, args...)
}

// needTool requires a program of the project, or one that tests/setup.sh builds.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(tool(name)); err != nil {
		skip(t, "%v (make build and tests/setup.sh bring it)", err)
	}
}

// needNamespaces requires what workers are made of.
func needNamespaces(t *testing.T) {
	t.Helper()
	for _, p := range []string{"ip", "mount"} {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "%v (tests/setup.sh brings it)", err)
		}
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := probe.Run(); err != nil {
		skip(t, "no network and mount namespaces: %v (needs root)", err)
	}
}

// run runs a program and returns its standard output.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out
}

// writeFiles writes files below a directory, and the directories they are in.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
