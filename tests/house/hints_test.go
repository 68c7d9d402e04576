package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestHintsAreKept finds the places where an error is turned into text on its
// way to a person, so that the hint it carries is lost. The fields of a record
// are not among them.
func TestHintsAreKept(t *testing.T) {
	for path, p := range list(t, "cmd") {
		name, mine := ours(path)
		if !mine {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range lostHints(f) {
				t.Errorf("%s:%d: an error becomes text here, and its hint is lost", filepath.Join(name, file), fset.Position(at).Line)
			}
		}
	}
}

// lostHints returns where a message or another error is made of an error's text:
// the error must be passed on itself, to fmt.Errorf with %w.
func lostHints(f *ast.File) (lost []token.Pos) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := called(call)
		switch name {
		case "New", "Warn", "Problem", "Misuse", "Hint", "Errorf":
		case "fail", "warn": // of a value; a function may be handed text
			if _, method := call.Fun.(*ast.SelectorExpr); !method {
				return true
			}
		default:
			return true
		}
		for _, arg := range call.Args {
			inner, isCall := arg.(*ast.CallExpr)
			asText := isCall && called(inner) == "Error" && len(inner.Args) == 0
			dropped := (name == "Errorf" || name == "Misuse") && isError(arg) && !wraps(call)
			if asText || dropped {
				lost = append(lost, arg.Pos())
			}
		}
		return true
	})
	return lost
}

// called returns the name of the function that a call names.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// isError reports whether an expression is called as errors are in this house.
func isError(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "err"
	case *ast.SelectorExpr:
		return e.Sel.Name == "err" || e.Sel.Name == "Err"
	}
	return false
}

// wraps reports whether the format of a call has %w.
func wraps(call *ast.CallExpr) bool {
	format, ok := call.Args[0].(*ast.BasicLit)
	return !ok || strings.Contains(format.Value, "%w")
}

func TestLostHints(t *testing.T) {
	src := `package p
func f() {
	p.Warn("%s", err.Error())
	_ = errors.New(err.Error())
	_ = fmt.Errorf("x: %v", err)
	_ = cli.Misuse("x: %s", e.Err)
	p.Warn("%v", err)
	_ = fmt.Errorf("x: %w", err)
	_ = fmt.Errorf("%w: %v", errBad, name)
	r.Error = err.Error()
}`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if got := lostHints(f); len(got) != 4 {
		t.Errorf("%d places found, want 4", len(got))
	}
}
