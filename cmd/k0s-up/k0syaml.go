// One file: k0s.yaml is read, edited, and compared with what it was.

package main

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// setting is a value to set in k0s.yaml.
type setting struct {
	path  string
	value any  // string, int, bool, or []string
	keep  bool // keep a value that the file already has
}

// merge sets values in a k0s.yaml, which may be empty, and returns the changes, one
// line each. It keeps everything else, including comments and order, and returns the
// same bytes if there is no change. Lists are extended.
func merge(have []byte, settings []setting) (merged []byte, changes []string, err error) {
	doc, err := document(have)
	if err != nil {
		return nil, nil, err
	}
	if doc == nil {
		doc = &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	for _, s := range settings {
		change, err := apply(doc.Content[0], s)
		if err != nil {
			return nil, nil, err
		}
		if change != "" {
			changes = append(changes, change)
		}
	}
	if len(changes) == 0 {
		return have, nil, nil
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, nil, err
	}
	if err := checkPreserved(have, b.Bytes(), settings); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), changes, nil
}

// child returns the value of a key in a table, or nil if there is none.
func child(table *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(table.Content); i += 2 {
		if table.Content[i].Value == key {
			return table.Content[i+1]
		}
	}
	return nil
}

// apply sets one value and returns the change.
func apply(root *yaml.Node, s setting) (string, error) {
	at := root
	keys := strings.Split(s.path, ".")
	for _, key := range keys[:len(keys)-1] {
		next := child(at, key)
		if next == nil || isNull(next) {
			next = &yaml.Node{Kind: yaml.MappingNode}
			put(at, key, next)
		}
		if next.Kind != yaml.MappingNode {
			return "", fmt.Errorf("line %d: %s: %s: must be keys and values", at.Line, s.path, key)
		}
		at = next
	}
	key := keys[len(keys)-1]
	have := child(at, key)
	switch {
	case have == nil || isNull(have):
		put(at, key, encode(s.value))
		return fmt.Sprintf("%s: %s", s.path, text(s.value)), nil
	case reflect.TypeOf(s.value).Kind() == reflect.Slice:
		return extend(have, s)
	case s.keep || same(have, s.value):
		return "", nil
	}
	put(at, key, encode(s.value))
	return fmt.Sprintf("%s: %s (was %s)", s.path, text(s.value), have.Value), nil
}

// extend adds the missing values to a list.
func extend(list *yaml.Node, s setting) (string, error) {
	if list.Kind != yaml.SequenceNode {
		return "", fmt.Errorf("line %d: %s: must be a list", list.Line, s.path)
	}
	var added []string
	for _, want := range s.value.([]string) {
		if !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return n.Value == want }) {
			added = append(added, want)
			list.Content = append(list.Content, encode(want))
		}
	}
	if len(added) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s: add %s", s.path, strings.Join(added, ", ")), nil
}

// put sets a key of a table, and keeps the comments of the old value.
func put(table *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(table.Content); i += 2 {
		if table.Content[i].Value == key {
			value.LineComment, value.FootComment = table.Content[i+1].LineComment, table.Content[i+1].FootComment
			table.Content[i+1] = value
			return
		}
	}
	table.Content = append(table.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	// An empty table may be written as {}.
	table.Style &^= yaml.FlowStyle
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// encode returns the node of a value. Strings are quoted, since k0s reads YAML 1.1,
// in which words such as "no" are not strings.
func encode(value any) *yaml.Node {
	switch v := value.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v, Style: yaml.DoubleQuotedStyle}
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, s := range v {
			n.Content = append(n.Content, encode(s))
		}
		return n
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
	}
}

func text(value any) string {
	if list, ok := value.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(value)
}

// same reports whether k0s would read a node as value.
func same(n *yaml.Node, value any) bool {
	var have any
	if kyaml.Unmarshal([]byte(n.Value), &have) != nil {
		return false
	}
	if s, ok := value.(string); ok {
		return n.Kind == yaml.ScalarNode && n.Value == s
	}
	return n.Kind == yaml.ScalarNode && fmt.Sprint(have) == fmt.Sprint(value)
}

// checkPreserved returns an error if merged, as k0s reads it, lacks anything in have
// other than the settings.
func checkPreserved(have, merged []byte, settings []setting) error {
	var old, now map[string]any
	if err := kyaml.Unmarshal(have, &old); err != nil {
		return err
	}
	if err := kyaml.Unmarshal(merged, &now); err != nil {
		return fmt.Errorf("internal error: cannot read the edited file: %w; please report this", err)
	}
	ours := make(map[string]bool)
	for _, s := range settings {
		ours[s.path] = !s.keep
	}
	if path := lost(old, now, "", ours); path != "" {
		return fmt.Errorf("internal error: editing would change %s; please report this", path)
	}
	return nil
}

// lost returns the path of the first value in old that now lacks or changes.
func lost(old, now map[string]any, at string, ours map[string]bool) string {
	for _, key := range slices.Sorted(maps.Keys(old)) {
		path := strings.TrimPrefix(at+"."+key, ".")
		a, b := old[key], now[key]
		if ours[path] || a == nil {
			continue
		}
		ta, isA := a.(map[string]any)
		tb, isB := b.(map[string]any)
		if isA && isB {
			if p := lost(ta, tb, path, ours); p != "" {
				return p
			}
			continue
		}
		if !reflect.DeepEqual(a, b) {
			return path
		}
	}
	return ""
}
