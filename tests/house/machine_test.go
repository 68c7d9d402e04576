package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// sources returns the files below a directory whose names end with suffix, by path
// from the root.
func sources(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, suffix) {
			rel, _ := filepath.Rel(root, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// testFiles parses the test files below the directories, by path from the root.
func testFiles(t *testing.T, dirs ...string) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	for _, dir := range dirs {
		for _, path := range sources(t, dir, "_test.go") {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files[path] = f
		}
	}
	return files
}

// TestSkipsAreLoud: a test skips through package machine alone, so that every skip
// has the same words, and is a failure with CI=true. The modules below tests have
// functions of their own for that.
func TestSkipsAreLoud(t *testing.T) {
	for path, f := range testFiles(t, "cmd", "lib", "packaging", "tests") {
		if own(path) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				switch sel.Sel.Name {
				case "Skipf", "SkipNow", "Short":
					t.Errorf("%s: %s is called; use machine.Skip", path, sel.Sel.Name)
				case "Skip":
					if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "machine" {
						t.Errorf("%s: Skip is called; use machine.Skip", path)
					}
				}
			}
			return true
		})
	}
}

// own reports whether a file belongs to a module of its own.
func own(path string) bool {
	for _, dir := range []string{"tests/browser/", "tests/cluster/", "tests/containerd/", "tests/interop/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	return false
}

// TestToolsLeaveTheMachine: the tests of every tool, and of the one library that
// writes files of the host, prove that they changed none of them.
func TestToolsLeaveTheMachine(t *testing.T) {
	guarded := make(map[string]bool)
	for path, f := range testFiles(t, "cmd", "lib") {
		for _, found := range mentions(f, map[string][]string{module + "/tests/machine": {"Run", "AsRoot"}}) {
			guarded[filepath.Dir(path)] = found != ""
		}
	}
	dirs := []string{"lib/hostfile"}
	for _, path := range sources(t, "cmd", "main.go") {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if !guarded[dir] {
			t.Errorf("%s: no TestMain calls machine.Run or machine.AsRoot", dir)
		}
	}
}
