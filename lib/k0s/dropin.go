package k0s

import (
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// The tables of containerd's configuration with the settings of registries, by
// the major version of containerd.
const (
	plugin1 = "io.containerd.grpc.v1.cri"
	plugin2 = "io.containerd.cri.v1.images"
)

// ReadDropIn parses a drop-in of containerd and returns its table with the
// settings of registries, nil if it has none, or the reason why k0s or its
// containerd does not start with it.
func (v Version) ReadDropIn(content []byte) (plugin map[string]any, reason string) {
	var doc map[string]any
	if err := toml.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Sprintf("containerd cannot read it and does not start: %v", err)
	}
	if err := oldDialect(content); err != nil {
		return nil, fmt.Sprintf("k0s does not start with it: %v", err)
	}
	number, stated := doc["version"]
	plugins, _ := doc["plugins"].(map[string]any)
	old, _ := plugins[plugin1].(map[string]any)
	if v.Containerd() == 1 {
		if stated && number != int64(1) && number != int64(2) {
			return nil, fmt.Sprintf("the containerd 1 of k0s %s does not start with it: it has version = %v", v, number)
		}
		return old, ""
	}
	switch {
	case stated && number != int64(3):
		return nil, fmt.Sprintf("k0s %s does not start with it: it has version = %v, not 3", v, number)
	case old != nil:
		return nil, fmt.Sprintf("k0s %s does not start with it: it has a table of containerd 1, plugins.%q", v, plugin1)
	}
	plugin, _ = plugins[plugin2].(map[string]any)
	return plugin, ""
}
