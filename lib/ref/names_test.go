package ref

import (
	"errors"
	"strings"
	"testing"
)

const (
	sha256Hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	digest    = "sha256:" + sha256Hex
)

func TestCheckRepository(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "a/b": true, "a.b": true, "a_b": true, "a__b": true, "a--b": true, "0/1": true,
		"": false, "a___b": false, "a..b": false, "-a": false, "a-": false, "a//b": false, "/a": false,
		"a/": false, "A": false, "a/_layout": false, "a:b": false, "a\n": false, "é": false,
		strings.Repeat("a", 255): true, strings.Repeat("a", 256): false,
	} {
		if err := CheckRepository(name); (err == nil) != good || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("CheckRepository(%q) = %v, want good: %v", name, err, good)
		}
	}
}

func TestCheckTag(t *testing.T) {
	for tag, good := range map[string]bool{
		"1": true, "_x": true, "v1.2-B_c": true, strings.Repeat("a", 128): true,
		"": false, ".a": false, "-a": false, "a+b": false, "a\n": false, strings.Repeat("a", 129): false,
	} {
		if err := CheckTag(tag); (err == nil) != good || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("CheckTag(%q) = %v, want good: %v", tag, err, good)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for host, want := range map[string]string{
		"localhost": "", "registry.local:5000": "", "10.0.0.5:65535": "", "[fd00::5]:5000": "", "[::1]": "", "Quay.io": "", "ci_registry_1:5000": "",
		"": "must be HOST[:PORT]", "a b": "must be HOST[:PORT]", "-h": "must be HOST[:PORT]", "h..x": "must be HOST[:PORT]", "h/p": "must be HOST[:PORT]",
		strings.Repeat("a", 256): "must be HOST[:PORT]", "h:": `invalid port ""`, "h:0": `invalid port "0"`, "h:05000": `invalid port "05000"`,
		"h:70000": `invalid port "70000"`, "::1:5000": "in brackets", "[10.0.0.5]": "IPv6", "[fe80::1%25eth0]": "IPv6", "[::1": "brackets", "[": "IPv6",
		"h\"\n[host.\"x\"]": `invalid host "h\"\n`,
	} {
		err := CheckHost(host)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckHost(%q) = %v, want an error with %q", host, err, want)
		}
	}
}

func TestParseDigest(t *testing.T) {
	for s, algorithm := range map[string]string{
		digest: "sha256", "sha512:" + sha256Hex + sha256Hex: "sha512",
		"": "", "sha256": "", "sha256:": "", digest[1:]: "", digest + "0": "", "sha256:" + strings.ToUpper(sha256Hex): "",
		"md5:d41d8cd98f00b204e9800998ecf8427e": "", "sha512:" + sha256Hex: "", "sha256:../" + sha256Hex[3:]: "",
	} {
		d, err := ParseDigest(s)
		if d.Algorithm() != algorithm || algorithm != "" && string(d) != s || (err == nil) != (algorithm != "") || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseDigest(%q) = %q, %v, want %q", s, d, err, algorithm)
		}
	}
	if got := Sum("sha256", NewHash("sha256")); got != digest || got.Path() != "sha256/"+sha256Hex {
		t.Errorf("Sum of nothing = %s at %s, want %s", got, got.Path(), digest)
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Reference{
		"a":                {Repository: "a"},
		"a/b:1":            {Repository: "a/b", Tag: "1"},
		"ghcr.io/cached:1": {Repository: "ghcr.io/cached", Tag: "1"},
		"a@" + digest:      {Repository: "a", Digest: digest},
		"a:1@" + digest:    {Repository: "a", Tag: "1", Digest: digest},
	} {
		if got, err := Parse(s); err != nil || got != want || got.String() != s {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "repository", ":1": "repository", "a:": "tag", "a:b:c": "repository", "a:1/b": "repository", "a@": "digest", "a@sha256:12": "digest", "A:1": "lower case",
	} {
		if got, err := Parse(s); got != (Reference{}) || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %+v, %v, want an error about the %s", s, got, err, want)
		}
	}
}

func TestParseImage(t *testing.T) {
	for _, tt := range []struct {
		s                string
		want             Reference
		normalized, asks string
	}{
		{"busybox", Reference{Repository: "busybox"}, "docker.io/library/busybox:latest", "latest"},
		{"busybox:1.37", Reference{Repository: "busybox", Tag: "1.37"}, "docker.io/library/busybox:1.37", "1.37"},
		{"velero/velero:v1.17.0", Reference{Repository: "velero/velero", Tag: "v1.17.0"}, "docker.io/velero/velero:v1.17.0", "v1.17.0"},
		{"index.docker.io/x:1", Reference{Host: "index.docker.io", Repository: "x", Tag: "1"}, "docker.io/library/x:1", "1"},
		{"registry-1.docker.io/x:1", Reference{Host: "registry-1.docker.io", Repository: "x", Tag: "1"}, "registry-1.docker.io/x:1", "1"},
		{"10.0.0.5:5000/a:v1", Reference{Host: "10.0.0.5:5000", Repository: "a", Tag: "v1"}, "10.0.0.5:5000/a:v1", "v1"},
		{"[fd00::1]:5000/a", Reference{Host: "[fd00::1]:5000", Repository: "a"}, "[fd00::1]:5000/a:latest", "latest"},
		{"localhost/a:v1", Reference{Host: "localhost", Repository: "a", Tag: "v1"}, "localhost/a:v1", "v1"},
		{"quay.io/a/b@" + digest, Reference{Host: "quay.io", Repository: "a/b", Digest: digest}, "quay.io/a/b@" + digest, digest},
		{"quay.io/a/b:v1@" + digest, Reference{Host: "quay.io", Repository: "a/b", Tag: "v1", Digest: digest}, "quay.io/a/b@" + digest, digest},
		{"registry.local/k0rdent/a__b/c-d:1.0.0_b.1", Reference{Host: "registry.local", Repository: "k0rdent/a__b/c-d", Tag: "1.0.0_b.1"}, "registry.local/k0rdent/a__b/c-d:1.0.0_b.1", "1.0.0_b.1"},
	} {
		got, err := ParseImage(tt.s)
		if err != nil || got != tt.want || got.String() != tt.s || got.Normalized().String() != tt.normalized || got.Identifier() != tt.asks {
			t.Errorf("ParseImage(%q) = %+v, %v, in full %s, asks for %s; want %+v, %s, %s", tt.s, got, err, got.Normalized(), got.Identifier(), tt.want, tt.normalized, tt.asks)
		}
	}
	for _, s := range []string{"", ":v1", "a:", "a:b:c", "oci://a/b", "https://github.com/a/b", "a b", "A/b", "quay.io/", "/a", "a//b",
		"a@sha256:12", "a@", "../a", "../../etc", "quay.io/A/b", "quay.io:port/x", "ci_registry:5000/x", "{{ .Values.image }}", "${IMAGE}", strings.Repeat("a", 300)} {
		if got, err := ParseImage(s); got != (Reference{}) || !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseImage(%q) = %+v, %v, want an error", s, got, err)
		}
	}
}

func TestParseSite(t *testing.T) {
	for s, want := range map[string]Site{
		"localhost:5000":                    {Host: "localhost:5000"},
		"10.0.0.5:5000/":                    {Host: "10.0.0.5:5000"},
		"registry.local/k0rdent-enterprise": {Host: "registry.local", Prefix: "k0rdent-enterprise"},
		"[fd00::5]:5000/a/b/":               {Host: "[fd00::5]:5000", Prefix: "a/b"},
	} {
		got, err := ParseSite(s)
		if err != nil || got != want || got.String() != strings.TrimSuffix(s, "/") {
			t.Errorf("ParseSite(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "must be HOST", "/": "must be HOST", "http://x": "must be HOST", "x/UPPER": "lower case", "x/a//b": "invalid prefix", "x/../y": "invalid prefix",
		"u:secret@x": "no user name or password", "https://u:secret@x": "no user name or password", "h:0/p": "invalid port",
	} {
		if got, err := ParseSite(s); got != (Site{}) || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseSite(%q) = %+v, %v, want an error with %q", s, got, err, want)
		}
	}
	if _, err := ParseSite("http://x"); !errors.Is(err, ErrScheme) {
		t.Errorf("a scheme: %v, want ErrScheme", err)
	}
	if _, err := ParseSite("u@x"); !errors.Is(err, ErrLogin) {
		t.Errorf("a login: %v, want ErrLogin", err)
	}
	if got := (Site{"h", "p"}).Repository("a") + (Site{Host: "h"}).Repository("/b"); got != "p/a/b" {
		t.Errorf("Repository = %s, want p/a and /b", got)
	}
}

// What parses is printed unchanged, and so are its parts.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a/b:1@" + digest, "a", "a:b:c", "a@", ":", "x:1/y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if r != (Reference{}) || !errors.Is(err, ErrInvalid) {
				t.Fatalf("Parse(%q) = %+v, %v", s, r, err)
			}
			return
		}
		if r.String() != s || r.Host != "" || CheckRepository(r.Repository) != nil || r.Tag != "" && CheckTag(r.Tag) != nil {
			t.Fatalf("Parse(%q) = %+v", s, r)
		}
		if d, err := ParseDigest(string(r.Digest)); r.Digest != "" && (err != nil || d != r.Digest) {
			t.Fatalf("Parse(%q) has the digest %q", s, r.Digest)
		}
	})
}

// What parses is printed unchanged. Normalized, it does not change again, has a host
// and a tag or a digest, and cannot lead out of a directory of its name.
func FuzzParseImage(f *testing.F) {
	for _, s := range []string{"busybox", "a.b/c:d", "[::1]:5000/x@sha256:" + strings.Repeat("a", 64), "localhost/x", "a/b/c", ":/", "index.docker.io/redis",
		"10.0.0.5:5000/k0sproject/k0s:v1@sha256:ab", "localhost/a:b/c@", "quay.io/jetstack/cert-manager-controller:v1.19.1@" + digest, "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseImage(s)
		if err != nil {
			if r != (Reference{}) || !errors.Is(err, ErrInvalid) {
				t.Fatalf("ParseImage(%q) = %+v, %v", s, r, err)
			}
			return
		}
		if r.String() != s || HasHost(s) != (r.Host != "") {
			t.Fatalf("ParseImage(%q) = %+v", s, r)
		}
		n := r.Normalized()
		if again, err := ParseImage(n.String()); err != nil && len(n.Repository) <= maxRepository || err == nil && (again != n || again.Normalized() != n) {
			t.Fatalf("%q is %s in full, which is %+v, %v", s, n, again, err)
		}
		if (n.Tag == "") == (n.Digest == "") || n.Identifier() != n.Tag+string(n.Digest) {
			t.Fatalf("%q is %+v in full", s, n)
		}
		if strings.ContainsAny(n.Host, "/\\\"\n") || strings.HasPrefix(n.Host, ".") {
			t.Fatalf("%q has the host %q", s, n.Host)
		}
	})
}

// What parses is printed unchanged, except for a trailing slash, and a repository can
// be below it.
func FuzzSite(f *testing.F) {
	for _, s := range []string{"localhost:5000", "a/b/c/", "[::1]/x", "http://a", "a/B", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		site, err := ParseSite(s)
		if err != nil {
			if site != (Site{}) {
				t.Fatalf("ParseSite(%q) = %+v, %v", s, site, err)
			}
			return
		}
		if site.Host == "" || strings.Contains(site.Host, "/") || strings.TrimSuffix(s, "/") != site.String() {
			t.Fatalf("ParseSite(%q) = %+v", s, site)
		}
		if name := site.Repository("a"); CheckRepository(name) != nil && len(name) <= maxRepository {
			t.Fatalf("ParseSite(%q): no repository can be below %q", s, site.Prefix)
		}
	})
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{digest, "sha512:" + sha256Hex + sha256Hex, "sha256:", "md5:00", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if err != nil {
			if d != "" || !errors.Is(err, ErrInvalid) {
				t.Fatalf("ParseDigest(%q) = %q, %v", s, d, err)
			}
			return
		}
		if string(d) != s || NewHash(d.Algorithm()) == nil || strings.Contains(d.Path(), "..") || strings.Count(d.Path(), "/") != 1 {
			t.Fatalf("ParseDigest(%q) = %q at %q", s, d, d.Path())
		}
	})
}
