// One file: the configuration's schema, and the walker that reads a file by it.

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/nearest"
	"k0rdent-airgap/lib/textfile"
)

// fileSchema is the configuration file. A field with a flag gives that flag
// its value; of the others fileConfig keeps what there is. The keys are those
// of k0rdentd's configuration, and a few more.
type fileSchema struct {
	K0s struct {
		Binary  string `yaml:"binary" flag:"k0s"`
		Version string `yaml:"version" flag:"k0s-version"`
		Images  string `yaml:"images" flag:"k0s-images"`
		API     struct {
			Address string   `yaml:"address" flag:"api-address"`
			Port    int      `yaml:"port" flag:"api-port"`
			SANs    []string `yaml:"sans" flag:"san"`

			ExternalAddress string `yaml:"externalAddress" flag:"api-external-address"`
		} `yaml:"api"`
		Network struct {
			Provider    string `yaml:"provider" flag:"network-provider"`
			PodCIDR     string `yaml:"podCIDR" flag:"pod-cidr"`
			ServiceCIDR string `yaml:"serviceCIDR" flag:"service-cidr"`
		} `yaml:"network"`
		Storage struct {
			Type string `yaml:"type" flag:"storage-type"`
			Etcd struct {
				PeerAddress string `yaml:"peerAddress" flag:"etcd-peer-address"`
			} `yaml:"etcd"`
		} `yaml:"storage"`
	} `yaml:"k0s"`
	K0rdent struct {
		Version string `yaml:"version" flag:"release"`
		Helm    struct {
			Chart     string    `yaml:"chart" flag:"chart"`
			Namespace string    `yaml:"namespace"`
			Values    yaml.Node `yaml:"values"`
		} `yaml:"helm"`
		Credentials credentials `yaml:"credentials"`
	} `yaml:"k0rdent"`
	Airgap struct {
		BundlePath string `yaml:"bundlePath"`
		K0sURL     string `yaml:"k0sURL" flag:"k0s-url"`
		Registry   struct {
			Address      string `yaml:"address" flag:"registry"`
			Insecure     bool   `yaml:"insecure" flag:"plain-http"`
			CA           string `yaml:"ca" flag:"ca"`
			Username     string `yaml:"username" flag:"username"`
			PasswordFile string `yaml:"passwordFile" flag:"password-file"`
		} `yaml:"registry"`
	} `yaml:"airgap"`
	Join struct {
		Mode      string `yaml:"mode" flag:"join"`
		Server    string `yaml:"server"`
		Token     secret `yaml:"token"`
		TokenFile string `yaml:"tokenFile" flag:"token-file"`
	} `yaml:"join"`
	Debug    bool   `yaml:"debug" flag:"verbose"`
	LogLevel string `yaml:"logLevel"`
}

// fileConfig is what the configuration file says and no flag could.
type fileConfig struct {
	read        bool
	joins       bool // it says how to join
	values      map[string]any
	credentials credentials
	joinToken   secret
	joinServer  string
	warnings    []string
}

// parseFile reads the configuration file. All that is wrong with it is in the
// one error.
func (c *config) parseFile(r io.Reader, set func(name, value string) error) error {
	root, err := readYAML(r)
	if err != nil {
		return err
	}
	c.file.read = true
	if root == nil {
		return nil
	}
	var schema fileSchema
	w := &walker{set: set}
	fs := (&config{}).flags()
	w.table(root, "", reflect.ValueOf(&schema).Elem(), func(name string) bool {
		return fs.Lookup(name) != nil && !slices.Contains([]string{"config", "config-init", "config-check", "k0s", "join"}, name)
	})
	if len(w.problems) > 0 {
		return errors.New(strings.Join(w.problems, "; "))
	}
	return c.take(&schema, r)
}

// take keeps what only the file can say.
func (c *config) take(s *fileSchema, file any) error {
	c.file.joins = s.Join.Mode != ""
	c.file.credentials, c.file.joinToken, c.file.joinServer = s.K0rdent.Credentials, s.Join.Token, s.Join.Server
	if n := s.K0rdent.Helm.Namespace; n != "" && n != namespace {
		return fmt.Errorf("k0rdent.helm.namespace %q: the platform looks for its own objects in %s only", n, namespace)
	}
	if !slices.Contains([]string{"", "error", "warn", "warning", "info", "debug", "trace"}, s.LogLevel) {
		return fmt.Errorf("logLevel %q: must be error, warn, info or debug", s.LogLevel)
	}
	c.Verbose = c.Verbose || s.LogLevel == "debug" || s.LogLevel == "trace"
	if s.Airgap.BundlePath != "" {
		c.file.warnings = append(c.file.warnings, "config: airgap.bundlePath is not needed: the registry tells which release it has")
	}
	if !s.K0rdent.Helm.Values.IsZero() {
		values, err := helmValues(&s.K0rdent.Helm.Values)
		if err != nil {
			return fmt.Errorf("k0rdent.helm.values: %w", err)
		}
		c.file.values = values
	}
	if problems := c.file.credentials.check(); len(problems) > 0 {
		return fmt.Errorf("k0rdent.credentials: %s", strings.Join(problems, "; "))
	}
	if c.file.joinToken.text() != "" || !c.file.credentials.empty() {
		warning, err := private("config", file)
		if err != nil {
			return err
		}
		if warning != "" {
			c.file.warnings = append(c.file.warnings, warning)
		}
	}
	return nil
}

// private refuses secrets in a file that everybody may read, and warns of one
// that a group may.
func private(what string, file any) (warning string, err error) {
	f, ok := file.(interface{ Stat() (fs.FileInfo, error) })
	if !ok { // not a file: nobody else can open it
		return "", nil
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s has secrets in it and its mode is %04o: chmod 600 makes them so", what, info.Mode().Perm())
	switch {
	case info.Mode().Perm()&0o007 != 0:
		return "", errors.New(text)
	case info.Mode().Perm()&0o070 != 0:
		return text, nil
	}
	return "", nil
}

// describeFile names the file that was read.
func (c *config) describeFile(fs *flag.FlagSet) string {
	if !c.file.read {
		return "what the flags say (there is no configuration file)"
	}
	return fs.Lookup("config").Value.String()
}

// readYAML reads one document whose root is a table; nil if there is nothing
// in it.
func readYAML(r io.Reader) (*yaml.Node, error) {
	text, err := textfile.All(r)
	if err != nil {
		return nil, err
	}
	doc, err := document(text)
	if err != nil || doc == nil {
		return nil, err
	}
	return doc.Content[0], nil
}

// document parses the one document of a text; nil if it is empty.
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

// helmValues gives values as Helm reads them, in which numbers are those of
// JSON.
func helmValues(n *yaml.Node) (map[string]any, error) {
	left := maxNodes
	n, err := expand(n, &left)
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := kyaml.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return values, nil
}

// maxNodes bounds what aliases expand to.
const maxNodes = 100_000

// expand copies a node with what its aliases stand for in their place, since
// what they refer to may stand elsewhere in the file.
func expand(n *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errors.New("its aliases have no end")
	}
	c := *resolve(n)
	c.Anchor, c.Content = "", nil
	for _, below := range resolve(n).Content {
		e, err := expand(below, left)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, e)
	}
	return &c, nil
}

// walker reads tables into structs and tells all that is wrong with them.
type walker struct {
	set      func(flag, value string) error // nil: no field is a flag
	problems []string
}

func (w *walker) problem(n *yaml.Node, path, format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf("line %d: %s: %s", n.Line, path, fmt.Sprintf(format, args...)))
}

// table reads a table into a struct. also tells of further keys that are
// flags.
func (w *walker) table(n *yaml.Node, path string, into reflect.Value, also func(string) bool) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		w.problem(n, path, "must be keys and values")
		return
	}
	fields := make(map[string]int)
	for i := range into.NumField() {
		fields[into.Type().Field(i).Tag.Get("yaml")] = i
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		here := strings.TrimPrefix(path+"."+key, ".")
		field, known := fields[key]
		switch {
		case seen[key]:
			w.problem(n.Content[i], here, "there already")
		case known:
			f := into.Type().Field(field)
			w.value(value, here, into.Field(field), f.Tag.Get("flag"))
		case also != nil && also(key):
			w.value(value, here, reflect.Value{}, key)
		default:
			near := nearest.Word(key, slices.Sorted(maps.Keys(fields)))
			w.problem(n.Content[i], here, "no such key; the nearest is %s", strings.TrimPrefix(path+"."+near, "."))
		}
		seen[key] = true
	}
}

// value reads what a key stands for. into may be invalid for a flag.
func (w *walker) value(n *yaml.Node, path string, into reflect.Value, flag string) {
	n = resolve(n)
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
	case into.IsValid() && isTable(into.Type()):
		w.table(n, path, into, nil)
	case into.IsValid() && into.Kind() == reflect.Slice && isTable(into.Type().Elem()):
		w.tables(n, path, into)
	case into.IsValid():
		// The decoder's error would repeat the value, which may be a secret.
		if err := n.Decode(into.Addr().Interface()); err != nil {
			w.problem(n, path, "must be %s", wanted(into.Type()))
			return
		}
		w.flag(n, path, flag)
	default:
		w.flag(n, path, flag)
	}
}

// isTable tells a struct that stands for keys from one that reads itself.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[yaml.Node]() && t != reflect.TypeFor[secret]()
}

// tables reads a list of tables.
func (w *walker) tables(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		w.problem(n, path, "must be a list")
		return
	}
	for i, item := range n.Content {
		v := reflect.New(into.Type().Elem()).Elem()
		w.table(item, fmt.Sprintf("%s[%d]", path, i), v, nil)
		into.Set(reflect.Append(into, v))
	}
}

func (w *walker) flag(n *yaml.Node, path, flag string) {
	if flag == "" || w.set == nil {
		return
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, item := range items {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode {
			w.problem(item, path, "must be a value, not keys")
			continue
		}
		if err := w.set(flag, item.Value); err != nil {
			w.problem(item, path, "%v", cause(err))
		}
	}
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	default:
		return "a text"
	}
}

// resolve gives what an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// cause leaves out what the flag packages say around it.
func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
