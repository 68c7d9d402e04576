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

// document parses a text of one YAML document; it returns nil if it is empty.
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
	root := doc.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("line %d: must be keys and values", root.Line)
	}
	return doc, nil
}

// resolve returns the node that an alias refers to, or n itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// checkKeys returns an error that names the first key of spec that is not known here,
// for a k0s.yaml that k0s rejects: k0s starts with no key that it does not know.
func checkKeys(text []byte) error {
	doc, err := document(text)
	if err != nil || doc == nil {
		return err
	}
	spec := child(doc.Content[0], "spec")
	if spec == nil || resolve(spec).Kind != yaml.MappingNode {
		return nil
	}
	spec = resolve(spec)
	for i := 0; i+1 < len(spec.Content); i += 2 {
		key := spec.Content[i]
		if key.ShortTag() != "!!merge" && !slices.Contains(specKeys, key.Value) {
			return fmt.Errorf("line %d: spec.%s: k0s does not know this key and would not start (did you mean spec.%s?)", key.Line, key.Value, nearest.Word(key.Value, specKeys))
		}
	}
	return nil
}
