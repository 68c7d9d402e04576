package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	c := platform(t, "1.2")
	if c.Name() != "k0rdent-enterprise" || c.Version() != "1.2.3" {
		t.Errorf("Load = %s %s, want k0rdent-enterprise 1.2.3", c.Name(), c.Version())
	}
	if _, err := Load(strings.NewReader("not an archive")); err == nil {
		t.Error("Load of another file = nil, want an error")
	}
	if _, err := Load(bytes.NewReader(tgz(t, map[string]string{"c/values.yaml": "a: 1"}))); err == nil {
		t.Error("Load without Chart.yaml = nil, want an error")
	}
	if _, err := Load(bytes.NewReader(tgz(t, map[string]string{"../../etc/passwd": "x"}))); err == nil {
		t.Error("Load of a path outside the chart = nil, want an error")
	}
	whole := pack(t, layouts["1.2"])
	for _, n := range []int{0, 1, len(whole) / 2} {
		if _, err := Load(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("Load of %d bytes of %d = nil, want an error", n, len(whole))
		}
	}
}

// Packed subcharts are read like unpacked ones.
func TestLoadPackedSubcharts(t *testing.T) {
	sub := map[string]string{"sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "sub/values.yaml": "image: {repository: quay.io/a/b, tag: v1}\n",
		"sub/templates/x.yaml": "kind: Pod\nspec: {containers: [{image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'}]}\n"}
	c := single(t, "", "", map[string]string{
		"c/Chart.yaml":           "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, alias: other}]\n",
		"c/charts/sub-1.0.0.tgz": string(tgz(t, sub)),
	})
	m, err := c.Render(map[string]any{"other": map[string]any{"image": map[string]any{"tag": "v2"}}}, documented, FirstPass)
	if err != nil {
		t.Fatal(err)
	}
	if got := references(m); !slices.Equal(got, []string{"quay.io/a/b:v2"}) {
		t.Errorf("images = %q, want that of the packed subchart", got)
	}
}

// zeros returns a chart that unpacks to many times its size: files of zeros, each a
// separate gzip member.
func zeros(t *testing.T, files, size int) []byte {
	t.Helper()
	member := func(name string, content []byte) []byte {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		tw := tar.NewWriter(zw)
		if err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := tw.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	chart := member("c/Chart.yaml", []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n"))
	return append(chart, bytes.Repeat(member("c/files/zeros", make([]byte, size)), files)...)
}

func TestLoadBombs(t *testing.T) {
	for name, p := range map[string][]byte{
		"one large file":   zeros(t, 1, 6<<20),
		"many large files": zeros(t, 25, 5<<20),
	} {
		if _, err := Load(bytes.NewReader(p)); err == nil {
			t.Errorf("%s: Load of %d bytes = nil, want it refused", name, len(p))
		}
	}
	// Each archive is within Helm's own bounds, together they are not.
	part := string(zeros(t, 15, 4<<20))
	nested := map[string]string{"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "c/charts/a.tgz": part, "c/charts/b.tgz": part}
	if _, err := Load(bytes.NewReader(tgz(t, nested))); !errors.Is(err, ErrTooBig) {
		t.Errorf("two packed subcharts of 56 MiB: %v, want %v", err, ErrTooBig)
	}
	deep := tgz(t, map[string]string{"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n"})
	for range 6 {
		deep = tgz(t, map[string]string{"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "c/charts/c.tgz": string(deep)})
	}
	if _, err := Load(bytes.NewReader(deep)); !errors.Is(err, ErrTooBig) {
		t.Errorf("subcharts packed six deep: %v, want %v", err, ErrTooBig)
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { // incompressible, and larger than any chart
		zw, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
		tw := tar.NewWriter(zw)
		for i := 0; tw.WriteHeader(&tar.Header{Name: fmt.Sprint("c/", i), Size: 4 << 20, Mode: 0o644}) == nil; i++ {
			if _, err := tw.Write(make([]byte, 4<<20)); err != nil {
				return
			}
		}
	}()
	if _, err := Load(r); !errors.Is(err, ErrTooBig) {
		t.Errorf("an endless archive: %v, want %v", err, ErrTooBig)
	}
}

// The values of the second pass are those that the platform's controller sets.
func TestSecondPass(t *testing.T) {
	for _, row := range []struct{ layout, values, path, want string }{
		{"1.2", "", "controller.createManagement", "false"},
		{"1.2", "controller: {createRelease: true}", "controller.createRelease", "true"},
		{"1.2", "", "admissionWebhook.enabled", "true"},
		{"1.2", "", "regional.cluster-api-operator.enabled", "true"},
		{"1.0", "", "cluster-api-operator.enabled", "true"},
		{"1.2", "regional: {velero: {enabled: false}}", "regional.velero.enabled", "false"},
		{"1.2", "velero: {enabled: false}", "regional.velero.enabled", "false"},
		{"1.2", "cert-manager: {image: {repository: old/place}}", "regional.cert-manager.image.repository", "old/place"},
		{"1.2", "{cert-manager: {image: {repository: old/place}}, regional: {cert-manager: {image: {repository: new/place}}}}", "regional.cert-manager.image.repository", "new/place"},
		{"1.2", "controller: {globalRegistry: r.local/p}", "global.registry", "r.local/p"},
		{"1.2", "{controller: {globalRegistry: r.local/p}, global: {registry: other}}", "global.registry", "other"},
		{"1.4", "controller: {imagePullSecret: s}", "global.imagePullSecrets", "- name: s"},
		{"1.4", "", "global", ""},
	} {
		got, err := platform(t, row.layout).secondPass(table(t, row.values))
		if err != nil {
			t.Fatal(err)
		}
		v, ok := lookup(got, parsePath(row.path))
		if row.want == "" {
			if ok {
				t.Errorf("%s with %q: %s = %v, want it unset", row.layout, row.values, row.path, v)
			}
			continue
		}
		if s := strings.TrimSpace(asYAML(t, v)); !ok || s != row.want {
			t.Errorf("%s with %q: %s = %s, want %s", row.layout, row.values, row.path, s, row.want)
		}
	}
}

// The conditions of subcharts determine the parts of each pass.
func TestRenderedParts(t *testing.T) {
	for _, row := range []struct {
		layout, values string
		pass           int
		with, without  string
	}{
		{"1.2", "", FirstPass, "Deployment velero", "Deployment capi-operator-controller-manager"},
		{"1.2", "", SecondPass, "Deployment capi-operator-controller-manager", ""},
		{"1.2", "regional: {velero: {enabled: false}}", SecondPass, "", "Deployment velero"},
		{"1.2", "regional: {telemetry: {mode: disabled}}", FirstPass, "", "Deployment kcm-regional-telemetry"},
		{"1.2", "flux2: {enabled: false}", FirstPass, "", "Deployment helm-controller"},
		{"1.2", "", FirstPass, "Job kcm-flux-check", "Deployment image-automation-controller"},
		{"1.0", "velero: {upgradeCRDs: true}", FirstPass, "Job velero-upgrade-crds", ""},
	} {
		m, err := platform(t, row.layout).Render(table(t, row.values), documented, row.pass)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range m {
			names = append(names, o.String())
		}
		if row.with != "" && !slices.Contains(names, row.with) {
			t.Errorf("%s, pass %d with %q: no %s in %q", row.layout, row.pass, row.values, row.with, names)
		}
		if slices.Contains(names, row.without) {
			t.Errorf("%s, pass %d with %q: %s is rendered", row.layout, row.pass, row.values, row.without)
		}
	}
}

// Templates see the site's version of Kubernetes, not Helm's default.
func TestKubeVersion(t *testing.T) {
	c := platform(t, "1.2")
	m, err := c.Render(table(t, "regional: {velero: {upgradeCRDs: true}}"), Site{KubeVersion: "v1.35.4+k0s.0"}, FirstPass)
	if err != nil || !slices.Contains(references(m), "docker.io/bitnamilegacy/kubectl:1.35") {
		t.Errorf("images on 1.35 = %q, %v, want kubectl:1.35 among them", references(m), err)
	}
	if _, err := platform(t, "1.4").Render(nil, Site{KubeVersion: "v1.29.3"}, FirstPass); err == nil || !strings.Contains(err.Error(), "requires Kubernetes >= 1.30.0-0, and this is v1.29.3") {
		t.Errorf("Render on 1.29: %v, want the required version", err)
	}
	if _, err := c.Render(nil, Site{KubeVersion: "soon"}, FirstPass); err == nil {
		t.Error(`Render on "soon" = nil, want an error`)
	}
}

func TestSchemas(t *testing.T) {
	for _, row := range []struct{ layout, values, want string }{
		{"1.2", "", ""},
		{"1.2", "image: {tag: 1.2}", "/image/tag"},
		{"1.2", "regional: {telemetry: {mode: 'off'}}", "regional: at '/telemetry/mode'"},
		{"1.2", "regional: {telemetry: {controler: {}}}", "controler"},
		{"1.2", "regional: {cert-manager: {imageRegistry: x}}", "imageRegistry"}, // only since 1.20
		{"1.4", "regional: {cert-manager: {imageRegistry: x}}", ""},
		{"1.2", "regional: {cert-manager: {enabled: false, imageRegistry: x}}", ""}, // disabled, so not validated
		{"1.2", "cert-manager: {image: {repository: x}}", ""},                       // accepted, without effect
	} {
		_, err := platform(t, row.layout).Render(table(t, row.values), documented, FirstPass)
		if (err == nil) != (row.want == "") || err != nil && (!strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("Render %s with %q = %v, want an error of one line with %q", row.layout, row.values, err, row.want)
		}
	}
}

// The first pass is an install for Helm, the second an upgrade.
func TestPassesForHelm(t *testing.T) {
	c := single(t, "", "kind: Pod\nmetadata: {name: '{{ .Release.Name }}-{{ .Release.Revision }}-{{ .Release.IsInstall }}-{{ .Release.IsUpgrade }}', namespace: '{{ .Release.Namespace }}'}\n", nil)
	for pass, want := range map[int]string{FirstPass: "kcm-1-true-false", SecondPass: "kcm-2-false-true"} {
		m, err := c.Render(nil, documented, pass)
		if err != nil || m[0].Name() != want || text(m[0].Content, "metadata", "namespace") != "kcm-system" {
			t.Errorf("pass %d: %v, %v, want %s in kcm-system", pass, m, err, want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	for name, row := range map[string]struct{ template, want string }{
		"fails":            {`{{ fail "no" }}`, "no"},
		"requires a value": {`{{ required "who is required" .Values.who }}`, "who is required"},
		"not YAML":         {"a: b: c", "template c/templates/all.yaml"},
		"an empty tag":     {"kind: Pod\nspec:\n  containers:\n    - image: a/b:\n      name: x\n", "template c/templates/all.yaml"},
	} {
		if _, err := single(t, "", row.template, nil).Render(nil, documented, FirstPass); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Render = %v, want an error with %q", name, err, row.want)
		}
	}
}
