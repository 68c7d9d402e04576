package chart

import (
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"
)

func table(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMerge(t *testing.T) {
	for _, row := range []struct{ name, base, over, want string }{
		{"tables are merged", "a: {b: 1, c: 2}", "a: {c: 3}", "a: {b: 1, c: 3}"},
		{"lists are replaced", "a: [1, 2]", "a: [3]", "a: [3]"},
		{"a value replaces a table", "a: {b: 1}", "a: x", "a: x"},
		{"a table replaces a value", "a: x", "a: {b: 1}", "a: {b: 1}"},
		{"a null stays", "a: {b: 1}", "a: null", "a: null"},
		{"nothing over something", "a: 1", "", "a: 1"},
		{"something over nothing", "", "a: 1", "a: 1"},
	} {
		base, over := table(t, row.base), table(t, row.over)
		got := Merge(base, over)
		if want := table(t, row.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: Merge(%s, %s) = %v, want %v", row.name, row.base, row.over, got, want)
		}
		if !reflect.DeepEqual(base, table(t, row.base)) {
			t.Errorf("%s: Merge changed its base to %v", row.name, base)
		}
	}
}

// A change of the result does not change the arguments.
func TestMergeCopies(t *testing.T) {
	base, over := table(t, "a: {b: [{c: 1}]}"), table(t, "d: {e: [{f: 1}]}")
	got := Merge(base, over)
	for _, p := range []keyPath{{"a", "b", "[0]", "c"}, {"d", "e", "[0]", "f"}} {
		if err := put(got, p, "changed", nil); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(base, table(t, "a: {b: [{c: 1}]}")) || !reflect.DeepEqual(over, table(t, "d: {e: [{f: 1}]}")) {
		t.Errorf("a change of the result reached %v or %v", base, over)
	}
}

func TestPut(t *testing.T) {
	defaults := "a: {list: [{x: 1, w: {z: 2}}, two]}"
	for _, row := range []struct {
		path keyPath
		want string // "" for an error
	}{
		{keyPath{"b", "c"}, "b: {c: new}"},
		{keyPath{"a", "list", "[0]", "w", "z"}, "a: {list: [{x: 1, w: {z: new}}, two]}"},
		{keyPath{"a", "list", "[1]"}, "a: {list: [{x: 1, w: {z: 2}}, new]}"},
		{keyPath{"a", "list", "[2]"}, ""},
		{keyPath{"a", "list", "[1]", "x"}, ""},
		{keyPath{"a", "none", "[0]"}, "a: {none: {'[0]': new}}"}, // an ordinary key
	} {
		values := map[string]any{}
		err := put(values, row.path, "new", table(t, defaults))
		if row.want == "" {
			if err == nil {
				t.Errorf("put(%v) = nil, want an error", row.path)
			}
			continue
		}
		if want := table(t, row.want); err != nil || !reflect.DeepEqual(values, want) {
			t.Errorf("put(%v) = %v, %v, want %v", row.path, values, err, want)
		}
		if got, ok := lookup(values, row.path); !ok || got != "new" {
			t.Errorf("lookup(%v) = %v, %v, want what was put", row.path, got, ok)
		}
	}
}

func TestPathString(t *testing.T) {
	p := keyPath{"regional", "velero", "initContainers", "[0]", "image"}
	if got, want := p.String(), "regional.velero.initContainers[0].image"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := (keyPath{"a.b", "c"}).String(), `a\.b.c`; got != want {
		t.Errorf("String() = %q, want the syntax of helm --set, %q", got, want)
	}
}
