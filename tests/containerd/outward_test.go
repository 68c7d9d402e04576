package containerd

import (
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	toml1 "github.com/pelletier/go-toml"
	"github.com/pelletier/go-toml/v2"
)

// outward returns what in the files of a host may send containerd to a public registry,
// or keep it from starting. root stands for /, inward are the site's registries, as
// HOST:PORT.
//
// It does not know how the files were written; seesFaults proves that it finds everything
// that does so.
func outward(root string, two bool, inward ...string) []string {
	c := checker{root: root, two: two, inward: inward}
	c.dropIns()
	c.hosts()
	return c.found
}

type checker struct {
	root   string
	two    bool
	inward []string
	found  []string
}

func (c *checker) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// decode reads a file with the TOML library that containerd reads it with, and
// k0s: up to k0s 1.35 an old one for both, later k0s has it for its drop-ins.
func (c *checker) decode(path string, old bool, to any) bool {
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
	case len(strings.TrimSpace(string(text))) == 0:
		err = fmt.Errorf("is empty")
	default:
		err = toml.Unmarshal(text, to)
	}
	if err == nil && old {
		_, err = toml1.LoadBytes(text)
	}
	if err != nil {
		c.say("%s: %v", path, err)
	}
	return err == nil
}

// dropIns checks that there is one drop-in, which names one directory.
func (c *checker) dropIns() {
	files, err := filepath.Glob(filepath.Join(c.root, dropins, "*.toml"))
	if err != nil || len(files) != 1 {
		c.say("%d drop-ins, want one: a later one may undo it", len(files))
		return
	}
	var d struct {
		Version int64
		Plugins map[string]map[string]any
	}
	if !c.decode(files[0], true, &d) {
		return
	}
	version, plugin := int64(2), "io.containerd.grpc.v1.cri"
	if c.two {
		version, plugin = 3, "io.containerd.cri.v1.images"
	}
	if d.Version != version {
		c.say("%s: version %d, want %d", files[0], d.Version, version)
	}
	keys, _ := d.Plugins[plugin]["registry"].(map[string]any)
	path, _ := keys["config_path"].(string)
	if len(d.Plugins) != 1 || len(d.Plugins[plugin]) != 1 || len(keys) != 1 {
		c.say("%s: says more, or less, than a config_path", files[0])
	}
	if !filepath.IsAbs(path) || strings.Contains(path, ":") {
		c.say("%s: config_path %q is not one absolute path", files[0], path)
	} else if info, err := os.Stat(filepath.Join(c.root, path)); err != nil || !info.IsDir() || path != certs {
		c.say("%s: config_path %q is not a directory", files[0], path)
	}
}

func (c *checker) hosts() {
	dirs, err := os.ReadDir(filepath.Join(c.root, certs))
	if err != nil {
		c.say("%v", err)
	}
	if !slices.ContainsFunc(dirs, func(e os.DirEntry) bool { return e.Name() == "_default" }) {
		c.say("no _default for hosts that nobody thought of")
	}
	for _, d := range dirs {
		c.host(filepath.Join(c.root, certs, d.Name()))
	}
}

// hostKeys are those of hosts.toml that matter here; they stand at the top
// level, and in each [host] table.
type hostKeys struct {
	Capabilities []string
	CA           any
	SkipVerify   any `toml:"skip_verify"`
	DialTimeout  any `toml:"dial_timeout"`
}

func (c *checker) host(dir string) {
	path := filepath.Join(dir, "hosts.toml")
	var f struct {
		Server string
		hostKeys
		Host map[string]hostKeys
	}
	var keys map[string]any // distinguishes an empty table from none
	if !c.decode(path, !c.two, &f) || !c.decode(path, false, &keys) {
		return
	}
	if keys["host"] == nil {
		c.say("%s: no [host] table", path)
	}
	c.place(path, f.Server, f.hostKeys)
	for url, keys := range f.Host {
		if !c.two && strings.Contains(url, "]") {
			c.say("%s: containerd 1 cannot have %q in a key, however it is written", path, url)
		}
		c.place(path, url, keys)
	}
}

// place checks one registry in a hosts.toml.
func (c *checker) place(path, at string, keys hostKeys) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !slices.Contains(c.inward, u.Host) {
		c.say("%s: %q is not a registry of the site", path, at)
	}
	for _, k := range keys.Capabilities {
		if !slices.Contains([]string{"pull", "resolve", "push"}, k) {
			c.say("%s: %s: unknown capability %q", path, at, k)
		}
	}
	if keys.Capabilities != nil && !(slices.Contains(keys.Capabilities, "pull") && slices.Contains(keys.Capabilities, "resolve")) {
		c.say("%s: %s: cannot be pulled from", path, at)
	}
	if _, ok := keys.SkipVerify.(bool); keys.SkipVerify != nil && !ok {
		c.say("%s: %s: skip_verify is not true or false", path, at)
	}
	if _, ok := keys.DialTimeout.(string); keys.DialTimeout != nil && !ok {
		c.say("%s: %s: dial_timeout is not a string", path, at)
	}
	var names []any
	switch ca := keys.CA.(type) {
	case []any:
		names = ca
	case string:
		names = []any{ca}
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), fmt.Sprint(name)))
		if block, _ := pem.Decode(text); err != nil || block == nil {
			c.say("%s: %s: ca %v is not a certificate", path, at, name)
		}
	}
}
