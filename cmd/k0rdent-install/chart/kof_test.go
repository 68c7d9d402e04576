package chart

import (
	"slices"
	"strings"
	"testing"
)

// kofChart returns a packed chart of KOF with one template.
func kofChart(t *testing.T, name, template string) []byte {
	return tgz(t, map[string]string{
		"chart/Chart.yaml":            "apiVersion: v2\nname: " + name + "\nversion: 1.5.0\n",
		"chart/values.yaml":           "global: {registry: ''}\n",
		"chart/templates/object.yaml": template,
	})
}

// TestClosureOfKOF: the images and charts that KOF's charts name are looked up if the
// registry has these charts, and are optional.
func TestClosureOfKOF(t *testing.T) {
	m := complete(t)
	m.chart("kof-mothership", "1.5.0", kofChart(t, "kof-mothership", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: promxy}
spec:
  template:
    spec:
      containers:
      - {name: a, image: "{{ .Values.global.registry }}/kof/promxy:v1"}
      - {name: b, image: "{{ .Values.global.registry }}/kof/absent:v1"}
      - {name: c, image: "docker.io/elsewhere/reload:v0.5.0"}
`))
	m.chart("kof-child", "1.5.0", kofChart(t, "kof-child", `
apiVersion: k0rdent.mirantis.com/v1beta1
kind: MultiClusterService
metadata: {name: child}
spec:
  values: |
    image: {repository: "{{ .Values.global.registry }}/otel/collector"}
    hub: {{ .Values.global.hub }}
`))
	m.chart("kof-broken", "1.5.0", kofChart(t, "kof-broken", `{{ fail "a domain is required" }}`))
	m.chart("kofi", "1.0.0", kofChart(t, "kofi", `{{ fail "not KOF's" }}`))
	m.image("kof/promxy", "v1")
	m.image("istio/pilot", "1.2.3")
	c := platform(t, "1.4")
	values, _ := derive(t, c, everything, m)
	needs, _, err := c.Closure(t.Context(), values, everything, m)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		registry + "/kof/promxy:v1":           "found",
		registry + "/kof/absent:v1":           "missing",
		"docker.io/elsewhere/reload:v0.5.0":   "outside missing",
		registry + "/otel/collector":          "missing",
		registry + "/charts/kof-broken:1.5.0": "found a domain is required",
	}
	for _, n := range needs {
		if !slices.ContainsFunc(n.RequiredBy, func(by string) bool { return strings.HasPrefix(by, "chart kof") || by == "KOF" }) {
			if n.Missing && !n.Optional {
				t.Errorf("%s is missing for %q", n.Reference, n.RequiredBy)
			}
			continue
		}
		got := map[bool]string{true: "missing", false: "found"}[n.Missing]
		if n.Outside {
			got = "outside " + got
		}
		words, known := want[n.Reference]
		verdict, remark, _ := strings.Cut(words, " a ")
		if !known || got != verdict || !n.Optional || !strings.Contains(n.Remark, remark) {
			t.Errorf("%s: %s, optional %v, %q, want %q", n.Reference, got, n.Optional, n.Remark, words)
		}
		delete(want, n.Reference)
	}
	if len(want) > 0 {
		t.Errorf("not looked up: %v", want)
	}
}
