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
}

// readSettings parses a configuration file, or returns the reason why containerd
// does not start with it or does not use our mirrors.
func readSettings(content []byte, version k0s.Version) (s settings, reason string) {
	cri, reason := version.ReadDropIn(content)
	if reason != "" {
		return s, reason
	}
	registry := table(cri, "registry")
	s.cri = cri != nil
	s.configPath, _ = registry["config_path"].(string)
	tls := false
	for _, host := range table(registry, "configs") {
		one, _ := host.(map[string]any)
		tls = tls || table(one, "tls") != nil
	}
	switch {
	case table(registry, "mirrors") != nil:
		reason = "has registry.mirrors, which the CRI plugin does not accept together with config_path"
	case tls && version.Containerd() == 1:
		reason = "has registry.configs with tls, which the CRI plugin does not accept together with config_path"
	case strings.Contains(s.configPath, ":"):
		reason = fmt.Sprintf("config_path is the list %q, with which containerd 2 uses no mirror at all; it must be %s alone", s.configPath, k0s.CertsDir)
	case s.configPath != "" && s.configPath != k0s.CertsDir:
		reason = fmt.Sprintf("config_path is %q, but it must be %s", s.configPath, k0s.CertsDir)
	default:
		return s, ""
	}
	return settings{}, reason
}

// table returns a table below another, or nil.
func table(doc map[string]any, key string) map[string]any {
	t, _ := doc[key].(map[string]any)
	return t
}
