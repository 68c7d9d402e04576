// Package config reads k0rdentd.yaml, the configuration file that k0s-up and
// k0rdent-install share. Its sections are those of k0rdentd's own configuration.
// Each tool parses its own sections strictly and ignores the other's; next to the
// sections, every flag of either tool can be set by its name.
package config

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/nearest"
	"k0rdent-airgap/lib/textfile"
)

// Path is the default path of the file.
const Path = "/etc/k0rdentd/k0rdentd.yaml"

// Template is what --config-init prints: every key, with its default or an
// example.
//
//go:embed k0rdentd.yaml
var Template string

// Common is the part that both tools read. Each inlines it in a struct of the whole
// file, with Flags, and with the other's sections as a yaml.Node.
type Common struct {
	Airgap struct {
		BundlePath string `yaml:"bundlePath"`
		K0sURL     string `yaml:"k0sURL"`
		Registry   struct {
			Address      string `yaml:"address"`
			Insecure     bool   `yaml:"insecure"`
			CA           string `yaml:"ca"`
			Username     string `yaml:"username"`
			PasswordFile string `yaml:"passwordFile"`
		} `yaml:"registry"`
	} `yaml:"airgap"`
	Debug    bool   `yaml:"debug"`
	LogLevel string `yaml:"logLevel"`
}

// Flags are the settings next to the sections, by the flag's name.
type Flags map[string]yaml.Node

// Setting is a flag that the file sets.
type Setting struct {
	Key    string // in the file, for errors
	Flag   string
	Values []string // empty ones are ignored
}

// One returns a setting with one value.
func One(key, flag, value string) Setting { return Setting{key, flag, []string{value}} }

// settings lists the flags that both tools have.
func (c *Common) settings() []Setting {
	r := c.Airgap.Registry
	all := []Setting{
		One("airgap.registry.address", "registry", r.Address), One("airgap.registry.ca", "ca", r.CA),
		One("airgap.registry.username", "username", r.Username), One("airgap.registry.passwordFile", "password-file", r.PasswordFile),
	}
	if r.Insecure {
		all = append(all, One("airgap.registry.insecure", "plain-http", "true"))
	}
	if c.Debug || c.LogLevel == "debug" || c.LogLevel == "trace" {
		all = append(all, One("debug", "verbose", "true"))
	}
	return all
}

// Decode strictly parses the only document of a file into a struct. It returns the
// file's text, which is empty if the file has no content. Its error covers all
// problems and repeats no value, which may be a secret.
func Decode(r io.Reader, into any) ([]byte, error) {
	text, err := textfile.All(r)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	switch err := dec.Decode(into); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, reworded(err, into)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return text, nil
}

// The decoder's errors: an unknown key, or a value of the wrong type.
var (
	unknownKey = regexp.MustCompile(`(?s)field (.*) not found in type .*`)
	wrongType  = regexp.MustCompile("(?s)cannot unmarshal .* into (.*)")
)

// reworded returns the decoder's error with this program's names for types, and
// without values. into is the target of the decoder.
func reworded(err error, into any) error {
	t, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	known := keys(reflect.TypeOf(into))
	var all []string
	for _, text := range t.Errors {
		line, _, _ := strings.Cut(text, ": ")
		if m := unknownKey.FindStringSubmatch(text); m != nil {
			text = line + ": unknown key " + m[1] + nearest.Meant(m[1], known, "")
		}
		if m := wrongType.FindStringSubmatch(text); m != nil {
			text = line + ": must be " + typeName(m[1])
		}
		all = append(all, text)
	}
	return errors.New(strings.Join(all, "; "))
}

// typeName returns the common name of a type of the schema.
func typeName(goType string) string {
	switch {
	case goType == "int":
		return "a number"
	case goType == "bool":
		return "true or false"
	case goType == "string":
		return "a text"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	}
	return "keys and values"
}

// keys lists the keys of a schema, at every depth.
func keys(t reflect.Type) (all []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			all = append(all, name)
		}
		if f.Type != reflect.TypeFor[yaml.Node]() {
			all = append(all, keys(f.Type)...)
		}
	}
	return all
}

// Apply sets the flags that both tools have, those of the tool's own sections, and
// those set by their names. own are the flags of the tool, and others those of the
// other one.
func (c *Common) Apply(set cli.Setter, sections []Setting, flags Flags, own *cli.FlagSet, others []string) error {
	var problems []string
	if levels := []string{"error", "warn", "warning", "info", "debug", "trace"}; c.LogLevel != "" && !slices.Contains(levels, c.LogLevel) {
		problems = append(problems, fmt.Sprintf("invalid logLevel %q: must be error, warn, info or debug%s", c.LogLevel, nearest.Meant(c.LogLevel, levels, "")))
	}
	hint := ""
	for name, node := range flags {
		values, err := scalars(&node)
		switch {
		case slices.Contains(others, name):
		case own.Lookup(name) == nil || slices.Contains([]string{"config", "config-init", "config-check"}, name):
			problems = append(problems, fmt.Sprintf("line %d: unknown key %s%s", node.Line, name, suggestion(name, others)))
		case err != nil:
			problems = append(problems, fmt.Sprintf("line %d: %s: %v", node.Line, name, err))
		default:
			sections = append(sections, Setting{name, name, values})
		}
	}
	for _, s := range append(c.settings(), sections...) {
		for _, v := range s.Values {
			if v == "" {
				continue
			}
			if err := set(s.Key, s.Flag, v); err != nil {
				problems = append(problems, err.Error())
				hint = cmp.Or(hint, cli.HintOf(err))
			}
		}
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return cli.Hint(errors.New(strings.Join(problems, "; ")), "%s", hint)
	}
	return nil
}

func suggestion(name string, others []string) string {
	sections := []string{"k0s", "k0rdent", "airgap", "join", "debug", "logLevel"}
	return nearest.Meant(name, append(sections, others...), "")
}

// scalars returns the values of a flag: one, or those of a list.
func scalars(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var values []string
	for _, item := range items {
		if item.Kind != yaml.ScalarNode {
			return nil, errors.New("must be a value or a list of values")
		}
		if item.ShortTag() != "!!null" {
			values = append(values, item.Value)
		}
	}
	return values, nil
}

// Private returns an error if a file with secrets is readable by every user of the
// host. It adds a warning if a group can read it; without warnings, that is an error
// too. Anything but a file is private.
func Private(what string, file any, warnings *[]string) error {
	f, ok := file.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	text := fmt.Sprintf("%s contains secrets and is readable by others (mode %04o); run chmod 600", what, mode)
	switch {
	case mode&0o077 == 0:
		return nil
	case mode&0o007 == 0 && warnings != nil:
		*warnings = append(*warnings, text)
		return nil
	}
	return errors.New(text)
}

// Secret is a text that fmt does not print. fmt does not call the methods of unexported
// fields, so the text is behind a function.
type Secret struct{ reveal func() string }

// UnmarshalYAML sets the text. Its error does not repeat it.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: must be a text", n.Line)
	}
	*s = Hidden(n.Value)
	return nil
}

// Hidden returns text as a secret.
func Hidden(text string) Secret { return Secret{func() string { return text }} }

// Text returns the secret, or "".
func (s Secret) Text() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Flags of one tool that the other ignores in the file.
var (
	HostFlags = []string{
		"api-address", "api-external-address", "api-port", "etcd-peer-address", "expiry", "k0s-from", "k0s-images",
		"k0s-version", "k0s-yaml", "last-controller", "network-provider", "pod-cidr", "reset", "san", "service-cidr", "storage-type",
		"token", "token-file",
	}
	PlatformFlags = []string{
		"atomic", "chart", "credentials", "helm-timeout", "k0s-url", "kubeconfig", "print-values", "rehearse", "release",
		"release-file", "set", "uninstall", "values",
	}
)
