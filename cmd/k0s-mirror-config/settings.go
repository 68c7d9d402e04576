package main

import (
	"fmt"
	"strings"

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

// readSettings parses a drop-in, or returns the reason why containerd does not
// start with it.
func readSettings(content []byte, version k0s.Version) (s settings, reason string) {
	cri, reason := version.ReadDropIn(content)
	if reason != "" {
		return s, reason
	}
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
