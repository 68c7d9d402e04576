package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// layouts describes the platform's charts of four releases: the path of each chart of
// testdata/charts in it.
var layouts = map[string]map[string]string{
	"1.0": {
		"":                            "platform-1.0",
		"charts/flux2":                "flux2",
		"charts/cert-manager-v1.19.1": "cert-manager-1.19", // a directory as the archive was named
		"charts/cluster-api-operator": "cluster-api-operator",
		"charts/velero":               "velero",
	},
	"1.1": {
		"":                            "platform-1.1",
		"charts/flux2":                "flux2",
		"charts/cert-manager":         "cert-manager-1.19",
		"charts/cluster-api-operator": "cluster-api-operator",
		"charts/velero":               "velero",
		"charts/k0rdent-ui":           "k0rdent-ui",
	},
	"1.2": {
		"":                    "platform-1.2",
		"charts/flux2":        "flux2",
		"charts/rbac-manager": "rbac-manager",
		"charts/k0rdent-ui":   "k0rdent-ui",
		"charts/kcm-regional": "regional-1.2",
		"charts/kcm-regional/charts/cert-manager":         "cert-manager-1.19",
		"charts/kcm-regional/charts/cluster-api-operator": "cluster-api-operator",
		"charts/kcm-regional/charts/velero":               "velero",
	},
	"1.4": {
		"":                    "platform-1.4",
		"charts/flux2":        "flux2",
		"charts/rbac-manager": "rbac-manager",
		"charts/k0rdent-ui":   "k0rdent-ui",
		"charts/kcm-regional": "regional-1.4",
		"charts/kcm-regional/charts/cert-manager":         "cert-manager-1.20",
		"charts/kcm-regional/charts/cluster-api-operator": "cluster-api-operator",
		"charts/kcm-regional/charts/velero":               "velero",
		"charts/kcm-regional/charts/reloader":             "reloader",
	},
}

// pack returns the archive of a chart, from directories of testdata/charts.
func pack(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	return tgz(t, chartFiles(t, parts))
}

// chartFiles returns the files of a chart, from directories of testdata/charts.
func chartFiles(t testing.TB, parts map[string]string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for at, dir := range parts {
		root := os.DirFS("testdata/charts/" + dir)
		err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(root, p)
			files[path.Join("chart", at, p)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// tgz packs files.
func tgz(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// platform loads the platform's chart of a layout.
func platform(t testing.TB, layout string) *Chart {
	t.Helper()
	c, err := Load(bytes.NewReader(pack(t, layouts[layout])))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// single loads a chart with these values and template, and more files.
func single(t testing.TB, values, template string, more map[string]string) *Chart {
	t.Helper()
	files := map[string]string{
		"c/Chart.yaml":          "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"c/values.yaml":         values,
		"c/templates/all.yaml":  template,
		"c/templates/NOTES.txt": "image: not/a/manifest:v1",
	}
	maps.Copy(files, more)
	c, err := Load(bytes.NewReader(tgz(t, files)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const registry = "registry.local/k0rdent-enterprise"

// documented is the site in the vendor's guides.
var documented = Site{
	Registry:    registry,
	K0sURL:      "http://binary.local/k0rdent-enterprise",
	KubeVersion: "v1.32.8",
}

// vendored lists the images in a release's bundle: repository and tag, R for the
// release, CM for cert-manager.
const vendored = `kcm-controller:R kcm-telemetry:R datasource-controller:R k0rdent-ui:1.1.1 busybox:latest
fluxcd/helm-controller:v1.3.0 fluxcd/source-controller:v1.6.2 fluxcd/flux-cli:v2.6.4
jetstack/cert-manager-controller:CM jetstack/cert-manager-webhook:CM jetstack/cert-manager-cainjector:CM
jetstack/cert-manager-startupapicheck:CM jetstack/cert-manager-acmesolver:CM
capi-operator/cluster-api-operator:v0.24.0 velero/velero:v1.17.0 reactiveops/rbac-manager:v1.9.3
stakater/reloader:v1.4.13 k0sproject/k0s:v1.32.8-k0s.0`

// inventory returns a registry with the images of a layout.
func inventory(layout string) *memory {
	m := newMemory()
	release := map[string]string{"1.0": "1.0.0", "1.1": "1.1.0", "1.2": "1.2.3", "1.4": "1.4.0"}[layout]
	cm := "v1.19.1"
	if layout == "1.4" {
		cm = "v1.20.2"
	}
	for _, image := range strings.Fields(strings.NewReplacer(":R", ":"+release, ":CM", ":"+cm).Replace(vendored)) {
		repository, tag, _ := strings.Cut(image, ":")
		m.image(repository, tag)
	}
	return m
}
