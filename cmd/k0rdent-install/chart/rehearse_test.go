package chart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/client"
)

// aTemplate is the cluster template that these tests rehearse.
const aTemplate = "aws-standalone-cp-1-0-34"

// A trial is a site whose release has a cluster template of testdata.
type trial struct {
	*memory
	site    Site
	chart   map[string]string // files of the template's chart
	k0s     []string          // files below the site's K0sURL
	k0sDown error             // the error for all of them
}

func newTrial(t *testing.T, kcm string) *trial {
	m := complete(t)
	m.image("k0sproject/kube-proxy", "v1.35.4")
	m.image("k0sproject/kube-proxy", "v1.36.3-0")
	return &trial{
		memory: m, site: everything, chart: chartFiles(t, map[string]string{"": "standalone-" + kcm}),
		k0s: []string{"k0s-v1.35.4+k0s.0-amd64", "k0s-v1.36.3+k0s.2-amd64"},
	}
}

// edit replaces text in the files of the template's chart.
func (r *trial) edit(t *testing.T, old, new string) {
	t.Helper()
	found := false
	for name, text := range r.chart {
		found = found || strings.Contains(text, old)
		r.chart[name] = strings.ReplaceAll(text, old, new)
	}
	if !found {
		t.Fatalf("the chart has no %q", old)
	}
}

// only replaces the templates of the chart with one object.
func (r *trial) only(apiVersion, kind string) {
	for name := range r.chart {
		if strings.Contains(name, "/templates/") {
			delete(r.chart, name)
		}
	}
	r.chart["chart/templates/only.yaml"] = "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: x}\n"
}

// cells rehearses, and returns each cell of the template as text.
func (r *trial) cells(t *testing.T) map[string]string {
	t.Helper()
	if r.chart != nil {
		r.memory.chart("aws-standalone-cp", "1.0.34_build.1", tgz(t, r.chart))
	}
	c := platform(t, "1.4")
	values, _ := derive(t, c, r.site, r.memory)
	all, err := c.Rehearse(t.Context(), values, r.site, r.memory, func(_ context.Context, file string) error {
		if r.k0sDown == nil && !slices.Contains(r.k0s, file) {
			return fmt.Errorf("%s: %w", file, ErrNotFound)
		}
		return r.k0sDown
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, cell := range all {
		if cell.Template != aTemplate {
			continue
		}
		var texts []string
		for _, p := range cell.Problems {
			texts = append(texts, "failed: "+p.Text)
		}
		for _, u := range cell.Unknown {
			texts = append(texts, "unknown: "+u.Text)
			if u.Remedy == "" {
				t.Errorf("%s: no remedy for %q", cell.Template, u.Text)
			}
		}
		lines[cell.Family+" "+cell.Access] = strings.Join(texts, "\n")
	}
	if len(lines) != len(Families)*len(Accesses) {
		t.Fatalf("%d cells of the template, want %d", len(lines), len(Families)*len(Accesses))
	}
	return lines
}

// The problems of each cell of the two generations of templates when nothing is
// missing: parts of the text, separated by "|".
var (
	plainOnly = "uses HTTPS for the registry|cannot pull charts over plain HTTP"
	before111 = map[string]string{
		"rhel own-ca": "update-ca-certificates, which the RHEL family does not have|containerd on the machines does not trust|curl on the machines does not trust the certificate of registry.local",
		"debian http": plainOnly, "rhel http": plainOnly,
	}
	from111 = map[string]string{
		"debian login": `registry-auth.toml: k0s v1.36.3+k0s.2 does not start with it: it has a table of containerd 1`,
		"rhel login":   `registry-auth.toml: k0s v1.36.3+k0s.2 does not start with it: it has a table of containerd 1`,
		"debian http":  plainOnly, "rhel http": plainOnly,
	}
)

// compareCells compares the text of cells with the expected parts. A cell that is not
// in want must be good.
func compareCells(t *testing.T, got, want map[string]string) {
	t.Helper()
	for cell, line := range got {
		parts := strings.Split(want[cell], "|")
		if want[cell] == "" {
			parts = nil
		}
		if n := len(strings.Split(line, "\n")); line != "" && n != len(parts) || line == "" && len(parts) > 0 {
			t.Errorf("%s: %q, want %q", cell, line, parts)
		}
		for _, part := range parts {
			if !strings.Contains(line, part) {
				t.Errorf("%s: %q lacks %q", cell, line, part)
			}
		}
	}
}

// The known problems of the charts are found, and no others.
func TestRehearsal(t *testing.T) {
	compareCells(t, newTrial(t, "1.10").cells(t), before111)
	compareCells(t, newTrial(t, "1.11").cells(t), from111)
}

// on returns base with text added to the cells whose names contain all the words.
func on(base map[string]string, text string, words ...string) map[string]string {
	out := map[string]string{}
	for _, family := range Families {
		for _, access := range Accesses {
			cell := family + " " + access
			out[cell] = base[cell]
			missing := func(word string) bool { return !slices.Contains(strings.Fields(cell), word) }
			if slices.ContainsFunc(words, missing) {
				continue
			}
			out[cell] = strings.TrimPrefix(base[cell]+"|"+text, "|")
		}
	}
	return out
}

// without returns base without these cells.
func without(base map[string]string, cells ...string) map[string]string {
	out := on(base, "", "no such word")
	for _, cell := range cells {
		delete(out, cell)
	}
	return out
}

const fileLogin = "contentFrom: {secretRef: {name: {{ $global.registryCredentialSecret }}, key: containerdAuth}}"

// Each fault is reported in the cells that it affects, and in no others.
func TestRehearsalFaults(t *testing.T) {
	for _, row := range []struct {
		name, kcm string
		change    func(*testing.T, *trial)
		want      map[string]string
	}{
		{"no file of k0s", "1.10", func(_ *testing.T, r *trial) { r.k0s = nil },
			on(before111, "https://registry.local/k0s has no k0s-v1.35.4+k0s.0-amd64")},
		{"k0s of another architecture", "1.10", func(t *testing.T, r *trial) { r.edit(t, "arch: amd64", "arch: arm64") },
			on(before111, "has no k0s-v1.35.4+k0s.0-arm64")},
		{"the server of k0s does not answer", "1.10", func(_ *testing.T, r *trial) { r.k0sDown = errors.New("connection refused") },
			on(before111, "unknown: cannot determine whether https://registry.local/k0s has k0s-v1.35.4+k0s.0-amd64: connection refused")},
		{"k0s only with a login", "1.10", func(_ *testing.T, r *trial) { r.k0sDown = client.ErrLogin },
			func() map[string]string {
				want := on(before111, "machines download k0s without a login, and https://registry.local/k0s requires one", "login")
				for _, access := range []string{PublicCA, OwnCA, PlainHTTP} {
					want = on(want, "unknown: cannot determine whether https://registry.local/k0s has k0s-v1.35.4+k0s.0-amd64: a login is required", access)
				}
				return want
			}()},
		{"an image of k0s", "1.10", func(_ *testing.T, r *trial) { delete(r.tags["k0sproject/kube-proxy"], "v1.35.4") },
			on(before111, "image "+registry+"/k0sproject/kube-proxy:v1.35.4 of k0s v1.35.4+k0s.0 is not in the registry")},
		{"an add-on's image", "1.11", func(_ *testing.T, r *trial) { delete(r.tags, "provider-aws/cloud-controller-manager") },
			on(from111, "image "+registry+"/provider-aws/cloud-controller-manager is not in the registry")},
		{"an add-on's chart", "1.11", func(_ *testing.T, r *trial) { delete(r.tags, "charts/aws-cloud-controller-manager") },
			on(from111, "chart "+registry+"/charts/aws-cloud-controller-manager:0.0.11 is not in the registry")},
		{"the template's chart", "1.10", func(_ *testing.T, r *trial) { r.chart = nil; delete(r.tags, "charts/aws-standalone-cp") },
			on(nil, "chart "+registry+"/charts/aws-standalone-cp:1.0.34_build.1 is not in the registry")},
		{"the provider's image", "1.10", func(_ *testing.T, r *trial) { delete(r.tags, "capi/cluster-api-azure-controller") },
			on(before111, "image "+registry+"/capi/cluster-api-azure-controller:v1.24.1 is not in the registry")},
		{"the bootstrap provider's components", "1.10", func(_ *testing.T, r *trial) {
			delete(r.tags, "capi/cluster-api-provider-k0sproject-k0smotron-components")
		}, on(before111, "artifact "+registry+"/capi/cluster-api-provider-k0sproject-k0smotron-components:v1.10.6 is not in the registry")},
		{"the core's components", "1.10", func(_ *testing.T, r *trial) { delete(r.tags, "capi/cluster-api-components") },
			on(before111, "artifact "+registry+"/capi/cluster-api-components:v1.13.2 is not in the registry")},
		{"a newer k0s with the old drop-in", "1.10", func(t *testing.T, r *trial) { r.edit(t, "version: v1.35.4+k0s.0", "version: v1.36.3+k0s.2") },
			on(before111, "k0s v1.36.3+k0s.2 does not start with it", "login")},
		{"the command of the other family", "1.10", func(t *testing.T, r *trial) { r.edit(t, "sudo update-ca-certificates", "sudo update-ca-trust extract") },
			on(on(without(before111, "rhel own-ca"), "containerd on the machines does not trust|curl on the machines does not trust", "own-ca"),
				"machines run update-ca-trust, which the Debian family does not have", "debian", "own-ca")},
		{"an authority with the wrong extension", "1.10", func(t *testing.T, r *trial) {
			r.edit(t, `"registry.crt"`, `"registry.pem"`)
			r.edit(t, `"k0s-url.crt"`, `"k0s-url.pem"`)
		}, on(before111, "containerd on the machines does not trust|curl on the machines does not trust", "debian", "own-ca")},
		{"no authority of the registry", "1.11", func(t *testing.T, r *trial) { r.edit(t, "/etc/ssl/certs/{{ $name }}", "/etc/kcm/{{ $name }}") },
			on(from111, "containerd on the machines does not trust|curl on the machines does not trust", "own-ca")},
		{"nothing for curl", "1.11", func(t *testing.T, r *trial) { r.edit(t, "preK0sCommands:", "postK0sCommands:") },
			on(from111, "curl on the machines does not trust the certificate of registry.local", "own-ca")},
		{"the other family's directory is made", "1.11", func(t *testing.T, r *trial) {
			r.edit(t, "      files:\n", "      files:\n      - {path: /usr/local/share/ca-certificates/other.crt, content: x}\n")
		}, on(from111, "curl on the machines does not trust the certificate of registry.local", "rhel", "own-ca")},
		{"no k0s URL", "1.10", func(_ *testing.T, r *trial) { r.site.K0sURL = "" },
			on(map[string]string{
				"debian http": plainOnly, "rhel http": plainOnly,
				"rhel own-ca": "update-ca-certificates, which the RHEL family|containerd on the machines does not trust",
			}, "machines download k0s from the internet")},
		{"no k0s URL, since the registry requires a login", "1.10", func(_ *testing.T, r *trial) { r.site.K0sURL, r.site.K0sLogin = "", true },
			on(map[string]string{
				"debian http": plainOnly, "rhel http": plainOnly,
				"rhel own-ca": "update-ca-certificates, which the RHEL family|containerd on the machines does not trust",
			}, "machines download k0s from the internet, since registry.local requires a login for it, which they do not have")},
		{"k0s from elsewhere", "1.10", func(t *testing.T, r *trial) {
			r.edit(t, `"{{ $global.k0sURL }}/k0s-`, `"http://get.example.org/k0s-`)
		}, on(map[string]string{
			"debian http": plainOnly, "rhel http": plainOnly,
			"rhel own-ca": "update-ca-certificates, which the RHEL family|containerd on the machines does not trust",
		}, "machines download k0s from http://get.example.org/k0s-v1.35.4+k0s.0-amd64, which is not below --k0s-url")},
		{"no login for containerd", "1.10", func(t *testing.T, r *trial) {
			r.edit(t, "/etc/k0s/containerd.d/registry-auth.toml", "/etc/registry-auth.toml")
		},
			on(before111, "containerd on the machines has no login for the registry", "login")},
		{"a drop-in for containerd 2", "1.10", func(t *testing.T, r *trial) { r.edit(t, fileLogin, `content: "version = 3"`) },
			on(before111, "the containerd 1 of k0s v1.35.4+k0s.0 does not start with it: it has version = 3|has no login", "login")},
		{"a drop-in that is not TOML", "1.11", func(t *testing.T, r *trial) { r.edit(t, fileLogin, `content: "[plugins"`) },
			on(without(from111, "debian login", "rhel login"), "containerd cannot read it|has no login", "login")},
		{"a drop-in from elsewhere", "1.11", func(t *testing.T, r *trial) { r.edit(t, "key: containerdAuth", "key: other") },
			on(without(from111, "debian login", "rhel login"), "unknown: the content of /etc/k0s/containerd.d/registry-auth.toml is not in the template", "login")},
		{"an unknown command", "1.10", func(t *testing.T, r *trial) {
			r.edit(t, "sudo update-ca-certificates", "update-ca-certificates && frobnicate")
		},
			on(before111, "unknown: cannot determine whether the Debian family has frobnicate", "debian", "own-ca")},
		{"unsupported syntax", "1.11", func(t *testing.T, r *trial) { r.edit(t, "sudo sh -c 'ca=", "for x in 1; do sh -c 'ca=") },
			on(from111, `"for" is not supported`, "own-ca")},
		{"a machine that another provider sets up", "1.11", func(t *testing.T, r *trial) { r.edit(t, "kind: K0s", "kind: Kubeadm") },
			on(nil, "unknown: its machines are set up by KubeadmWorkerConfigTemplate, not by k0smotron|unknown: its machines are set up by KubeadmControlPlane, not by k0smotron")},
		{"an existing cluster", "1.11", func(_ *testing.T, r *trial) { r.only("lib.projectsveltos.io/v1beta1", "SveltosCluster") },
			on(nil, "unknown: it creates no machines: whether those of the existing cluster reach the registry depends on their configuration")},
		{"a cluster of Azure", "1.11", func(_ *testing.T, r *trial) {
			r.only("infrastructure.cluster.x-k8s.io/v1beta1", "AzureASOManagedControlPlane")
		}, on(nil, "unknown: the cloud sets up its machines (AzureASOManagedControlPlane): what they download and trust is not in the template")},
		{"a cluster of Amazon", "1.11", func(_ *testing.T, r *trial) {
			r.only("controlplane.cluster.x-k8s.io/v1beta2", "AWSManagedControlPlane")
		}, on(nil, "unknown: the cloud sets up its machines (AWSManagedControlPlane)")},
		{"a Docker host", "1.11", func(_ *testing.T, r *trial) {
			r.chart["chart/templates/docker.yaml"] = "apiVersion: infrastructure.cluster.x-k8s.io/v1beta2\nkind: DevMachineTemplate\nmetadata: {name: x}\n"
		}, on(nil, "unknown: its machines are containers of a Docker host (DevMachineTemplate), for development")},
		{"machines that nothing sets up", "1.11", func(_ *testing.T, r *trial) { r.only("v1", "ConfigMap") },
			on(nil, "unknown: the template does not say how its machines are set up")},
		{"no version", "1.11", func(t *testing.T, r *trial) {
			r.edit(t, "version: {{ .Values.k0s.version | quote }}", "version: latest")
		},
			on(on(on(nil, "unknown: K0sControlPlane cluster-cp does not name a version of k0s|unknown: K0sWorkerConfigTemplate cluster-machine-config does not name a version of k0s"),
				"unknown: cannot determine whether k0s starts with /etc/k0s/containerd.d/registry-auth.toml", "login"), "uses HTTPS for the registry", "http")},
		{"a value that only an owner has", "1.11", func(t *testing.T, r *trial) {
			r.edit(t, "kind: K0sControlPlane", `kind: {{ fail "a cluster needs vpcID" }}`)
		},
			on(nil, "unknown: the chart does not render without a cluster's values: chart aws-standalone-cp: execution error at (aws-standalone-cp/templates/controlplane.yaml:3:9): a cluster needs vpcID")},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newTrial(t, row.kcm)
			row.change(t, r)
			compareCells(t, r.cells(t), row.want)
		})
	}
}

// Machines of the RHEL family do not trust the registry only with templates up to kcm
// 1.10, and only if they download k0s from it over TLS.
func TestCountUntrusting(t *testing.T) {
	for _, tt := range []struct {
		kcm, url string
		want     int
		why      string
	}{
		{"1.10", "https://registry.local/k0s", 1, "machines run update-ca-certificates, which the RHEL family does not have"},
		{"1.10", "http://registry.local:8080/k0s", 0, ""},
		{"1.10", "https://elsewhere/k0s", 0, ""},
		{"1.11", "https://registry.local/k0s", 0, ""},
	} {
		r := newTrial(t, tt.kcm)
		r.memory.chart("aws-standalone-cp", "1.0.34_build.1", tgz(t, r.chart))
		r.site.K0sURL = tt.url
		c := platform(t, "1.4")
		values, _ := derive(t, c, r.site, r.memory)
		if got, why, err := c.CountUntrusting(t.Context(), values, r.site, r.memory); err != nil || got != tt.want || why != tt.why {
			t.Errorf("%s, %s: %d, %q, %v, want %d, %q", tt.kcm, tt.url, got, why, err, tt.want, tt.why)
		}
	}
}
