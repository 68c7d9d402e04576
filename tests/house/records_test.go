package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRecordsPage compares k0rdent-records(5), which is what scripts rely on,
// with lib/record: the same kinds, each with the same fields in the same
// order, and an example whose fields exist.
func TestRecordsPage(t *testing.T) {
	want := recordFields(t)
	text, err := os.ReadFile(filepath.Join(root, "man/k0rdent-records.5"))
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, section := range strings.Split(string(text), "\n.Ss ")[1:] {
		section, _, _ = strings.Cut(section, "\n.Sh ")
		kind, body, _ := strings.Cut(section, "\n")
		documented[kind] = true
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^\.It Va (\S+)`).FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, want[kind]) {
			t.Errorf("fields of %s in the page are %q, want %q", kind, got, want[kind])
		}
		checkExample(t, kind, body, want[kind])
	}
	for kind := range want {
		if !documented[kind] {
			t.Errorf("the page has no section for %s records", kind)
		}
	}
}

// checkExample reads the example record of a section.
func checkExample(t *testing.T, kind, body string, fields []string) {
	t.Helper()
	_, example, found := strings.Cut(body, "\n.Bd -literal")
	_, example, _ = strings.Cut(example, "\n")
	example, _, _ = strings.Cut(example, "\n.Ed")
	if !found {
		t.Errorf("%s has no example", kind)
		return
	}
	// In the page a record is broken between fields to fit its width.
	line := strings.ReplaceAll(example, "\n", "")
	if !strings.HasPrefix(line, `{"kind":"`+kind+`",`) {
		t.Errorf("example of %s starts %.30s", kind, line)
	}
	var r map[string]any
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Errorf("example of %s: %v", kind, err)
	}
	delete(r, "kind")
	for name, value := range r {
		names := []string{name}
		inside := func(field string) bool { return strings.HasPrefix(field, name+".") }
		if nested, ok := value.(map[string]any); ok && slices.ContainsFunc(fields, inside) {
			for inner := range nested {
				names = append(names, name+"."+inner)
			}
		}
		for _, n := range names {
			if !slices.Contains(fields, n) {
				t.Errorf("example of %s has a field %s, which such records do not have", kind, n)
			}
		}
	}
}

// recordFields reads the source of lib/record: for each kind the JSON names of
// its struct's fields, a struct within as name.inner after its own name.
func recordFields(t *testing.T) map[string][]string {
	t.Helper()
	structs := make(map[string]*ast.StructType)
	kinds := make(map[string]string) // kind → type
	paths, err := filepath.Glob(filepath.Join(root, "lib/record/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					structs[n.Name.Name] = s
				}
			case *ast.FuncDecl:
				if typ, kind := kindMethod(n); kind != "" {
					kinds[kind] = typ
				}
			}
			return true
		})
	}
	fields := make(map[string][]string)
	for kind, typ := range kinds {
		fields[kind] = jsonNames(structs, structs[typ], "")
	}
	return fields
}

// kindMethod returns the receiver and the result of `func (T) Kind() string {
// return "kind" }`.
func kindMethod(f *ast.FuncDecl) (typ, kind string) {
	if f.Name.Name != "Kind" || f.Recv == nil || len(f.Body.List) != 1 {
		return "", ""
	}
	ret, ok := f.Body.List[0].(*ast.ReturnStmt)
	if !ok {
		return "", ""
	}
	lit, isLit := ret.Results[0].(*ast.BasicLit)
	recv, isIdent := f.Recv.List[0].Type.(*ast.Ident)
	if !isLit || !isIdent {
		return "", ""
	}
	kind, _ = strconv.Unquote(lit.Value)
	return recv.Name, kind
}

func jsonNames(structs map[string]*ast.StructType, s *ast.StructType, prefix string) []string {
	var names []string
	for _, field := range s.Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, _ := strconv.Unquote(field.Tag.Value)
		name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		names = append(names, prefix+name)
		if p, ok := field.Type.(*ast.StarExpr); ok {
			if inner, ok := p.X.(*ast.Ident); ok && structs[inner.Name] != nil {
				names = append(names, jsonNames(structs, structs[inner.Name], prefix+name+".")...)
			}
		}
	}
	return names
}
