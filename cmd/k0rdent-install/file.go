package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// fileSchema is the schema of the configuration file.
type fileSchema struct {
	config.Common `yaml:",inline"`
	config.Flags  `yaml:",inline"`
	K0s           yaml.Node `yaml:"k0s"`
	Join          yaml.Node `yaml:"join"`
	K0rdent       struct {
		Version string `yaml:"version"`
		Helm    struct {
			Chart     string    `yaml:"chart"`
			Namespace string    `yaml:"namespace"`
			Values    yaml.Node `yaml:"values"` // parsed again as Helm parses them
		} `yaml:"helm"`
		Credentials credentials `yaml:"credentials"`
	} `yaml:"k0rdent"`
}

// fileConfig holds settings of the configuration file that no flag has.
type fileConfig struct {
	read        bool
	worker      bool // join.mode is worker
	values      map[string]any
	credentials credentials
	warnings    []string
}

// parseFile reads the configuration file.
func (c *settings) parseFile(r io.Reader, set cli.Setter) error {
	var s fileSchema
	text, err := config.Decode(r, &s)
	if err != nil {
		return err
	}
	c.file.read = true
	if len(text) == 0 {
		return nil
	}
	sections := []config.Setting{
		config.One("k0rdent.version", "release", s.K0rdent.Version), config.One("k0rdent.helm.chart", "chart", s.K0rdent.Helm.Chart),
		config.One("airgap.k0sURL", "k0s-url", s.Airgap.K0sURL),
	}
	if err := s.Apply(set, sections, s.Flags, (&settings{}).flags(), config.HostFlags); err != nil {
		return err
	}
	return c.take(&s, text, r)
}

// take keeps the settings that no flag has.
func (c *settings) take(s *fileSchema, text []byte, file any) error {
	var join struct{ Mode string }
	_ = s.Join.Decode(&join) // k0s-up reports errors in it
	c.file.worker = join.Mode == k0s.RoleWorker
	if n := s.K0rdent.Helm.Namespace; n != "" && n != namespace {
		return fmt.Errorf("k0rdent.helm.namespace %q: must be %s, where the platform expects its objects", n, namespace)
	}
	if s.Airgap.BundlePath != "" {
		c.file.warnings = append(c.file.warnings, "config: airgap.bundlePath is ignored: the registry lists its releases")
	}
	// Helm's parser decides what is a number or a boolean.
	var helm struct {
		K0rdent struct {
			Helm struct{ Values map[string]any }
		}
	}
	if err := kyaml.Unmarshal(text, &helm); err != nil {
		return fmt.Errorf("k0rdent.helm.values: must be keys and values, and must not contain itself")
	}
	c.file.values, c.file.credentials = helm.K0rdent.Helm.Values, s.K0rdent.Credentials
	if problems := c.file.credentials.check(); len(problems) > 0 {
		return fmt.Errorf("k0rdent.credentials: %s", strings.Join(problems, "; "))
	}
	if len(c.file.credentials.logins()) == 0 {
		return nil
	}
	return config.Private("config", file, &c.file.warnings)
}

// checkConfig reads the files that settings name, and reports that they are valid.
func (i *installer) checkConfig(fs *flag.FlagSet) error {
	if _, err := i.cfg.userValues(); err != nil {
		return err
	}
	if _, err := i.cfg.readCredentials(); err != nil {
		return err
	}
	return i.Out.Write(record.Step{Name: "config", Status: record.StatusUnchanged, Detail: cli.Source(fs, i.cfg.file.read) + " is valid"})
}
