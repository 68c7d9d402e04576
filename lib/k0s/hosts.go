package k0s

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// HostsName is the file that containerd reads in a directory of CertsDir.
const HostsName = "hosts.toml"

// dialTimeout is how long containerd 2 waits for a mirror other than the last one,
// instead of 30 s for each request of a pull. containerd 1 ignores the key.
const dialTimeout = "3s"

// Hosts is the content of a hosts.toml: the mirrors in order, and the server to
// use if none of them has the image. A file without a server leads to the public
// registry.
type Hosts struct {
	Server Entry
	Hosts  []Entry
}

// Entry is one registry of a hosts.toml.
type Entry struct {
	URL           string
	OverridePath  bool
	CA            []string // files, relative to the hosts.toml
	Authorization string
}

// marshal returns the file, after parsing it back: it contains the same settings,
// and every containerd of that major version can decode it.
//
// The server is in top-level keys before all tables, with its own authority, since
// nothing in a [host] table applies to it. Some versions of containerd 1 discard a
// file without a [host] table and use the public registry, so an empty one is
// written. An encoder would omit it, and write keys in single quotes, which the
// older dialect does not always accept.
func (h Hosts) marshal(containerd int) ([]byte, error) {
	var b strings.Builder
	b.WriteString(header)
	b.WriteString("server = " + quote(h.Server.URL) + "\n")
	h.Server.options(&b, "")
	if a := h.Server.Authorization; a != "" {
		b.WriteString("\n[header]\n  Authorization = " + quote(a) + "\n")
	}
	if len(h.Hosts) == 0 {
		b.WriteString("\n# Not decoration: containerd 1 ignores the file without a [host] table.\n[host]\n")
	}
	for _, e := range h.Hosts {
		b.WriteString("\n[host." + quote(e.URL) + "]\n  capabilities = [\"pull\", \"resolve\"]\n")
		e.options(&b, "  ")
		if containerd >= 2 {
			b.WriteString("  dial_timeout = " + quote(dialTimeout) + "\n")
		}
		if e.Authorization != "" {
			b.WriteString("  [host." + quote(e.URL) + ".header]\n    Authorization = " + quote(e.Authorization) + "\n")
		}
	}
	content := []byte(b.String())
	got, err := ReadHosts(content)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(got, h) {
		return nil, fmt.Errorf("does not parse back to the intended configuration")
	}
	if err := oldDialect(content); containerd == 1 && err != nil {
		return nil, fmt.Errorf("containerd 1 cannot decode it: %w", err)
	}
	return content, nil
}

func (e Entry) options(b *strings.Builder, indent string) {
	if e.OverridePath {
		b.WriteString(indent + "override_path = true\n")
	}
	for _, name := range e.CA {
		b.WriteString(indent + "ca = [" + quote(name) + "]\n")
	}
}

// quote returns a TOML basic string. URLs, file names and base64 contain nothing to
// escape; anything that does would not parse back.
func quote(s string) string { return `"` + s + `"` }

// HostDirs returns the names of the directories in which containerd looks for the
// hosts.toml of host, in this order: the first one that exists is used. A port is
// spelt _PORT_ in the first, since ':' is not allowed everywhere. "" stands for an
// image without a host of its own, for which only _default can be configured. Its
// source is hostPaths in containerd's core/remotes/docker/config/config_unix.go.
func HostDirs(host string) []string {
	if host == "" {
		return []string{"_default"}
	}
	if at := strings.LastIndexByte(host, ':'); at > 0 && !strings.HasSuffix(host, "]") {
		return []string{host[:at] + "_" + host[at+1:] + "_", host, "_default"}
	}
	return []string{host, "_default"}
}

// ReadHosts parses a hosts.toml. An error means that containerd would ignore the
// file.
func ReadHosts(content []byte) (Hosts, error) {
	var raw struct {
		Server string `toml:"server"`
		entryKeys
		Host map[string]entryKeys `toml:"host"`
	}
	if err := toml.Unmarshal(content, &raw); err != nil {
		return Hosts{}, fmt.Errorf("not a hosts.toml: %w", err)
	}
	var h Hosts
	var err error
	if h.Server, err = raw.entry(raw.Server); err != nil {
		return Hosts{}, err
	}
	for _, url := range hostOrder(content) {
		e, err := raw.Host[url].entry(url)
		if err != nil {
			return Hosts{}, err
		}
		h.Hosts = append(h.Hosts, e)
	}
	return h, nil
}

type entryKeys struct {
	OverridePath bool           `toml:"override_path"`
	SkipVerify   bool           `toml:"skip_verify"`
	Capabilities []string       `toml:"capabilities"`
	DialTimeout  string         `toml:"dial_timeout"`
	CA           any            `toml:"ca"` // a string or a list of them
	Header       map[string]any `toml:"header"`
}

func (k entryKeys) entry(url string) (Entry, error) {
	e := Entry{URL: url, OverridePath: k.OverridePath}
	for _, c := range k.Capabilities {
		if c != "pull" && c != "resolve" && c != "push" {
			return Entry{}, fmt.Errorf("unknown capability %q", c)
		}
	}
	cas := []any{k.CA}
	switch ca := k.CA.(type) {
	case nil:
		cas = nil
	case []any:
		cas = ca
	}
	for _, c := range cas {
		name, ok := c.(string)
		if !ok {
			return Entry{}, fmt.Errorf("ca is neither a string nor a list of strings")
		}
		e.CA = append(e.CA, name)
	}
	for name, value := range k.Header {
		if s, ok := value.(string); ok && strings.EqualFold(name, "Authorization") {
			e.Authorization = s
		}
	}
	return e, nil
}

// tableKeys returns the keys of a document's tables, each split into its parts, in
// order.
func tableKeys(content []byte) [][]string {
	var p unstable.Parser
	p.Reset(content)
	var keys [][]string
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		var parts []string
		for it := e.Key(); it.Next(); {
			parts = append(parts, string(it.Node().Data))
		}
		keys = append(keys, parts)
	}
	return keys
}

// hostOrder returns the [host] tables in the order in which containerd tries them.
// Mirrors in an inline table are not counted, since only some versions use them.
func hostOrder(content []byte) []string {
	var urls []string
	for _, parts := range tableKeys(content) {
		if len(parts) == 2 && parts[0] == "host" {
			urls = append(urls, parts[1])
		}
	}
	return urls
}

// oldDialect returns an error if the TOML dialect of containerd 1, with which k0s
// also checks drop-ins for containerd 2, rejects a document that others accept: a
// closing bracket in a table's key, as in every IPv6 address.
func oldDialect(content []byte) error {
	for _, parts := range tableKeys(content) {
		for _, part := range parts {
			if strings.Contains(part, "]") {
				return fmt.Errorf("the key %q contains a closing bracket", part)
			}
		}
	}
	return nil
}
