package containerd

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// A fault is a hosts.toml, or a set of them, with which some containerd asks a
// public registry although the site has a mirror.
type fault struct {
	name string
	// files are below certs.d. HOST stands for the image's registry and for
	// _default in turn; PLAIN, SECURE, PLAIN6 and SECURE6 for the site's mirror, and
	// OTHER for a mirror that has no images. "ca.crt" is next to each file.
	files map[string]string
	image image
	in    string // the releases that go public: "all", or the first digit or more of their names
}

var (
	hit  = pause
	miss = absent(pause)

	dockerHit  = images[2]
	dockerMiss = absent(dockerHit)
)

// good is a file that every containerd reads correctly.
const good = "server = \"PLAIN\"\n[host]\n"

func file(text string) map[string]string { return map[string]string{"HOST/hosts.toml": text} }

var faults = []fault{
	{"no server", file("[host.\"PLAIN\"]\n"), miss, "all"},
	{"server is the public registry", file("server = \"https://quay.io\"\n[host.\"PLAIN\"]\n"), miss, "all"},
	{"server is empty", file("server = \"\"\n[host.\"PLAIN\"]\n"), miss, "all"},
	{"server without a host table", file("server = \"PLAIN\"\n"), hit, "1.6"},
	{"IPv6 server without a host table", file("server = \"SECURE6\"\nca = \"ca.crt\"\n"), hit, "1.6"},
	{"a mirror that is not to resolve tags", file("[host.\"PLAIN\"]\ncapabilities = [\"pull\"]\n"), hit, "all"},
	{"a mirror that is not to be pulled from", file("[host.\"PLAIN\"]\ncapabilities = [\"resolve\"]\n"), hit, "all"},
	{"unknown capability", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\ncapabilities = [\"pull\", \"resolve\", \"read\"]\n"), hit, "all"},
	{"skip_verify is a string", file("server = \"PLAIN\"\n[host.\"SECURE\"]\nskip_verify = \"true\"\n"), hit, "all"},
	{"a mirror twice", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\n[host.\"PLAIN\"]\n"), hit, "all"},
	{"syntax error", file("server = \"PLAIN\n[host]\n"), hit, "all"},
	{"dial_timeout is a number", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\ndial_timeout = 2\n"), hit, "2"},
	{"IPv6 mirror", file("server = \"PLAIN\"\n[host.\"SECURE6\"]\nca = \"ca.crt\"\n"), hit, "1"},
	{"IPv6 mirror over HTTP", file("server = \"PLAIN\"\n[host.\"PLAIN6\"]\n"), hit, "1"},
	{"IPv6 mirror in single quotes", file("server = \"PLAIN\"\n[host.'PLAIN6']\n"), hit, "1"},
	{"IPv6 mirror with escapes", file("server = \"PLAIN\"\n[host.\"ESCAPED6\"]\n"), hit, "1"},
	{"IPv6 mirror as an inline table", file("[host]\n\"PLAIN6\" = { capabilities = [\"pull\", \"resolve\"] }\n"), hit, "2"},
	{"an empty file, and a good _default", map[string]string{"quay.io/hosts.toml": "", "_default/hosts.toml": good}, hit, "all"},
	{"a directory without a file, and a good _default", map[string]string{"quay.io/ca.pem": "", "_default/hosts.toml": good}, hit, "all"},
	{"a host of its own without the image, and a good _default", map[string]string{
		"quay.io/hosts.toml": "[host.\"OTHER\"]\nca = \"ca.crt\"\n", "_default/hosts.toml": good}, hit, "all"},
	{"Docker's registry by its real name", map[string]string{"registry-1.docker.io/hosts.toml": good}, dockerHit, "all"},
	{"server is docker.io", file("server = \"https://docker.io\"\n[host.\"PLAIN\"]\n"), dockerMiss, "all"},
	{"server is Docker's registry", file("server = \"https://registry-1.docker.io\"\n[host.\"PLAIN\"]\n"), dockerMiss, "all"},
	{"nothing", nil, hit, "all"},
}

// harmless are unusual files with which every containerd stays in the site.
var harmless = []fault{
	{"as it should be", file(good), hit, ""},
	{"as it should be", file(good), miss, ""},
	{"CRLF", file(strings.ReplaceAll(good, "\n", "\r\n")), hit, ""},
	{"unknown key", file("server = \"PLAIN\"\nunknown = 1\n[host]\n"), hit, ""},
	{"no capabilities", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\n"), hit, ""},
	{"the mirror twice, as server too", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\ncapabilities = [\"pull\", \"resolve\"]\n"), miss, ""},
	{"no server, and the image is there", file("[host.\"PLAIN\"]\n"), hit, ""},
	{"dead server", file("server = \"http://127.0.0.1:1\"\n[host.\"PLAIN\"]\n"), miss, ""},
	{"dial_timeout", file("server = \"PLAIN\"\n[host.\"PLAIN\"]\ndial_timeout = \"3s\"\n"), hit, ""},
	{"IPv6 server", file("server = \"SECURE6\"\nca = [\"ca.crt\"]\n[host]\n"), miss, ""},
}

// public reports whether a release contacts a public registry.
func (f fault) public(r release) bool {
	return f.in == "all" || f.in != "" && strings.HasPrefix(r.name, f.in)
}

// variants returns a fault for each directory that HOST may be.
func (f fault) variants(t *testing.T, s *site) []fault {
	t.Helper()
	hosts := []string{f.image.origin}
	if _, ok := f.files["HOST/hosts.toml"]; ok {
		hosts = append(hosts, "_default")
	}
	ca, err := os.ReadFile(s.secure.ca)
	if err != nil {
		t.Fatal(err)
	}
	otherCA, err := os.ReadFile(s.prefix.ca)
	if err != nil {
		t.Fatal(err)
	}
	plain6 := s.plain.url(siteIPv6)
	var all []fault
	for _, host := range hosts {
		names := strings.NewReplacer("HOST", host, "PLAIN6", plain6, "SECURE6", s.secure.url(siteIPv6),
			"PLAIN", s.plain.url(siteIPv4), "SECURE", s.secure.url(siteIPv4), "OTHER", s.prefix.url(siteIPv4),
			"ESCAPED6", strings.NewReplacer("[", `\u005b`, "]", `\u005d`).Replace(plain6))
		v := f
		v.name, v.files = f.name+", "+host, map[string]string{}
		for name, text := range f.files {
			name = names.Replace(name)
			v.files[name] = names.Replace(text)
			if dir, found := strings.CutSuffix(name, "/hosts.toml"); found && strings.Contains(text, "ca.crt") {
				v.files[dir+"/ca.crt"] = string(ca) + string(otherCA)
			}
		}
		all = append(all, v)
	}
	return all
}

// seesFaults proves that these tests can fail: if a file makes a containerd contact a public
// registry, that is detected, and outward has predicted it.
func (w *worker) seesFaults(t *testing.T) {
	inward := []string{w.site.plain.at(siteIPv4), w.site.plain.at(siteIPv6), w.site.secure.at(siteIPv4), w.site.secure.at(siteIPv6), w.site.prefix.at(siteIPv4)}
	var all []fault
	for _, f := range slices.Concat(faults, harmless) {
		all = append(all, f.variants(t, w.site)...)
	}
	// Those that stay inside come first: a connection that others have made
	// outside has a packet now and then.
	public := func(f fault) bool { return f.public(w.release) }
	all = append(slices.DeleteFunc(slices.Clone(all), public), slices.DeleteFunc(all, func(f fault) bool { return !public(f) })...)
	for _, f := range all {
		w.wipe(t)
		writeFiles(t, w.root+certs, f.files)
		found := outward(w.root, w.two, inward...)
		err := w.pull(t, f.image.reference)
		packets, asked := w.left(t)
		asks := slices.ContainsFunc(asked, func(line string) bool {
			return strings.HasPrefix(line, "HEAD ") && strings.Contains(line, f.image.repository)
		})
		switch {
		case !f.public(w.release) && packets > 0:
			t.Errorf("%s: %d packets have left the site: %q (%v)", f.name, packets, asked, err)
		case f.public(w.release) && (!asks || err == nil):
			t.Errorf("%s: asked outside %q (%v), want a request for %s", f.name, asked, err, f.image.repository)
		case f.public(w.release) && len(found) == 0:
			t.Errorf("%s: nothing is found wrong with it", f.name)
		}
		w.forget(t)
	}
}
