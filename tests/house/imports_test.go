package house

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

// module is the path that go.mod declares.
var module = strings.TrimSuffix(reflect.TypeFor[goPackage]().PkgPath(), "/tests/house")

// goPackage is what the tests use of `go list -json`.
type goPackage struct {
	ImportPath, Dir, Doc string
	Standard             bool
	Module               *struct{ Path string }
	GoFiles              []string
	Imports, Deps        []string
}

// everything returns the module's packages and all their dependencies, by import path,
// built like the tools. Its tests share one run of go list.
var everything = sync.OnceValues(func() (map[string]goPackage, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Doc,Standard,Module,GoFiles,Imports,Deps", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	packages := make(map[string]goPackage)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages[p.ImportPath] = p
	}
})

// list returns the packages below the given directories of this module, all of
// them if none is given, and everything that they depend on, by import path.
func list(t *testing.T, dirs ...string) map[string]goPackage {
	t.Helper()
	packages, err := everything()
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		return packages
	}
	found := make(map[string]goPackage)
	for path, p := range packages {
		name, mine := ours(path)
		if !mine || !slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(name, dir+"/") }) {
			continue
		}
		for _, needed := range append([]string{path}, p.Deps...) {
			found[needed] = packages[needed]
		}
	}
	return found
}

// ours reports whether an import path is a package of this module, and returns its path
// from the root.
func ours(path string) (string, bool) {
	return strings.CutPrefix(path, module+"/")
}

// room is a row of the table of lib/README.md.
type room struct {
	ours    []string // packages of ours, such as lib/record
	modules []string // modules of others
}

var code = regexp.MustCompile("`([^`]+)`")

// rooms reads the table of lib/README.md: the room, what it imports of ours,
// the modules it uses. The last two cells list their items in backquotes.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "lib/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	items := func(cell string) []string {
		var found []string
		for _, m := range code.FindAllStringSubmatch(cell, -1) {
			found = append(found, m[1])
		}
		return found
	}
	table := make(map[string]room)
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if name := items(cells[min(1, len(cells)-1)]); len(cells) == 6 && len(name) == 1 {
			table[name[0]] = room{ours: items(cells[3]), modules: items(cells[4])}
		}
	}
	return table
}

// TestImports compares each room's imports with its row in lib/README.md,
// which so stays the truth in both directions.
func TestImports(t *testing.T) {
	table := rooms(t)
	packages := list(t, "cmd", "lib")
	for path, p := range packages {
		name, mine := ours(path)
		if !mine {
			continue
		}
		want, found := table[name]
		if !found {
			t.Errorf("%s has no row in the table of lib/README.md", name)
			continue
		}
		var got room
		for _, imported := range p.Imports {
			switch dep := packages[imported]; {
			case dep.Standard:
			case dep.Module.Path == module:
				rel, _ := ours(imported)
				got.ours = append(got.ours, rel)
			default:
				got.modules = append(got.modules, dep.Module.Path)
			}
		}
		compare(t, name+" imports", got.ours, want.ours)
		compare(t, name+" uses", got.modules, want.modules)
		delete(table, name)
	}
	for name := range table {
		t.Errorf("lib/README.md has a row for %s, which is not there", name)
	}
}

// TestNoWayBack checks the order of the rows in lib/README.md: the imports of a room are
// above it, so that the table can be read from the top.
func TestNoWayBack(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "lib/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := rooms(t)
	at := func(name string) int { return bytes.Index(text, []byte("\n| `"+name+"` |")) }
	for name, r := range table {
		for _, below := range r.ours {
			if at(below) > at(name) {
				t.Errorf("the row of %s stands above that of %s, which it imports", name, below)
			}
		}
	}
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	got, want = slices.Compact(got), slices.Compact(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s %q, want %q", what, got, want)
	}
}

// TestLayers checks what the table cannot change: cmd imports lib, tools do not import
// each other, and all of them use registries through lib/client.
func TestLayers(t *testing.T) {
	const client = "github.com/google/go-containerregistry/pkg/v1/remote"
	for path, p := range list(t, "cmd", "lib") {
		name, mine := ours(path)
		if !mine {
			continue
		}
		for _, dep := range p.Deps {
			rel, _ := ours(dep)
			if strings.HasPrefix(rel, "cmd/") && tool(rel) != tool(name) {
				t.Errorf("%s depends on %s; no package depends on a tool", name, rel)
			}
		}
		for _, dep := range p.Imports {
			if strings.HasPrefix(dep+"/", client+"/") && name != "lib/client" {
				t.Errorf("%s imports %s, which belongs to lib/client alone", name, dep)
			}
		}
	}
}

// tool returns the command that a package is part of: cmd/NAME, or "" for none.
func tool(rel string) string {
	parts := strings.SplitN(rel, "/", 3)
	if len(parts) < 2 || parts[0] != "cmd" {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

func TestPackageComments(t *testing.T) {
	for path, p := range list(t) {
		if name, mine := ours(path); mine && len(p.GoFiles) > 0 && !strings.Contains(p.Doc, " ") {
			t.Errorf("%s has no package comment", name)
		}
	}
}
