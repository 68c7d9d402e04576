package house

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryToolIsDocumented keeps a new tool from arriving without its papers.
// That a tool's flags and its papers agree is checked next to the tool, by
// clitest.Docs; here, that no tool leaves that test out.
func TestEveryToolIsDocumented(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools(t) {
		if !bytes.Contains(readme, []byte("man/"+tool+".")) {
			t.Errorf("README.md has no link to the manual page of %s", tool)
		}
		tests, err := filepath.Glob(filepath.Join(root, "cmd", tool, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !anyContains(t, tests, "clitest.Docs(") {
			t.Errorf("no test of cmd/%s calls clitest.Docs", tool)
		}
	}
}

// TestNoStalePages finds manual pages and completions of tools that are gone.
func TestNoStalePages(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"man/*.[18]", "completions/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		tool, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "_"), ".")
		if _, err := os.Stat(filepath.Join(root, "cmd", tool)); err != nil {
			t.Errorf("%s: there is no tool %s", path, tool)
		}
	}
}

func anyContains(t *testing.T, paths []string, want string) bool {
	t.Helper()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(want)) {
			return true
		}
	}
	return false
}
