package k0s

import (
	"strings"
	"testing"
)

func TestParseMirror(t *testing.T) {
	tests := []struct {
		in, want, root string
		override       bool
	}{
		{"https://10.0.0.5:5000", "https://10.0.0.5:5000", "https://10.0.0.5:5000", false},
		{"10.0.0.5:5000/k0rdent-enterprise", "https://10.0.0.5:5000/k0rdent-enterprise", "https://10.0.0.5:5000/v2/k0rdent-enterprise", true},
		{"https://Registry.Site/a/b/", "https://registry.site/a/b", "https://registry.site/v2/a/b", true},
		{"http://[fd00::5]:5000/", "http://[fd00::5]:5000", "http://[fd00::5]:5000", false},
		{"[::1]", "https://[::1]", "https://[::1]", false},
		{"registry", "https://registry", "https://registry", false},
	}
	for _, tt := range tests {
		m, err := ParseMirror(tt.in)
		root, override := m.root()
		if err != nil || m.String() != tt.want || root != tt.root || override != tt.override {
			t.Errorf("ParseMirror(%q) = %s, %s %v, %v, want %s, %s %v", tt.in, m, root, override, err, tt.want, tt.root, tt.override)
		}
	}
	for in, want := range map[string]string{
		"":                          "must be HOST[:PORT]",
		"oci://h/p":                 "must be https://",
		"https://user:pw@h:5000":    "no user name or password",
		"https://h:0":               "port",
		"https://h:70000":           "port",
		"https://h:05000":           "port",
		"https://::1:5000":          "brackets",
		"https://[fe80::1%25eth0]":  "IPv6",
		"https://[10.0.0.5]":        "IPv6",
		"https://h/Prefix":          "must be lower case",
		"https://h/a//b":            "invalid prefix",
		"https://h/v2/k0rdent":      "omit the path of the registry's API, /v2",
		"https://h/p?x=1":           "invalid prefix",
		"https://h\"\n[host.\"x\"]": "invalid host",
		"https://-h":                "invalid host",
		"https://h..x":              "invalid host",
	} {
		if m, err := ParseMirror(in); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw") {
			t.Errorf("ParseMirror(%q) = %s, %v, want an error with %q", in, m, err, want)
		}
	}
}

// The requests at a mirror, by the registry in an image's name.
func TestFor(t *testing.T) {
	tests := []struct{ mirror, image, want string }{
		{"https://m:5000", "quay.io/k0sproject/coredns:1.12.2", "k0sproject/coredns"},
		{"https://m:5000/p", "quay.io/k0sproject/coredns:1.12.2", "p/k0sproject/coredns"},
		{"https://m:5000/p", "registry.k8s.io/pause:3.9", "p/pause"},
		{"https://m:5000/p", "busybox", "p/library/busybox"},
		// The mirror's own images have the prefix in their path.
		{"https://m:5000/p", "m:5000/p/k0sproject/coredns:1.12.2", "p/k0sproject/coredns"},
		{"https://m/p", "m:443/p/x:1", "p/x"},
		{"https://m.site:443/p", "m.site/p/x:1", "p/x"},
		{"http://m.site/p", "m.site:443/p/x:1", "p/p/x"},
		// The vendor's images keep their path in a site's registry that was filled
		// under it, directly or as a proxy's project.
		{"https://m:5000/k0rdent-enterprise", "registry.mirantis.com/k0rdent-enterprise/kcm-controller:1.2.3", "k0rdent-enterprise/kcm-controller"},
		{"https://m:5000/proxy/k0rdent-enterprise", "registry.mirantis.com/k0rdent-enterprise/kcm-controller:1.2.3", "proxy/k0rdent-enterprise/kcm-controller"},
		{"https://m:5000/xk0rdent-enterprise", "registry.mirantis.com/k0rdent-enterprise/x:1", "xk0rdent-enterprise/k0rdent-enterprise/x"},
		{"https://m:5000", "registry.mirantis.com/k0rdent-enterprise/x:1", "k0rdent-enterprise/x"},
	}
	for _, tt := range tests {
		m, err := ParseMirror(tt.mirror)
		if err != nil {
			t.Fatal(err)
		}
		i, err := Image(tt.image)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Repository(i); got != tt.want {
			t.Errorf("%s at %s: %s, want %s", tt.image, tt.mirror, got, tt.want)
		}
	}
}

func TestImage(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tests := map[string]string{
		"busybox":                       "docker.io/library/busybox:latest",
		"x/y:1":                         "docker.io/x/y:1",
		"index.docker.io/library/x":     "docker.io/library/x:latest",
		"localhost/x":                   "localhost/x:latest",
		"localhost:5000/x/y:v1":         "localhost:5000/x/y:v1",
		"[::1]:5000/x:v1":               "[::1]:5000/x:v1",
		"quay.io/a/b:v1@" + digest:      "quay.io/a/b@" + digest,
		"quay.io/a/b@" + digest:         "quay.io/a/b@" + digest,
		"registry-1.docker.io/x":        "registry-1.docker.io/x:latest",
		"quay.io/k0sproject/pause:3.10": "quay.io/k0sproject/pause:3.10",
	}
	for in, want := range tests {
		i, err := Image(in)
		if err != nil || i.String() != want {
			t.Errorf("Image(%q) = %s, %v, want %s", in, i, err, want)
			continue
		}
		if again, err := Image(i.String()); err != nil || again != i {
			t.Errorf("Image(%q) = %v, %v, want %v", i.String(), again, err, i)
		}
	}
	for _, in := range []string{"", "quay.io/", "quay.io/X", "quay.io/x:", "quay.io/x@sha256:abc", "../../etc", "a b", "quay.io:port/x", "Quay.io/x"} {
		if i, err := Image(in); err == nil {
			t.Errorf("Image(%q) = %s, want an error", in, i)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	if got, want := BasicAuth("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="; got != want { // RFC 7617, section 2
		t.Errorf("BasicAuth = %s, want %s", got, want)
	}
}

// What parses is a reference to the same image, and cannot lead out of a directory
// named after its registry.
func FuzzImage(f *testing.F) {
	for _, s := range []string{"busybox", "a.b/c:d", "[::1]:5000/x@sha256:" + strings.Repeat("a", 64), "localhost/x", "a/b/c", ":/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, err := Image(s)
		if err != nil {
			return
		}
		if again, err := Image(i.String()); err != nil || again != i {
			t.Errorf("Image(%q) = %v, Image of that = %v, %v", s, i, again, err)
		}
		if strings.ContainsAny(i.Host, "/\\\"\n") || strings.HasPrefix(i.Host, ".") {
			t.Errorf("Image(%q) has the host %q", s, i.Host)
		}
	})
}
