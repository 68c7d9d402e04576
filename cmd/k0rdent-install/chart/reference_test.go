package chart

import (
	"strings"
	"testing"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseReference(t *testing.T) {
	for s, want := range map[string]reference{
		"busybox":                         {name: "busybox"},
		"busybox:1.37":                    {name: "busybox", tag: "1.37"},
		"velero/velero:v1.17.0":           {name: "velero/velero", tag: "v1.17.0"},
		"10.0.0.5:5000/a":                 {name: "10.0.0.5:5000/a"},
		"10.0.0.5:5000/a:v1":              {name: "10.0.0.5:5000/a", tag: "v1"},
		"[fd00::1]:5000/a:v1":             {name: "[fd00::1]:5000/a", tag: "v1"},
		"quay.io/a/b@" + someDigest:       {name: "quay.io/a/b", digest: someDigest},
		"quay.io/a/b:v1@" + someDigest:    {name: "quay.io/a/b", tag: "v1", digest: someDigest},
		registry + "/charts/x:1.0.0_b.1":  {name: registry + "/charts/x", tag: "1.0.0_b.1"},
		"localhost/a:v1":                  {name: "localhost/a", tag: "v1"},
		"registry.local/k0rdent/a__b/c-d": {name: "registry.local/k0rdent/a__b/c-d"},
	} {
		if got, ok := parseReference(s); !ok || got != want {
			t.Errorf("parseReference(%q) = %+v, %v, want %+v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", ":v1", "a:", "a:b:c", "oci://a/b", "https://github.com/a/b", "a b", "A/b", "quay.io/", "/a", "a//b",
		"a@sha256:12", "a@", "../a", "quay.io/A/b", "{{ .Values.image }}", "${IMAGE}", strings.Repeat("a", 300)} {
		if got, ok := parseReference(s); ok {
			t.Errorf("parseReference(%q) = %+v, want it refused", s, got)
		}
	}
}

func TestIdentifier(t *testing.T) {
	for s, want := range map[string]string{"a/b": "latest", "a/b:v1": "v1", "a/b:v1@" + someDigest: someDigest} {
		r, _ := parseReference(s)
		if got := r.identifier(); got != want {
			t.Errorf("%q is asked for as %q, want %q", s, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	have := map[string]bool{}
	for _, r := range []string{"kcm-controller", "kcm-telemetry", "controller", "busybox", "velero/velero", "jetstack/cert-manager-controller",
		"stakater/reloader", "reloader", "library/redis", "ghcr.io/cached/whole"} {
		have[r] = true
	}
	for name, want := range map[string]string{
		"ghcr.io/k0rdent/kcm/controller":                                            "kcm-controller",
		"ghcr.io/k0rdent/kcm/telemetry":                                             "kcm-telemetry",
		"registry.mirantis.com/k0rdent-enterprise/kcm-controller":                   "kcm-controller",
		"registry.mirantis.com/k0rdent-enterprise/jetstack/cert-manager-controller": "jetstack/cert-manager-controller",
		"busybox":                               "busybox",
		"docker.io/library/busybox":             "busybox",
		"redis":                                 "library/redis",
		"velero/velero":                         "velero/velero",
		"docker.io/velero/velero":               "velero/velero",
		"ghcr.io/stakater/reloader":             "stakater/reloader", // not the shorter one
		"ghcr.io/cached/whole":                  "ghcr.io/cached/whole",
		"quay.io/jetstack/cert-manager-webhook": "",
		"quay.io/a/xcontroller":                 "", // whole elements only
	} {
		got, ok := match(name, have)
		if got != want || ok != (want != "") {
			t.Errorf("match(%q) = %q, %v, want %q", name, got, ok, want)
		}
	}
	// One image, however it is spelt.
	for _, name := range []string{"redis", "docker.io/redis", "docker.io/library/redis", "index.docker.io/redis", "library/redis"} {
		if got := full(name); got != "docker.io/library/redis" {
			t.Errorf("full(%q) = %q, want docker.io/library/redis", name, got)
		}
	}
	// The registry of somebody who kept the project's own names.
	if got, _ := match("ghcr.io/k0rdent/kcm/controller", map[string]bool{"k0rdent/kcm/controller": true}); got != "k0rdent/kcm/controller" {
		t.Errorf("match without the vendor's name = %q, want the project's", got)
	}
}

func TestInside(t *testing.T) {
	s := Site{Registry: registry}
	for name, want := range map[string]string{
		registry + "/kcm-controller":  "kcm-controller",
		registry + "/charts/flux2":    "charts/flux2",
		registry + "-other/a":         "",
		registry + "kubernetes-csi/a": "",
		"registry.local/a":            "",
		"quay.io/" + registry + "/a":  "",
	} {
		if got, ok := s.inside(name); ok != (want != "") || ok && got != want {
			t.Errorf("inside(%q) = %q, %v, want %q", name, got, ok, want)
		}
	}
}

// A reference that parses is written back as it was, and matching gives what
// the registry has, being an end of the name.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"busybox", "quay.io/jetstack/cert-manager-controller:v1.19.1@" + someDigest, "[::1]:5000/a", "a:b", "localhost/x", "index.docker.io/redis"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := parseReference(s)
		if !ok {
			return
		}
		if r.String() != s {
			t.Errorf("parseReference(%q) is written as %q", s, r)
		}
		host, path := place(r.name)
		if again, ok := parseReference(host + "/" + path); !ok || again.rest() != "" || full(again.name) != full(r.name) {
			t.Errorf("%q is placed at %s/%s, which is placed elsewhere", s, host, path)
		}
		for end := path; end != ""; {
			got, ok := match(r.name, map[string]bool{end: true})
			if !ok || got != end {
				t.Errorf("match(%q) does not find %q", r.name, end)
			}
			_, end, _ = strings.Cut(end, "/")
		}
	})
}
