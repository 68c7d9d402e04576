package samplebundle

import (
	"archive/tar"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// chartFiles holds the charts, one directory each, with @NAMES@ to fill in.
// "provider", "cluster" and "plain" serve for many charts.
//
//go:embed all:chartfiles
var chartFiles embed.FS

// vendored names the subcharts that a chart carries in its charts/ directory,
// as helm package leaves them there, with the versions that Chart.yaml pins.
// The cert-manager archive is named v1.19.1 where the dependency says 1.19.1.
var vendored = map[string][][2]string{
	"k0rdent-enterprise": {{"flux2", "2.16.4"}, {"rbac-manager", "1.21.2"}, {"k0rdent-ui", "1.1.1"}, {"kcm-regional", "R"}},
	"kcm-regional":       {{"cert-manager", "v1.19.1"}, {"cluster-api-operator", "0.24.0"}, {"velero", "11.0.0"}},
}

// A provider ties a provider's chart to what it makes the operator fetch.
type provider struct {
	kind, controller, appVersion string
}

var providers = map[string]provider{
	"cluster-api": {"CoreProvider", "capi/cluster-api-controller", "v1.11.2"},
	"cluster-api-provider-k0sproject-k0smotron": {"ControlPlaneProvider", "capi/k0smotron", "v1.9.0"},
	"cluster-api-provider-aws":                  {"InfrastructureProvider", "capi/cluster-api-aws-controller", "v2.9.1"},
	"cluster-api-provider-azure":                {"InfrastructureProvider", "capi/cluster-api-azure-controller", "v1.21.0"},
	"cluster-api-provider-gcp":                  {"InfrastructureProvider", "capi/cluster-api-gcp-controller", "v1.10.0"},
	"cluster-api-provider-vsphere":              {"InfrastructureProvider", "capi/cluster-api-vsphere-controller", "v1.14.0"},
	"cluster-api-provider-openstack":            {"InfrastructureProvider", "capi/capi-openstack-controller", "v0.12.5-mirantis.0"},
	"cluster-api-provider-docker":               {"InfrastructureProvider", "capi/capd-manager", "v1.11.2"},
}

// chartSource picks the directory that a chart is made from.
func chartSource(kind, name string) string {
	if _, err := fs.Stat(chartFiles, "chartfiles/"+name); err == nil {
		return name
	}
	if kind == "chart" {
		return "plain"
	}
	return kind
}

// chartTgz packages a chart as helm package does: one directory, named like the
// chart, with the subcharts unpacked in it.
func (b *builder) chartTgz(p product) (tgz []byte, meta []byte, err error) {
	files := map[string][]byte{}
	name := p.name()
	if err := b.chartDir(files, name, p.kind, name, p.chartVersion()); err != nil {
		return nil, nil, err
	}
	if name == "kcm-templates" {
		b.templates(files)
	}
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, f := range sortedKeys(files) {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f, Mode: 0o644, Size: int64(len(files[f]))}); err != nil {
			return nil, nil, err
		}
		if _, err := tw.Write(files[f]); err != nil {
			return nil, nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, nil, err
	}
	return buf.Bytes(), files[name+"/Chart.yaml"], nil
}

// chartDir collects the files of a chart and of its subcharts.
func (b *builder) chartDir(files map[string][]byte, dir, kind, name, version string) error {
	pr := providers[name]
	fill := strings.NewReplacer(
		"@NAME@", name, "@VERSION@", version, "@RELEASE@", b.release(),
		"@KIND@", pr.kind, "@CONTROLLER@", pr.controller, "@APPVERSION@", pr.appVersion,
		"@COMPONENTS@", name+"-components", "@PROVIDER@", strings.TrimPrefix(name, "cluster-api-provider-"))
	root := "chartfiles/" + chartSource(kind, name)
	err := fs.WalkDir(chartFiles, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := chartFiles.ReadFile(p)
		files[dir+strings.TrimPrefix(p, root)] = []byte(fill.Replace(string(text)))
		return err
	})
	if err != nil {
		return err
	}
	for _, sub := range vendored[name] {
		version := strings.ReplaceAll(sub[1], "R", b.release())
		if err := b.chartDir(files, path.Join(dir, "charts", sub[0]), "chart", sub[0], version); err != nil {
			return err
		}
	}
	return nil
}

// templates writes the Release and a template for each provider and cluster
// chart of the bundle into kcm-templates.
func (b *builder) templates(files map[string][]byte) {
	var list strings.Builder
	release := dashed(b.release())
	for _, p := range b.products {
		name, kind := p.name(), ""
		switch {
		case p.kind == "provider", name == "k0rdent-enterprise", name == "kcm-regional":
			kind = "ProviderTemplate"
		case p.kind == "cluster":
			kind = "ClusterTemplate"
		default:
			continue
		}
		object := name + "-" + dashed(p.tag)
		if name == "k0rdent-enterprise" {
			object = "kcm-" + release
		}
		if p.kind == "provider" && name != "cluster-api" {
			fmt.Fprintf(&list, "    - name: %s\n      template: %s\n", name, object)
		}
		files["kcm-templates/files/templates/"+object+".yaml"] = fmt.Appendf(nil, `apiVersion: k0rdent.mirantis.com/v1beta1
kind: %s
metadata:
  name: %s
  annotations:
    helm.sh/resource-policy: keep
spec:
  helm:
    chartSpec:
      chart: %s
      version: %s
      interval: 10m0s
      sourceRef:
        kind: HelmRepository
        name: kcm-templates
`, kind, object, name, p.chartVersion())
	}
	files["kcm-templates/files/release.yaml"] = fmt.Appendf(nil, `apiVersion: k0rdent.mirantis.com/v1beta1
kind: Release
metadata:
  name: kcm-%s
spec:
  version: %s
  kcm:
    template: kcm-%s
  regional:
    template: kcm-regional-%s
  capi:
    template: cluster-api-1-0-7
  providers:
%s`, release, b.release(), release, release, list.String())
}

// dashed turns a version into the end of an object's name.
func dashed(version string) string {
	return strings.NewReplacer(".", "-", "_", "-", "+", "-").Replace(version)
}

func sortedKeys(m map[string][]byte) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// chartMeta is Chart.yaml in Go, in the order in which Helm writes it as JSON.
type chartMeta struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Description  string            `json:"description,omitempty"`
	APIVersion   string            `json:"apiVersion"`
	AppVersion   string            `json:"appVersion,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Dependencies []chartDependency `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

type chartDependency struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
	Condition  string `json:"condition,omitempty"`
	Alias      string `json:"alias,omitempty"`
}

// parseMeta reads the Chart.yaml files of this package: scalars at the top, one
// map, one list. It is not a YAML parser.
func parseMeta(text []byte) chartMeta {
	m := chartMeta{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "- "), ": ")
		value = strings.Trim(value, `"`)
		if strings.HasPrefix(line, "  - ") {
			m.Dependencies = append(m.Dependencies, chartDependency{})
		}
		target := map[string]*string{"name": &m.Name, "version": &m.Version, "description": &m.Description, "apiVersion": &m.APIVersion,
			"appVersion": &m.AppVersion, "kubeVersion": &m.KubeVersion, "type": &m.Type}
		switch n := len(m.Dependencies); {
		case n > 0:
			d := &m.Dependencies[n-1]
			target = map[string]*string{"name": &d.Name, "version": &d.Version, "repository": &d.Repository, "condition": &d.Condition, "alias": &d.Alias}
		case line[0] == ' ':
			m.Annotations = map[string]string{key: value}
			continue
		}
		if t := target[key]; t != nil {
			*t = value
		}
	}
	return m
}
