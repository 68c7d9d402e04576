package k0s

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// ErrUnbalanced means that a cluster with this k0s.yaml works with one
// controller only. kubelets, konnectivity agents and kube-proxy would know the
// first controller alone; "kubectl logs", webhooks and aggregated APIs would
// fail at every other.
var ErrUnbalanced = errors.New("neither spec.network.nodeLocalLoadBalancing nor spec.api.externalAddress leads to a second controller")

// Balanced reports, as nil or ErrUnbalanced, whether a k0s.yaml lets a cluster
// have several controllers.
func Balanced(config []byte) error {
	var c struct {
		Spec struct {
			API     struct{ ExternalAddress string }
			Network struct{ NodeLocalLoadBalancing struct{ Enabled bool } }
		}
	}
	if err := kyaml.Unmarshal(config, &c); err != nil {
		return err
	}
	if c.Spec.API.ExternalAddress == "" && !c.Spec.Network.NodeLocalLoadBalancing.Enabled {
		return ErrUnbalanced
	}
	return nil
}

// The comments that Shared leaves where another host puts its own values:
// a line "address:", the list "sans:", items of a list that is there, and a
// line "peerAddress:".
const (
	OwnAddress = "# join.sh: address"
	OwnSANs    = "# join.sh: sans"
	OwnItems   = "# join.sh: items of sans"
	OwnPeer    = "# join.sh: peerAddress"
)

// Shared returns a k0s.yaml without what is one controller's own: its
// spec.api.address, the names and addresses in spec.api.sans that are given or
// are that address, and etcd's peerAddress. Comments mark where another
// controller puts its own; without them k0s takes its defaults.
func Shared(config []byte, names ...string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(config, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("must be keys and values")
	}
	api, err := table(doc.Content[0], "spec", "api")
	if err != nil {
		return nil, err
	}
	if n := take(api, "address"); n != nil {
		names = append(names, n.Value)
	}
	marks := []string{OwnAddress}
	if etcd := find(find(find(doc.Content[0], "spec"), "storage"), "etcd"); etcd != nil {
		if peer := take(etcd, "peerAddress"); peer != nil {
			names = append(names, peer.Value)
			mark(etcd, OwnPeer)
		}
	}
	sans := find(api, "sans")
	if sans != nil {
		sans.Content = slices.DeleteFunc(sans.Content, func(n *yaml.Node) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, n.Value) })
		})
	}
	if sans != nil && len(sans.Content) > 0 {
		sans.Style = 0
		sans.Content[0].HeadComment = OwnItems
	} else {
		take(api, "sans")
		marks = append(marks, OwnSANs)
	}
	mark(api, marks...)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// find returns the value of a key, or nil.
func find(table *yaml.Node, key string) *yaml.Node {
	if table == nil || table.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(table.Content); i += 2 {
		if table.Content[i].Value == key {
			return table.Content[i+1]
		}
	}
	return nil
}

// take removes a key and returns its value, or nil.
func take(table *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(table.Content); i += 2 {
		if table.Content[i].Value == key {
			value := table.Content[i+1]
			table.Content = slices.Delete(table.Content, i, i+2)
			return value
		}
	}
	return nil
}

// table returns the table at a path, and makes it where there is none. What
// an alias stands for belongs to other places, too, and is not changed.
func table(at *yaml.Node, path ...string) (*yaml.Node, error) {
	for _, key := range path {
		next := find(at, key)
		switch {
		case next == nil:
			next = &yaml.Node{Kind: yaml.MappingNode}
			at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, next)
		case next.Kind == yaml.ScalarNode && next.Tag == "!!null":
			*next = yaml.Node{Kind: yaml.MappingNode}
		case next.Kind != yaml.MappingNode || next.Anchor != "":
			return nil, fmt.Errorf("line %d: %s: must be keys and values without anchors and aliases", next.Line, strings.Join(path, "."))
		}
		next.Style = 0
		at = next
	}
	return at, nil
}

// mark puts comments before the first key of a table, which gets one if it has
// none: k0s's own default.
func mark(table *yaml.Node, comments ...string) {
	table.Style = 0
	if len(table.Content) == 0 {
		key, value := "port", &yaml.Node{Kind: yaml.ScalarNode, Value: "6443"}
		if comments[0] == OwnPeer {
			key, value = "extraArgs", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		}
		table.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, value}
	}
	key := table.Content[0]
	if key.HeadComment != "" {
		comments = append(comments, key.HeadComment)
	}
	key.HeadComment = strings.Join(comments, "\n")
}
