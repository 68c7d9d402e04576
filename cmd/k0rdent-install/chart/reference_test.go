package chart

import (
	"strings"
	"testing"

	"k0rdent-airgap/lib/ref"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

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
		"ghcr.io/stakater/reloader":             "stakater/reloader", // the longer of two suffixes
		"ghcr.io/cached/whole":                  "ghcr.io/cached/whole",
		"quay.io/jetstack/cert-manager-webhook": "",
		"quay.io/a/xcontroller":                 "", // whole elements only
	} {
		got, ok := match(name, have)
		if got != want || ok != (want != "") {
			t.Errorf("match(%q) = %q, %v, want %q", name, got, ok, want)
		}
	}
	// All spellings are the same image.
	for _, name := range []string{"redis", "docker.io/redis", "docker.io/library/redis", "index.docker.io/redis", "library/redis"} {
		if got := full(name); got != "docker.io/library/redis" {
			t.Errorf("full(%q) = %q, want docker.io/library/redis", name, got)
		}
	}
	// A registry with the project's own names.
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

// match finds any suffix of a name.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"busybox", "quay.io/jetstack/cert-manager-controller:v1.19.1@" + someDigest, "[::1]:5000/a", "a:b", "localhost/x", "index.docker.io/redis"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ref.ParseImage(s)
		if err != nil {
			return
		}
		if again := full(full(r.Name())); again != full(r.Name()) {
			t.Errorf("%q is %s in full, and that is %s", s, full(r.Name()), again)
		}
		for end := r.Normalized().Repository; end != ""; {
			got, ok := match(r.Name(), map[string]bool{end: true})
			if !ok || got != end {
				t.Errorf("match(%q) does not find %q", r.Name(), end)
			}
			_, end, _ = strings.Cut(end, "/")
		}
	})
}
