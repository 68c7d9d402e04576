package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// frame is the one room that may do what the rest is forbidden: it owns the
// flags, the environment, the terminal and the end of the program.
const frame = "lib/cli"

// forbidden lists what a package outside the frame may not mention, by import
// path: names, or "*" for the whole package. Input and output come to a tool as
// arguments, so that its tests can give it theirs.
var forbidden = map[string]map[string][]string{
	"cmd": {
		"os":  {"Exit", "Args", "Stdin", "Stdout", "Stderr", "Getenv", "LookupEnv", "Environ"},
		"log": {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
		"fmt": {"Print", "Printf", "Println"},
	},
	"lib": {
		"os":                {"Exit", "Args", "Stdin", "Stdout", "Stderr", "Getenv", "LookupEnv", "Environ"},
		"fmt":               {"Print", "Printf", "Println"},
		"log":               {"*"},
		"flag":              {"*"},
		"os/signal":         {"*"},
		"golang.org/x/term": {"*"},
	},
}

func TestForbiddenCalls(t *testing.T) {
	for path, p := range list(t, "cmd", "lib") {
		name, mine := ours(path)
		if !mine || name == frame || strings.HasPrefix(name, frame+"/") {
			continue
		}
		layer, _, _ := strings.Cut(name, "/")
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range mentions(f, forbidden[layer]) {
				t.Errorf("%s: %s belongs to %s alone", filepath.Join(name, file), found, frame)
			}
		}
	}
}

// mentions returns the forbidden names that a file uses.
func mentions(f *ast.File, rules map[string][]string) []string {
	var found []string
	local := make(map[string]string) // the name in this file → import path
	for _, imp := range f.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		local[name] = path
		if names := rules[path]; len(names) == 1 && names[0] == "*" {
			found = append(found, "package "+path)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok {
			for _, name := range rules[local[x.Name]] {
				if name == sel.Sel.Name {
					found = append(found, x.Name+"."+name)
				}
			}
		}
		return true
	})
	return found
}

// TestErrorTypes requires a single way of finding a type of error.
func TestErrorTypes(t *testing.T) {
	once := map[string][]string{"errors": {"As"}}
	for path, p := range list(t) {
		name, mine := ours(path)
		if !mine {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if len(mentions(f, once)) > 0 {
				t.Errorf("%s: errors.As, where all else has errors.AsType", filepath.Join(name, filepath.Base(file)))
			}
		}
	}
}

func TestMentions(t *testing.T) {
	src := "package p\nimport (\"os\"; l \"log\"; \"fmt\")\nfunc f() { os.Exit(1); l.Print(); fmt.Println(); os.Open(\"\") }"
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(mentions(f, forbidden["lib"]), " ")
	if want := "package log os.Exit fmt.Println"; got != want {
		t.Errorf("mentions = %q, want %q", got, want)
	}
}

// TestRecordsAreReadInOnePlace: only lib/pipe reads records, so that no tool
// passes over a bad signature, and an interrupt ends every wait for stdin.
func TestRecordsAreReadInOnePlace(t *testing.T) {
	rules := map[string][]string{module + "/lib/record": {"Read"}}
	var callers []string
	for path, p := range list(t, "cmd", "lib") {
		name, mine := ours(path)
		if !mine {
			continue
		}
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for range mentions(f, rules) {
				callers = append(callers, filepath.Join(name, file))
			}
		}
	}
	if got, want := strings.Join(callers, " "), "lib/pipe/pipe.go"; got != want {
		t.Errorf("record.Read is called in %q, want %q alone", got, want)
	}
}
