package chart

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Merge returns base with the values of over, as Helm merges values files: tables are
// merged, everything else is replaced. A null is kept; with it, Helm drops a chart's
// default. The arguments are not changed.
func Merge(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	for k, v := range base {
		out[k] = clone(v)
	}
	for k, v := range over {
		below, isTable := out[k].(map[string]any)
		if above, ok := v.(map[string]any); ok && isTable {
			out[k] = Merge(below, above)
			continue
		}
		out[k] = clone(v)
	}
	return out
}

// clone copies tables and lists; other values are immutable.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return Merge(v, nil)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	default:
		return v
	}
}

// A keyPath names a value. An element "[2]" is an item of a list. It is not a string
// since keys may contain dots.
type keyPath []string

// parsePath parses a path whose keys have no dots.
func parsePath(s string) keyPath { return strings.Split(s, ".") }

// String returns the path in the syntax of helm --set.
func (p keyPath) String() string {
	var b strings.Builder
	for _, e := range p {
		if _, isIndex := index(e); !isIndex && b.Len() > 0 {
			b.WriteByte('.')
		}
		if _, isIndex := index(e); isIndex {
			b.WriteString(e)
			continue
		}
		b.WriteString(strings.ReplaceAll(e, ".", `\.`))
	}
	return b.String()
}

// to returns a path below p, in memory of its own.
func (p keyPath) to(elements ...string) keyPath { return append(slices.Clone(p), elements...) }

func item(i int) string { return "[" + strconv.Itoa(i) + "]" }

// index parses an element of item.
func index(element string) (int, bool) {
	inner, ok := strings.CutPrefix(element, "[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(inner, "]"))
	return n, err == nil && n >= 0
}

// lookup returns the value at a path, which may be null, and whether there is one.
func lookup(values map[string]any, p keyPath) (any, bool) {
	var at any = values
	for _, e := range p {
		if list, ok := at.([]any); ok {
			i, ok := index(e)
			if !ok || i >= len(list) {
				return nil, false
			}
			at = list[i]
			continue
		}
		table, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = table[e]; !ok {
			return nil, false
		}
	}
	return at, true
}

// put sets a value, and creates the tables that contain it. Helm replaces lists as a
// whole, so the first value put into a list copies the rest of it from defaults.
func put(values map[string]any, p keyPath, v any, defaults map[string]any) error {
	key, rest := p[0], p[1:]
	if len(rest) == 0 {
		values[key] = v
		return nil
	}
	if byDefault, ok := defaults[key].([]any); ok && !has(values, key) {
		values[key] = clone(byDefault)
	}
	if list, ok := values[key].([]any); ok {
		return putItem(list, rest, v)
	}
	below, ok := values[key].(map[string]any)
	if !ok {
		below = map[string]any{}
		values[key] = below
	}
	byDefault, _ := defaults[key].(map[string]any)
	return put(below, rest, v, byDefault)
}

// putItem sets a value in a list or in one of its items.
func putItem(list []any, p keyPath, v any) error {
	i, ok := index(p[0])
	if !ok || i >= len(list) {
		return fmt.Errorf("no item %s in a list of %d", p[0], len(list))
	}
	if len(p) == 1 {
		list[i] = v
		return nil
	}
	if inner, ok := list[i].([]any); ok {
		return putItem(inner, p[1:], v)
	}
	table, ok := list[i].(map[string]any)
	if !ok {
		return fmt.Errorf("item %s is not a table", p[0])
	}
	return put(table, p[1:], v, table)
}

// join appends a key to a path, with a dot.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
