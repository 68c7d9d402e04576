package k0s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testCA returns a certificate in PEM; its bytes differ each time.
func testCA(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func mirrors(t testing.TB, urls ...string) []Mirror {
	t.Helper()
	var all []Mirror
	for _, u := range urls {
		m, err := ParseMirror(u)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func version(t testing.TB, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	old     = "v1.35.7+k0s.0" // containerd 1
	current = "v1.36.3+k0s.2" // containerd 2
)

// content returns one of the files, or "" if it is not among them.
func content(files []File, path string) string {
	for _, f := range files {
		if f.Path == path {
			return string(f.Content)
		}
	}
	return ""
}

// TestGolden compares the written files. Certificates are random, so only their
// names are compared.
func TestGolden(t *testing.T) {
	ca := testCA(t, "site")
	three := mirrors(t, "http://10.0.0.9:30020", "https://10.0.0.5:5000/k0rdent-enterprise", "https://[fd00::5]:5000/k0rdent-enterprise")
	three[1].CA, three[2].CA = ca, testCA(t, "second")
	three[1].Authorization, three[2].Authorization = BasicAuth("a", "b"), BasicAuth("c", "d")
	one := mirrors(t, "https://10.0.0.5:5000/k0rdent-enterprise")
	one[0].CA = ca
	tests := []struct {
		name, version string
		mirrors       []Mirror
	}{
		{"one-containerd1", old, one},
		{"one-containerd2", current, one},
		{"three-containerd1", old, three},
		{"three-containerd2", current, three},
		{"plain-containerd1", old, mirrors(t, "http://127.0.0.1:5000")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := MirrorFiles(version(t, tt.version), tt.mirrors, []string{"quay.io", vendorHost, "quay.io"})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, f := range files {
				fmt.Fprintf(&b, "==> %s %04o\n", f.Path, f.Mode)
				if !strings.HasSuffix(f.Path, ".crt") {
					b.Write(f.Content)
				}
			}
			golden := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || b.String() != string(want) {
				t.Errorf("%v; got\n%s\nwant\n%s", err, b.String(), want)
			}
		})
	}
}

// TestSecretsStayPrivate checks that only root can read a password, and that a key
// next to the certificate is not copied.
func TestSecretsStayPrivate(t *testing.T) {
	m := mirrors(t, "https://m:5000")
	m[0].Authorization = BasicAuth("u", "secret")
	m[0].CA = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")}), testCA(t, "x")...)
	files, err := MirrorFiles(version(t, current), m, DefaultHosts())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(string(f.Content), "PRIVATE") {
			t.Errorf("%s has the private key", f.Path)
		}
		if secret := strings.Contains(string(f.Content), "Basic "); secret != (f.Mode == 0o600) {
			t.Errorf("%s: mode %04o, secret %v", f.Path, f.Mode, secret)
		}
	}
}

func TestRefused(t *testing.T) {
	ca := testCA(t, "x")
	withCA := func(text string) []Mirror {
		m := mirrors(t, "https://m:5000")
		m[0].CA = []byte(text)
		return m
	}
	quoted := mirrors(t, "https://m:5000")
	quoted[0].Authorization = "Basic \"\n[host]"
	escaped := mirrors(t, "https://m:5000")
	escaped[0].Authorization = `Basic \u0041`
	tests := []struct {
		name, version string
		mirrors       []Mirror
		hosts         []string
		want          string
	}{
		{"k0s that does not merge drop-ins", "v1.27.4+k0s.0", mirrors(t, "https://m"), nil, "requires v1.27.5 or later"},
		{"no mirror", current, nil, nil, "no mirror"},
		{"IPv6 first on containerd 1", old, mirrors(t, "https://[::1]:5443", "https://m"), nil, "only for the last mirror"},
		{"no certificate", current, withCA("hello"), nil, "no PEM certificate"},
		{"broken certificate", current, withCA(strings.Replace(string(ca), "M", "N", 1)), nil, "certificate authority of mirror https://m:5000"},
		{"host leads out", current, mirrors(t, "https://m"), []string{"../../root"}, "invalid host"},
		{"hand-made mirror", current, []Mirror{{Scheme: "https", Host: "x\"]"}}, nil, "invalid host"},
		{"header breaks out of its quotes", current, quoted, nil, "hosts.toml"},
		{"header with an escape", current, escaped, nil, "does not parse back"},
	}
	for _, tt := range tests {
		files, err := MirrorFiles(version(t, tt.version), tt.mirrors, tt.hosts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || files != nil {
			t.Errorf("%s: %d files, %v, want an error with %q", tt.name, len(files), err, tt.want)
		}
	}
	if _, err := MirrorFiles(version(t, current), mirrors(t, "https://[::1]:5443", "https://m"), nil); err != nil {
		t.Errorf("IPv6 first on containerd 2: %v", err)
	}
}

// TestMirrorsThatAreOne checks that a registry with two names is not requested
// twice, which a file could not even express.
func TestMirrorsThatAreOne(t *testing.T) {
	files, err := MirrorFiles(version(t, current), mirrors(t, "https://m/k0rdent-enterprise", "https://n", "https://m", "https://n", "https://m"), DefaultHosts())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		vendorHost: "https://n, https://m",
		"quay.io":  "https://m/v2/k0rdent-enterprise, https://n, https://m",
		"m":        "https://m",
		"m:443":    "https://m",
		"n":        "https://n, https://m",
	} {
		h, err := ReadHosts([]byte(content(files, path.Join(CertsDir, host, HostsName))))
		if err != nil {
			t.Fatal(err)
		}
		var urls []string
		for _, e := range append(h.Hosts, h.Server) {
			urls = append(urls, e.URL)
		}
		if got := strings.Join(urls, ", "); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// Images of a mirror's own name are pulled from its replica too.
func TestReplicas(t *testing.T) {
	for _, tt := range []struct{ name, version, mirrors, host, want string }{
		{"the first", current, "https://a:5000/p https://b:5000/p", "a:5000", "https://a:5000 https://b:5000"},
		{"the second", current, "https://a:5000/p https://b:5000/p", "b:5000", "https://b:5000 https://a:5000"},
		{"containerd 1", old, "https://a:5000/p https://b:5000/p", "b:5000", "https://b:5000 https://a:5000"},
		{"another prefix", current, "https://a:5000/p https://b:5000/q", "a:5000", "https://a:5000"},
		{"no prefix", current, "https://a:5000 https://b:5000/q https://c:5000", "c:5000", "https://c:5000 https://a:5000"},
		{"IPv6 last", old, "https://a:5000/p https://[::1]:5000/p", "a:5000", "https://a:5000 https://[::1]:5000"},
		{"IPv6 on containerd 1", old, "https://a:5000/p https://[::1]:5000/p", "[::1]:5000", "https://[::1]:5000"},
		{"IPv6 on containerd 2", current, "https://a:5000/p https://[::1]:5000/p", "[::1]:5000", "https://[::1]:5000 https://a:5000"},
	} {
		files, err := MirrorFiles(version(t, tt.version), mirrors(t, strings.Fields(tt.mirrors)...), nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		h, err := ReadHosts([]byte(content(files, path.Join(CertsDir, tt.host, HostsName))))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var urls []string
		for _, e := range append(h.Hosts, h.Server) {
			urls = append(urls, e.URL)
		}
		if got := strings.Join(urls, " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// randomMirrors returns mirrors of all forms.
func randomMirrors(t *testing.T, r *mathrand.Rand, ca []byte, ipv6 bool) []Mirror {
	t.Helper()
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var all []Mirror
	for range 1 + r.IntN(4) {
		host := pick("10.0.0.5", "registry.site", "m", "a-b.c-d.example", "localhost")
		if ipv6 && r.IntN(3) == 0 {
			host = pick("[::1]", "[fd00::5]", "[2001:db8:0:0:0:0:0:1]")
		}
		m := mirrors(t, pick("https://", "http://", "")+host+pick("", ":5000", ":443", ":80", ":65535")+pick("", "/", "/k0rdent-enterprise", "/a/b.c_d", "/x/k0rdent-enterprise"))[0]
		if r.IntN(2) == 0 {
			m.CA = ca
		}
		if r.IntN(2) == 0 {
			m.Authorization = BasicAuth(pick("u", "é", "robot$x"), pick("", "p w", "\"\n]"))
		}
		all = append(all, m)
	}
	return all
}

// TestEveryFileLeadsInward checks what matters for any set of mirrors: each
// directory has a file that parses, with a mirror as its server, the mirrors in
// order, every authority that it names, and no key that the older dialect rejects.
func TestEveryFileLeadsInward(t *testing.T) {
	ca := testCA(t, "x")
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for n := range 600 {
		v := version(t, []string{old, current}[n%2])
		ms := randomMirrors(t, r, ca, true)
		files, err := MirrorFiles(v, ms, DefaultHosts())
		if err != nil {
			sixth := slices.ContainsFunc(ms[:len(ms)-1], func(m Mirror) bool { return strings.Contains(m.Host, "[") })
			if v.Containerd() == 1 && sixth {
				continue
			}
			t.Fatalf("%v: %v", ms, err)
		}
		checkInward(t, v, ms, files)
	}
}

func checkInward(t *testing.T, v Version, ms []Mirror, files []File) {
	t.Helper()
	if last := files[len(files)-1].Path; last != DropInPath {
		t.Errorf("last file %s, want the drop-in", last)
	}
	for _, f := range files[:len(files)-1] {
		if path.Base(f.Path) != HostsName {
			continue
		}
		host := path.Base(path.Dir(f.Path))
		h, err := ReadHosts(f.Content)
		if err != nil {
			t.Fatalf("%s: %v\n%s", f.Path, err, f.Content)
		}
		var got []string
		for _, e := range append(h.Hosts, h.Server) {
			got = append(got, e.URL)
			for _, name := range e.CA {
				if content(files, path.Join(path.Dir(f.Path), name)) == "" {
					t.Errorf("%s names %s, which is missing", f.Path, name)
				}
			}
			if e.OverridePath != strings.Contains(e.URL, "/v2/") {
				t.Errorf("%s: override_path is %v for %s", f.Path, e.OverridePath, e.URL)
			}
		}
		if !inOrder(got, ms, host) {
			t.Errorf("mirrors %v give %s the order %v", ms, host, got)
		}
		if !strings.Contains(string(f.Content), "\n[host") || v.Containerd() == 1 && oldDialect(f.Content) != nil {
			t.Errorf("%s is undecodable for containerd 1:\n%s", f.Path, f.Content)
		}
		if strings.Contains(string(f.Content), "dial_timeout") != (v.Containerd() == 2 && len(h.Hosts) > 0) {
			t.Errorf("%s, containerd %d, %d hosts, dial_timeout:\n%s", f.Path, v.Containerd(), len(h.Hosts), f.Content)
		}
	}
}

// inOrder reports whether urls are the mirrors' in order: the last one last, none
// twice, and nothing else. For a mirror's own name, that mirror is the first, and the
// others are those with its prefix.
func inOrder(urls []string, ms []Mirror, host string) bool {
	var all []string
	for _, m := range ms {
		url, _ := m.For(host).root()
		all = append(all, url)
	}
	if own := slices.IndexFunc(ms, func(m Mirror) bool { return slices.Contains(m.names(), host) }); own >= 0 {
		if urls[0] != all[own] {
			return false
		}
		urls, all = urls[1:], nil
		for _, m := range ms {
			if m.Prefix == ms[own].Prefix {
				all = append(all, m.Scheme+"://"+m.Host)
			}
		}
	} else if urls[len(urls)-1] != all[len(all)-1] {
		return false
	}
	at := 0
	for i, u := range urls {
		if slices.Contains(urls[:i], u) {
			return false
		}
		found := slices.Index(all[at:], u)
		if found < 0 {
			return false
		}
		at += found
	}
	return true
}

// For any host, port and prefix, the output parses and has the mirrors in order, or
// there is no output.
func FuzzMirrorFiles(f *testing.F) {
	f.Add("https://10.0.0.5:5000/p", "http://[::1]:5000", "quay.io", "Basic YTpi", true)
	f.Add("https://a\"]\n", "", "..", "\\u005d", false)
	f.Add("registry.site:443", "REGISTRY.site", "[::1]:1", "", true)
	f.Fuzz(func(t *testing.T, first, second, host, authorization string, two bool) {
		var ms []Mirror
		for _, s := range []string{first, second} {
			m, err := ParseMirror(s)
			if err != nil {
				continue
			}
			m.Authorization = authorization
			ms = append(ms, m)
		}
		v := version(t, old)
		if two {
			v = version(t, current)
		}
		files, err := MirrorFiles(v, ms, []string{host})
		if err != nil {
			return
		}
		for _, f := range files {
			if dir := path.Dir(path.Dir(f.Path)); dir != CertsDir && f.Path != DropInPath {
				t.Errorf("a file at %q", f.Path)
			}
		}
		checkInward(t, v, ms, files)
	})
}

// TestDropIns parses the drop-ins strictly: the key is in the table of the right
// containerd, and there is nothing else.
func TestDropIns(t *testing.T) {
	for v, want := range map[string]map[string]any{
		old:     {"version": int64(2), "plugins": map[string]any{"io.containerd.grpc.v1.cri": map[string]any{"registry": map[string]any{"config_path": "/etc/k0s/certs.d"}}}},
		current: {"version": int64(3), "plugins": map[string]any{"io.containerd.cri.v1.images": map[string]any{"registry": map[string]any{"config_path": "/etc/k0s/certs.d"}}}},
	} {
		text := dropIn(version(t, v))
		var got map[string]any
		if err := toml.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", v, got, err, want)
		}
		if !strings.HasPrefix(string(text), Marker) {
			t.Errorf("%s: no marker: %s", v, text)
		}
	}
}

func TestReadHostsRefusesWhatContainerdIgnores(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":             "server = ",
		"unknown capability": "[host.\"https://m\"]\ncapabilities = [\"pul\"]",
		"string for a bool":  "[host.\"https://m\"]\nskip_verify = \"true\"",
		"host twice":         "[host.\"https://m\"]\n[host.\"https://m\"]",
		"number for a time":  "[host.\"https://m\"]\ndial_timeout = 2",
		"number for a ca":    "ca = 5",
		"list of numbers":    "ca = [5]",
		"server is a table":  "[server]",
	} {
		if h, err := ReadHosts([]byte(text)); err == nil {
			t.Errorf("%s: %+v, want an error", name, h)
		}
	}
	h, err := ReadHosts([]byte("server = 'https://quay.io'\nca = 'x'\nnew = 1\n[host.\"http://b\"]\n[host.'http://a']\nca = ['y', 'z']\n[host.\"http://a\".header]\nauthorization = 'B'\n"))
	want := Hosts{
		Server: Entry{URL: "https://quay.io", CA: []string{"x"}},
		Hosts:  []Entry{{URL: "http://b"}, {URL: "http://a", CA: []string{"y", "z"}, Authorization: "B"}},
	}
	if err != nil || !reflect.DeepEqual(h, want) {
		t.Errorf("ReadHosts = %+v, %v, want %+v", h, err, want)
	}
}

// Reading never panics, and what was written reads back the same.
func FuzzReadHosts(f *testing.F) {
	f.Add([]byte("server = \"https://m\"\n[host]\n"))
	f.Add([]byte("[host.\"https://m\"]\nca=[\"a\"]\n[host.\"https://m\".header]\nauthorization=\"x\"\n"))
	f.Add([]byte("[[host]]\n"))
	f.Add([]byte("host = 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := ReadHosts(text)
		if err != nil {
			return
		}
		out, err := h.marshal(2)
		if err != nil {
			return // it contains what is never written
		}
		if again, err := ReadHosts(out); err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%q reads as %+v, rewritten as %+v, %v", text, h, again, err)
		}
	})
}
