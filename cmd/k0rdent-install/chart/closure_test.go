package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"k0rdent-airgap/lib/client"
)

// components returns what the Cluster API operator fetches for a provider: a
// Deployment for each name=image.
func components(deployments ...string) string {
	var b strings.Builder
	b.WriteString("kind: CustomResourceDefinition\nspec: {image: no.image/of/a/pod:v1}\n")
	for _, d := range deployments {
		name, image, _ := strings.Cut(d, "=")
		fmt.Fprintf(&b, "---\nkind: Deployment\nmetadata: {name: %s}\nspec:\n  replicas: ${REPLICAS:=1}\n  template: {spec: {containers: [{name: manager, image: '%s'}]}}\n", name, image)
	}
	return b.String()
}

// complete returns a registry with all of release 1.4 of testdata.
func complete(t *testing.T) *memory {
	t.Helper()
	m := inventory("1.4")
	for _, dir := range []string{"kcm-templates", "cluster-api", "cluster-api-provider-k0sproject-k0smotron", "cluster-api-provider-azure", "projectsveltos", "aws-standalone-cp", "aws-hosted-cp"} {
		p := pack(t, map[string]string{"": dir})
		c, err := Load(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		m.chart(c.Name(), strings.ReplaceAll(c.Version(), "+", "_"), p)
	}
	m.chart("k0rdent-enterprise", "1.4.0", nil)
	m.chart("kcm-regional", "1.4.0", nil)
	m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{
		"metadata.yaml": "x", "components.yaml": components("capi-controller-manager=registry.k8s.io/cluster-api/cluster-api-controller:v1.13.2"),
	})
	smotron := components("capi-k0smotron-controller-manager=quay.io/k0sproject/k0smotron:v1.10.6")
	m.artifact("capi/cluster-api-provider-k0sproject-k0smotron-components", "v1.10.6", map[string]string{
		"metadata.yaml": "x", "infrastructure-components.yaml": smotron, "bootstrap-components.yaml": smotron,
		"control-plane-k0sproject-k0smotron-v1.10.6-components.yaml": smotron,
	})
	m.artifact("capi/cluster-api-provider-azure-components", "v1.24.1", map[string]string{
		"metadata.yaml": "x", "components.yaml": components(
			"capz-controller-manager=registry.k8s.io/cluster-api-azure/cluster-api-azure-controller:v1.24.1",
			"azureserviceoperator-controller-manager=mcr.microsoft.com/k8s/azureserviceoperator:v2.16.0"),
	})
	for _, image := range strings.Fields("capi/cluster-api-controller:v1.13.2 capi/k0smotron:v1.10.6 capi/cluster-api-azure-controller:v1.24.1 k8s/azureserviceoperator:v2.16.1 projectsveltos/addon-controller:v1.9.0 k0sproject/etcd:v3.5.13 provider-aws/cloud-controller-manager:v1.34.0") {
		repository, tag, _ := strings.Cut(image, ":")
		m.image(repository, tag)
	}
	for _, name := range []string{"sveltos-agent", "drift-detection-manager", "sveltos-applier"} {
		m.index("projectsveltos/"+name, "v1.9.0")
	}
	m.chart("aws-cloud-controller-manager", "0.0.11", nil)
	return m
}

// closureOf derives the values and returns the closure, as an install does.
func closureOf(t *testing.T, inv Inventory, over string) []Need {
	t.Helper()
	c := platform(t, "1.4")
	values, _ := derive(t, c, everything, inv)
	needs, _, err := c.Closure(context.Background(), Merge(values, table(t, over)), everything, inv)
	if err != nil {
		t.Fatal(err)
	}
	return needs
}

// faults returns one line for each need with a problem.
func faults(needs []Need) []string {
	var all []string
	for _, n := range needs {
		if !n.Missing && !n.Outside && n.Remark == "" {
			continue
		}
		s := n.Kind + " " + strings.ReplaceAll(n.Reference, registry, "R")
		for _, part := range []struct {
			is   bool
			text string
		}{{n.Missing, "missing"}, {n.Outside, "outside"}, {n.Optional, "optional"}, {n.Value != "", "value " + n.Value},
			{n.Nearest != "", "nearest " + strings.ReplaceAll(n.Nearest, registry, "R")}, {n.Remark != "", n.Remark}} {
			if part.is {
				s += "; " + part.text
			}
		}
		all = append(all, s)
	}
	return all
}

// clusterFaults are those of the templates of testdata: one lacks a slash, and one
// requires a value.
var clusterFaults = []string{
	"chart R/charts/aws-hosted-cp:1.0.36; cannot determine what its clusters require: chart aws-hosted-cp: execution error at (aws-hosted-cp/templates/cluster.yaml:4:11): a cluster needs vpcID",
	"image Rkubernetes-csi/external-snapshotter:v1; missing; outside; optional; the template lacks a slash after the registry's name",
}

func compareFaults(t *testing.T, what string, needs []Need, all []string) {
	t.Helper()
	got, want := faults(needs), slices.Clone(all)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: faults\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func find(needs []Need, reference string) Need {
	i := slices.IndexFunc(needs, func(n Need) bool { return n.Reference == strings.Replace(reference, "R", registry, 1) })
	if i < 0 {
		return Need{}
	}
	return needs[i]
}

func TestClosureOfACompleteRegistry(t *testing.T) {
	inv := complete(t)
	needs := closureOf(t, inv, "")
	compareFaults(t, "a complete registry", needs, clusterFaults)
	for reference, want := range map[string]string{
		"R/kcm-controller:1.4.0":                               "Deployment kcm-k0rdent-enterprise-controller-manager",
		"R/fluxcd/flux-cli:v2.6.4":                             "Job kcm-flux-check",
		"R/jetstack/cert-manager-acmesolver:v1.20.2":           "Deployment kcm-cert-manager",
		"R/capi-operator/cluster-api-operator:v0.24.0":         "Deployment capi-operator-controller-manager in the second pass",
		"R/charts/kcm-templates:1.4.0":                         "the platform's controller",
		"R/charts/aws-standalone-cp:1.0.34_build.1":            "ClusterTemplate aws-standalone-cp-1-0-34",
		"R/capi/cluster-api-provider-azure-components:v1.24.1": "component cluster-api-provider-azure",
		"R/k8s/azureserviceoperator:v2.16.1":                   "component cluster-api-provider-azure",
		"R/projectsveltos/drift-detection-manager":             "Sveltos, by digest",
		"R/charts/aws-cloud-controller-manager:0.0.11":         "ClusterTemplate aws-standalone-cp-1-0-34",
		"R/provider-aws/cloud-controller-manager":              "ClusterTemplate aws-standalone-cp-1-0-34",
	} {
		n := find(needs, reference)
		if !slices.Contains(n.RequiredBy, want) {
			t.Errorf("%s is required by %q, want %q", reference, n.RequiredBy, want)
		}
	}
	if n := find(needs, "R/kcm-controller:1.4.0"); n.Digest != inv.tags["kcm-controller"]["1.4.0"] {
		t.Errorf("digest of the controller = %q, want the registry's", n.Digest)
	}
	if n := find(needs, "R/projectsveltos/drift-detection-manager"); n.Digest != inv.tags["projectsveltos/drift-detection-manager"]["v1.9.0"] {
		t.Errorf("digest of drift-detection-manager = %q, want that of its index", n.Digest)
	}
	for _, n := range needs {
		if strings.Contains(n.Reference, "no.image") {
			t.Errorf("%s of a resource definition is required", n.Reference)
		}
	}
}

func TestSveltosBeforeOne(t *testing.T) {
	k := &closure{site: documented, known: map[string]*Need{}}
	k.sveltos("0.54.0")
	if _, ok := k.known[KindImage+" "+registry+"/projectsveltos/sveltos-applier"]; ok || len(k.needs) != 2 {
		t.Errorf("Sveltos 0.54 requires %d images, with the applier: %v; want two, without it", len(k.needs), ok)
	}
}

func TestNearest(t *testing.T) {
	repositories := []string{"charts/velero", "velero/velero", "capi/cluster-api-aws-controller", "fluxcd/helm-controller", "fluxcd/source-controller", "mirror/jetstack/cert-manager-webhook"}
	for want, nearest := range map[string]string{
		"fluxcd/helm-controler":           "fluxcd/helm-controller",
		"velero":                          "velero/velero", // an image, not the chart
		"charts/veleros":                  "charts/velero",
		"jetstack/cert-manager-webhook":   "mirror/jetstack/cert-manager-webhook",
		"capi/cluster-api-gcp-controller": "",
		"projectsveltos/addon-controller": "",
		"k0rdent-ui":                      "",
	} {
		if got := similar(want, repositories); got != nearest {
			t.Errorf("similar(%q) = %q, want %q", want, got, nearest)
		}
	}
}

// Releases with the layout of 1.2 have an image that no value sets.
func TestClosureOfAHardCodedImage(t *testing.T) {
	c, inv := platform(t, "1.2"), inventory("1.2")
	values, _ := derive(t, c, documented, inv)
	over := table(t, "{regional: {telemetry: {mode: local}}, controller: {createRelease: false}}")
	for path, want := range map[string]string{
		"busybox":         "image busybox:latest; missing; outside; nearest R/busybox",
		"library/busybox": "image busybox:latest; outside; pulled from the site's registry only through a mirror of docker.io",
	} {
		inv.image(path, "latest")
		needs, _, err := c.Closure(context.Background(), Merge(values, over), documented, inv)
		if err != nil {
			t.Fatal(err)
		}
		if got := faults(needs); !slices.Equal(got, []string{want}) {
			t.Errorf("with busybox at %s: faults %q, want %q", path, got, want)
		}
		delete(inv.tags, path)
	}
}

// A need of one component is not optional because it is for another.
func TestOptional(t *testing.T) {
	k := &closure{known: map[string]*Need{}}
	k.addOptional(KindImage, "a/optional", "x")
	k.addOptional(KindImage, "a/both", "x")
	k.add(KindImage, "a/both", "y")
	k.add(KindImage, "a/required", "y")
	k.addOptional(KindImage, "a/required", "x")
	for _, n := range k.needs {
		if want := n.Reference == "a/optional"; n.Optional != want {
			t.Errorf("%s, required by %q: optional is %v, want %v", n.Reference, n.RequiredBy, n.Optional, want)
		}
	}
}

// An image in any string is found by the name of the site's registry.
func TestClosureReadsEveryString(t *testing.T) {
	c := single(t, "controller: {createRelease: false}", "kind: ConfigMap\nmetadata: {name: m}\ndata: {agent: '"+registry+"/some/agent:v1', url: '"+registry+"/charts'}\n", nil)
	needs, _, err := c.Closure(context.Background(), nil, documented, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	if got := faults(needs); !slices.Equal(got, []string{"image R/some/agent:v1; missing"}) {
		t.Errorf("faults = %q, want the agent of the ConfigMap", got)
	}
}

// If the release is installed separately, its templates are not required.
func TestClosureWithoutRelease(t *testing.T) {
	inv := inventory("1.4")
	if got := faults(closureOf(t, inv, "controller: {createRelease: false}")); len(got) != 0 {
		t.Errorf("faults %q, want none", got)
	}
}

func TestClosureErrors(t *testing.T) {
	c := platform(t, "1.4")
	inv := complete(t)
	values, _ := derive(t, c, everything, inv)
	down := errDown
	for name, broken := range map[string]Inventory{
		"no answer":           silent{down},
		"no answer for blobs": failing{inv, down},
		"a blob breaks off":   failing{inv, nil},
	} {
		if _, _, err := c.Closure(context.Background(), values, everything, broken); !errors.Is(err, down) {
			t.Errorf("%s: Closure = %v, want %v", name, err, down)
		}
	}
	if _, _, err := c.Closure(context.Background(), values, Site{KubeVersion: "1.32"}, inv); err == nil {
		t.Error("Closure without a registry = nil, want an error")
	}
	if _, _, err := c.Closure(context.Background(), table(t, "image: {tag: 5}"), everything, inv); err == nil {
		t.Error("Closure with values against the schema = nil, want an error")
	}
}

// A blob of a chart that the registry lacks, which its client notices at the first read,
// makes the chart unusable.
func TestClosureWithoutABlob(t *testing.T) {
	c, inv := platform(t, "1.4"), complete(t)
	values, _ := derive(t, c, everything, inv)
	needs, _, err := c.Closure(t.Context(), values, everything, unread{inv})
	if err != nil {
		t.Fatal(err)
	}
	n := find(needs, "R/charts/kcm-templates:1.4.0")
	if !n.Missing || !strings.HasPrefix(n.Remark, "unusable: blob sha256:") || !strings.HasSuffix(n.Remark, ": not found") {
		t.Errorf("%+v, want it missing, since a blob is", n)
	}
}

// unread is a registry without blobs, as a client of one reports it.
type unread struct{ *memory }

func (u unread) Blob(context.Context, string, string) (io.ReadCloser, error) {
	return io.NopCloser(iotest.ErrReader(client.ErrNotFound)), nil
}

// A failing registry's blobs cannot be opened, or cannot be read.
type failing struct {
	*memory
	error
}

func (f failing) Blob(context.Context, string, string) (io.ReadCloser, error) {
	if f.error != nil {
		return nil, f.error
	}
	return io.NopCloser(iotest.ErrReader(errDown)), nil
}

var errDown = errors.New("connection refused")

// resolved looks up images.
func resolved(t *testing.T, site Site, inv Inventory, images ...string) []Need {
	t.Helper()
	k := &closure{site: site, inv: inv, known: map[string]*Need{}}
	for _, reference := range images {
		k.add(KindImage, reference, "k0s")
	}
	needs, err := k.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return needs
}

// The images of k0s are looked up at the paths that a mirror uses.
func TestResolve(t *testing.T) {
	inv := newMemory()
	inv.image("k0sproject/coredns", "1.12.2")
	inv.image("library/redis", "8")
	needs := resolved(t, documented, inv, "quay.io/k0sproject/coredns:1.12.2", "quay.io/k0sproject/coredns:1.12.3", "redis:8", registry+"/k0sproject/pause:3.9")
	want := []string{
		"image quay.io/k0sproject/coredns:1.12.2; outside; pulled from the site's registry only through a mirror of quay.io",
		"image quay.io/k0sproject/coredns:1.12.3; missing; outside; nearest R/k0sproject/coredns:1.12.2",
		"image redis:8; outside; pulled from the site's registry only through a mirror of docker.io",
		"image R/k0sproject/pause:3.9; missing",
	}
	if got := faults(needs); !slices.Equal(got, want) {
		t.Errorf("resolve finds %q, want %q", got, want)
	}
}
