package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

// fromJSON parses values as a server does.
func fromJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	m, err := plain(m)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestChanges(t *testing.T) {
	tests := []struct {
		name, have, want string
		changes          string
	}{
		{"nothing", `{}`, `{}`, ""},
		{"the same", `{"a":{"b":1,"c":[1]}}`, `{"a":{"b":1,"c":[1]}}`, ""},
		{"less is no change", `{"a":{"b":1},"z":2}`, `{"a":{}}`, ""},
		{"new", `{}`, `{"a":{"b":1,"c":"x"}}`, `a.b: 1; a.c: "x"`},
		{"other", `{"a":{"b":1}}`, `{"a":{"b":2}}`, "a.b: 2 (was 1)"},
		{"another type", `{"a":{"b":1}}`, `{"a":"x"}`, `a: "x" (was {"b":1})`},
		{"a map in its place", `{"a":"x"}`, `{"a":{"b":1}}`, `a: {"b":1} (was "x")`},
		{"null", `{"a":1}`, `{"a":null}`, "a: null (was 1)"},
		{"null again", `{"a":null}`, `{"a":null}`, ""},
		{"an empty map is new", `{}`, `{"a":{}}`, "a: {}"},
		{"lists are one value", `{"a":[1,2]}`, `{"a":[1]}`, "a: [1] (was [1,2])"},
	}
	for _, tt := range tests {
		if s := strings.Join(changes(fromJSON(t, tt.have), fromJSON(t, tt.want)), "; "); s != tt.changes {
			t.Errorf("%s: changes = %q, want %q", tt.name, s, tt.changes)
		}
	}
}

// TestPlain has numbers of the types that YAML, Go code and JSON produce.
func TestPlain(t *testing.T) {
	got, err := plain(map[string]any{"int": 1, "float": 2.0, "half": 0.5, "big": 1e21, "list": []any{3, map[string]any{"x": uint8(4)}}})
	want := map[string]any{"int": int64(1), "float": int64(2), "half": 0.5, "big": 1e21, "list": []any{int64(3), map[string]any{"x": int64(4)}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("plain = %#v, %v, want %#v", got, err, want)
	}
	if _, err := plain(map[string]any{"f": func() {}}); err == nil {
		t.Error("a function became a value")
	}
}

// FuzzMerge checks that merging again changes nothing, and that the operands are
// unchanged.
func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"c":2},"d":null}`)
	f.Add(`{"a":1}`, `{"a":{}}`)
	f.Add(`{}`, `{"":{"":[{}]}}`)
	f.Fuzz(func(t *testing.T, base, over string) {
		var b, o map[string]any
		if json.Unmarshal([]byte(base), &b) != nil || json.Unmarshal([]byte(over), &o) != nil {
			return
		}
		b, err := plain(b)
		if err != nil {
			t.Fatal(err)
		}
		if o, err = plain(o); err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%#v %#v", b, o)
		merged := chart.Merge(b, o)
		if left := changes(merged, o); len(left) > 0 {
			t.Errorf("chart.Merge(%s, %s) lacks %v", base, over, left)
		}
		for k := range b {
			if _, kept := merged[k]; !kept {
				t.Errorf("chart.Merge(%s, %s) lost %q", base, over, k)
			}
		}
		if after := fmt.Sprintf("%#v %#v", b, o); after != before {
			t.Errorf("merge changed its operands: %s, were %s", after, before)
		}
	})
}
