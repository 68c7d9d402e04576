package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What fits on a page can be read at once: lines of a file, of a main.go and of
// a function.
const (
	maxFile     = 300
	maxMain     = 150
	maxFunction = 60
)

// TestSize holds the programs to files that one reads in one go. A longer file
// says in its first comment why it is "one file", and likewise a function. Tests are tables, and as long
// as what they list.
func TestSize(t *testing.T) {
	for _, path := range append(sources(t, "cmd", ".go"), sources(t, "lib", ".go")...) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(text), "\n")
		switch {
		case filepath.Base(path) == "main.go" && lines > maxMain:
			t.Errorf("%s has %d lines, want at most %d", path, lines, maxMain)
		case lines > maxFile && !saysWhy(t, path, text):
			t.Errorf("%s has %d lines, want at most %d, or a first comment that says why it is one file", path, lines, maxFile)
		}
		checkFunctions(t, path, text)
	}
}

// checkFunctions is TestSize for functions: a longer one says in its comment why
// it is "one function".
func checkFunctions(t *testing.T, path string, text []byte) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		if lines > maxFunction && !strings.Contains(strings.Join(strings.Fields(fn.Doc.Text()), " "), "one function") {
			t.Errorf("%s: %s has %d lines, want at most %d, or a comment that says why it is one function", path, fn.Name.Name, lines, maxFunction)
		}
	}
}

// saysWhy reports whether the first comment of a file has a reason for its length.
func saysWhy(t *testing.T, path string, text []byte) bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return len(f.Comments) > 0 && strings.Contains(strings.ToLower(strings.Join(strings.Fields(f.Comments[0].Text()), " ")), "one file")
}
