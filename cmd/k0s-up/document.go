package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"k0rdent-airgap/lib/nearest"
)

// specKeys are the keys of spec in k0s.yaml (k0sproject/k0s,
// pkg/apis/k0s/v1beta1, ClusterSpec), as far as they are known here.
var specKeys = []string{
	"api", "controllerManager", "extensions", "featureGates", "images", "installConfig", "konnectivity",
	"metricsServer", "network", "scheduler", "storage", "telemetry", "workerProfiles",
}

// document parses a text of one YAML document, and returns its table of keys and values;
// nil if it is empty. References ("*", "<<") are replaced by what they refer to, so that
// each value can be changed on its own.
func document(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	doc, next := new(yaml.Node), new(yaml.Node)
	switch err := dec.Decode(doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(next); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, errors.New("more than one document")
	}
	// The decoder refuses a value that contains itself, and too many references.
	if err := doc.Decode(new(any)); err != nil {
		return nil, err
	}
	root := expanded(doc.Content[0])
	switch {
	case isNull(root):
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("line %d: must be keys and values", root.Line)
	}
	doc.Content[0] = root
	return doc, nil
}

// expanded returns a copy of a node without references. A key of a table takes
// precedence over one that is merged into it, and the first of those over the others.
func expanded(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		c := expanded(n.Alias)
		c.HeadComment, c.LineComment, c.FootComment = n.HeadComment, n.LineComment, n.FootComment
		return c
	}
	c := *n
	c.Anchor, c.Content = "", nil
	var merged []*yaml.Node
	for i := 0; i < len(n.Content); i++ {
		if n.Kind != yaml.MappingNode || i%2 == 1 || n.Content[i].ShortTag() != "!!merge" {
			c.Content = append(c.Content, expanded(n.Content[i]))
			continue
		}
		i++ // from the key to its value
		if value := expanded(n.Content[i]); value.Kind == yaml.SequenceNode {
			merged = append(merged, value.Content...)
		} else {
			merged = append(merged, value)
		}
	}
	for _, table := range merged {
		for i := 0; i+1 < len(table.Content); i += 2 {
			if child(&c, table.Content[i].Value) == nil {
				c.Content = append(c.Content, table.Content[i], table.Content[i+1])
			}
		}
	}
	return &c
}

// checkKeys returns an error that names the first key of spec that is not known here,
// for a k0s.yaml that k0s rejects: k0s starts with no key that it does not know.
func checkKeys(text []byte) error {
	doc, err := document(text)
	if err != nil || doc == nil {
		return err
	}
	spec := child(doc.Content[0], "spec")
	if spec == nil || spec.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(spec.Content); i += 2 {
		key := spec.Content[i]
		if !slices.Contains(specKeys, key.Value) {
			return fmt.Errorf("line %d: spec.%s: k0s does not know this key and would not start (did you mean spec.%s?)", key.Line, key.Value, nearest.Word(key.Value, specKeys))
		}
	}
	return nil
}
