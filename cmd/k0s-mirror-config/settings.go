package main

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"k0rdent-airgap/lib/k0s"
)

// settings is the part of a configuration file of containerd that concerns
// registries.
type settings struct {
	cri        bool // any setting of the CRI plugin
	configPath string
	mirrors    bool // registry.mirrors
	tls        bool // registry.configs.*.tls
}

// The tables with the settings of registries, by the major version of
// containerd.
const (
	plugin1 = "io.containerd.grpc.v1.cri"
	plugin2 = "io.containerd.cri.v1.images"
)

// readSettings parses a drop-in, or returns the reason why containerd does not
// start with it.
func readSettings(content []byte, version k0s.Version) (s settings, reason string) {
	var doc map[string]any
	if err := toml.Unmarshal(content, &doc); err != nil {
		return s, fmt.Sprintf("containerd cannot read it and does not start: %v", err)
	}
	if err := k0s.OldDialect(content); err != nil {
		return s, fmt.Sprintf("k0s does not start with it: %v", err)
	}
	number, stated := doc["version"]
	two := version.Containerd() == 2
	switch {
	case two && stated && number != int64(3):
		return s, fmt.Sprintf("k0s %s does not start with it: it has version = %v, not 3", version, number)
	case two && table(doc, "plugins", plugin1) != nil:
		return s, fmt.Sprintf("k0s %s does not start with it: it has a table of containerd 1, plugins.%q", version, plugin1)
	case !two && stated && number != int64(1) && number != int64(2):
		return s, fmt.Sprintf("the containerd 1 of k0s %s does not start with it: it has version = %v", version, number)
	}
	plugin := plugin1
	if two {
		plugin = plugin2
	}
	cri := table(doc, "plugins", plugin)
	registry := table(cri, "registry")
	s.cri = cri != nil
	s.configPath, _ = registry["config_path"].(string)
	s.mirrors = table(registry, "mirrors") != nil
	for _, host := range table(registry, "configs") {
		one, _ := host.(map[string]any)
		s.tls = s.tls || table(one, "tls") != nil
	}
	return s, ""
}

// clash returns why the file conflicts with ours, or "".
func (s settings) clash(version k0s.Version) string {
	switch {
	case s.mirrors:
		return "has registry.mirrors, which the CRI plugin does not accept together with config_path"
	case s.tls && version.Containerd() == 1:
		return "has registry.configs with tls, which the CRI plugin does not accept together with config_path"
	case strings.Contains(s.configPath, ":"):
		return fmt.Sprintf("config_path is the list %q, with which containerd 2 uses no mirror at all; it must be %s alone", s.configPath, k0s.CertsDir)
	case s.configPath != "" && s.configPath != k0s.CertsDir:
		return fmt.Sprintf("config_path is %q, but it must be %s", s.configPath, k0s.CertsDir)
	}
	return ""
}

// table returns a table below another, or nil.
func table(doc map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		doc, _ = doc[key].(map[string]any)
	}
	return doc
}
