package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// components is what the Cluster API operator fetches for a provider: a
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

// complete is a registry that has all of release 1.4 as testdata describes it.
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

// closureOf derives and looks, as an install does.
func closureOf(t *testing.T, inv Inventory, over string) []Need {
	t.Helper()
	c := platform(t, "1.4")
	values, _ := derive(t, c, everything, inv)
	needs, err := c.Closure(context.Background(), Merge(values, table(t, over)), everything, inv)
	if err != nil {
		t.Fatal(err)
	}
	return needs
}

// faults lists what is not well, one line each.
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

// clusterFaults come with the templates of testdata: one has a slash too few
// and one wants a value.
var clusterFaults = []string{
	"chart R/charts/aws-hosted-cp:1.0.36; what its clusters need is not known: chart aws-hosted-cp: execution error at (aws-hosted-cp/templates/cluster.yaml:4:11): a cluster needs vpcID",
	"image Rkubernetes-csi/external-snapshotter:v1; missing; outside; optional; the template forgot a slash after the registry's name",
}

func wantFaults(t *testing.T, what string, needs []Need, all []string) {
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
	wantFaults(t, "a complete registry", needs, clusterFaults)
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
		if !slices.Contains(n.WantedBy, want) {
			t.Errorf("%s is wanted by %q, want %q", reference, n.WantedBy, want)
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
			t.Errorf("%s out of a resource definition is wanted", n.Reference)
		}
	}
}

func TestClosureFaults(t *testing.T) {
	for _, row := range []struct {
		name, values string
		change       func(*memory)
		want         []string
	}{
		{"a tag is missing", "", func(m *memory) {
			delete(m.tags["velero/velero"], "v1.17.0")
			m.image("velero/velero", "v1.16.2")
			m.image("velero/velero", "latest")
		}, []string{"image R/velero/velero:v1.17.0; missing; nearest R/velero/velero:v1.16.2"}},

		{"an argument's image is missing", "", func(m *memory) { delete(m.tags, "jetstack/cert-manager-acmesolver") },
			[]string{"image quay.io/jetstack/cert-manager-acmesolver:v1.20.2; missing; outside; value regional.cert-manager.acmesolver.image.repository"}},

		{"an image of the second pass is missing", "", func(m *memory) { delete(m.tags["capi-operator/cluster-api-operator"], "v0.24.0") },
			[]string{"image R/capi-operator/cluster-api-operator:v0.24.0; missing"}},

		{"a value points outside, where a mirror helps", "flux2: {cli: {image: ghcr.io/fluxcd/flux-cli}}", nil,
			[]string{"image ghcr.io/fluxcd/flux-cli:v2.6.4; outside; value flux2.cli.image; only a mirror of ghcr.io brings it from the site's registry"}},

		{"a value points outside, where none does", "k0rdent-ui: {image: {repository: ghcr.io/my/ui}}", nil,
			[]string{"image ghcr.io/my/ui:1.1.1; missing; outside; value k0rdent-ui.image.repository"}},

		{"a plug-in of the operator's", "regional: {velero: {initContainers: [{name: aws, image: 'velero/velero-plugin-for-aws:v1'}]}}", nil,
			[]string{"image velero/velero-plugin-for-aws:v1; missing; outside; value regional.velero.initContainers[0].image"}},

		{"no valid reference", "k0rdent-ui: {image: {repository: Some/Where}}", nil,
			[]string{"image Some/Where:1.1.1; missing; not a valid reference"}},

		{"a chart of another release", "", func(m *memory) {
			m.tags["charts/cluster-api"] = map[string]string{"1.1.12": m.tags["charts/cluster-api"]["1.1.13"]}
		}, []string{"chart R/charts/cluster-api:1.1.13; missing; nearest R/charts/cluster-api:1.1.12"}},

		{"a cluster template's chart is missing", "", func(m *memory) { delete(m.tags, "charts/aws-standalone-cp") },
			[]string{"chart R/charts/aws-standalone-cp:1.0.34_build.1; missing", clusterFaults[0]}},

		{"the templates are missing", "", func(m *memory) { delete(m.tags, "charts/kcm-templates") },
			[]string{"chart R/charts/kcm-templates:1.4.0; missing"}},

		{"the templates come from elsewhere", "controller: {templatesRepoURL: 'oci://ghcr.io/k0rdent/kcm/charts'}", nil,
			[]string{"chart ghcr.io/k0rdent/kcm/charts/kcm-templates:1.4.0; missing; outside; value controller.templatesRepoURL; not in the site's registry"}},

		{"a provider's image is missing", "", func(m *memory) { delete(m.tags, "capi/k0smotron") },
			[]string{"image R/capi/k0smotron:v1.10.6; missing"}},

		{"an image in a patch is missing", "", func(m *memory) {
			m.tags["k8s/azureserviceoperators"] = m.tags["k8s/azureserviceoperator"]
			delete(m.tags, "k8s/azureserviceoperator")
		}, []string{"image R/k8s/azureserviceoperator:v2.16.1; missing; nearest R/k8s/azureserviceoperators"}},

		{"an artifact is missing", "", func(m *memory) { delete(m.tags, "capi/cluster-api-components") },
			[]string{"artifact R/capi/cluster-api-components:v1.13.2; missing"}},

		{"an artifact lacks its components", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x"})
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; holds no core-cluster-api-v1.13.2-components.yaml or core-components.yaml or components.yaml"}},

		{"an artifact lacks its metadata", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"components.yaml": components()})
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; holds no core-cluster-api-v1.13.2-metadata.yaml or metadata.yaml"}},

		{"components have another image", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x",
				"components.yaml": components("capi-controller-manager=registry.k8s.io/cluster-api/cluster-api-controller:v1.13.2", "helper=quay.io/some/helper:v1")})
		}, []string{"image quay.io/some/helper:v1; missing; outside"}},

		{"a blob is missing", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x", "components.yaml": "lost"})
			delete(m.blobs, sum([]byte("lost")))
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: blob " + sum([]byte("lost")) + ": capi/cluster-api-components@" + sum([]byte("lost")) + ": not in the registry"}},

		{"a blob is damaged", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x", "components.yaml": "whole"})
			m.blobs[sum([]byte("whole"))] = []byte("other")
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: blob " + sum([]byte("whole")) + ": digest mismatch: the content's is " + sum([]byte("other"))}},

		{"a chart is none", "", func(m *memory) { m.image("charts/cluster-api", "1.1.13") },
			[]string{"chart R/charts/cluster-api:1.1.13; missing; unusable: holds no chart"}},

		{"a copy for one platform", "", func(m *memory) { m.image("projectsveltos/sveltos-agent", "v1.9.0") },
			[]string{"image R/projectsveltos/sveltos-agent; tag v1.9.0 is no index: the digest of one will be asked for and not be found"}},

		{"an agent is missing", "", func(m *memory) { delete(m.tags, "projectsveltos/drift-detection-manager") },
			[]string{"image R/projectsveltos/drift-detection-manager; missing"}},

		{"an add-on is missing", "", func(m *memory) {
			delete(m.tags, "charts/aws-cloud-controller-manager")
			delete(m.tags, "provider-aws/cloud-controller-manager")
		}, []string{"chart R/charts/aws-cloud-controller-manager:0.0.11; missing; optional", "image R/provider-aws/cloud-controller-manager; missing; optional"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inv := complete(t)
			if row.change != nil {
				row.change(inv)
			}
			needs := closureOf(t, inv, row.values)
			want := row.want
			if !strings.Contains(row.name, "template") {
				want = append(want, clusterFaults...)
			}
			wantFaults(t, row.name, needs, want)
		})
	}
}

// Somebody who brings the release by hand is not asked for templates.
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
		"no answer at all":    silent{down},
		"no answer for blobs": failing{inv, down},
		"a blob breaks off":   failing{inv, nil},
	} {
		if _, err := c.Closure(context.Background(), values, everything, broken); !errors.Is(err, down) {
			t.Errorf("%s: Closure = %v, want %v", name, err, down)
		}
	}
	if _, err := c.Closure(context.Background(), table(t, "image: {tag: 5}"), everything, inv); err == nil {
		t.Error("Closure with values against the schema = nil, want an error")
	}
}

// failing is a registry whose blobs cannot be fetched: they do not open, or
// break off.
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

// The images of k0s are looked for at the paths at which a mirror is asked.
func TestCheck(t *testing.T) {
	inv := newMemory()
	inv.image("k0sproject/coredns", "1.12.2")
	inv.image("library/redis", "8")
	needs, err := Check(context.Background(), []string{"quay.io/k0sproject/coredns:1.12.2", "quay.io/k0sproject/coredns:1.12.3", "redis:8", registry + "/k0sproject/pause:3.9"}, "k0s", documented, inv)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"image quay.io/k0sproject/coredns:1.12.2; outside; only a mirror of quay.io brings it from the site's registry",
		"image quay.io/k0sproject/coredns:1.12.3; missing; outside; nearest R/k0sproject/coredns:1.12.2",
		"image redis:8; outside; only a mirror of docker.io brings it from the site's registry",
		"image R/k0sproject/pause:3.9; missing",
	}
	if got := faults(needs); !slices.Equal(got, want) {
		t.Errorf("Check finds %q, want %q", got, want)
	}
}

// Whatever the registry has and the operator wants, every image of both passes
// is in the site's registry or is listed as being elsewhere, and what is listed
// as there is there.
func TestEveryImageIsAccountedFor(t *testing.T) {
	all := strings.Fields(strings.NewReplacer(":R", ":1.4.0", ":CM", ":v1.20.2").Replace(vendored))
	over := []string{"", "regional: {telemetry: {mode: local}}", "regional: {telemetry: {mode: online}, velero: {upgradeCRDs: true}}",
		"flux2: {imageAutomationController: {create: true}}", "regional: {cert-manager: {image: {digest: '" + someDigest + "'}}}",
		"regional: {cert-manager: {webhook: {image: {registry: my.registry}}}}", "regional: {reloader: {global: {imageRegistry: other.registry}}}",
		"rbac-manager: {enabled: false}", "regional: {velero: {initContainers: [{name: a, image: 'a/b:v1'}]}}"}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2 * len(over) {
		inv := newMemory()
		for _, image := range all {
			if repository, tag, _ := strings.Cut(image, ":"); random.IntN(4) > 0 {
				inv.image(repository, tag)
			}
		}
		site := everything
		if random.IntN(2) == 0 {
			site.Registry = "10.0.0.5:5000"
		}
		c := platform(t, "1.4")
		derived, _ := derive(t, c, site, inv)
		values := Merge(derived, table(t, over[round%len(over)]))
		needs, err := c.Closure(context.Background(), values, site, inv)
		if err != nil {
			t.Fatal(err)
		}
		for _, pass := range []int{FirstPass, SecondPass} {
			m, err := c.Render(values, site, pass)
			if err != nil {
				t.Fatal(err)
			}
			for _, image := range references(m) {
				i := slices.IndexFunc(needs, func(n Need) bool { return n.Reference == image })
				if i < 0 {
					t.Fatalf("round %d: %s of pass %d is not in the closure", round, image, pass)
				}
				account(t, site, inv, needs[i])
			}
		}
	}
}

func account(t *testing.T, site Site, inv *memory, n Need) {
	t.Helper()
	r, _ := parseReference(n.Reference)
	repository, inside := site.inside(r.name)
	if inside == n.Outside {
		t.Errorf("%s: outside is %v", n.Reference, n.Outside)
	}
	if !inside {
		_, repository = place(r.name)
	}
	if digest := inv.tags[repository][r.identifier()]; digest != n.Digest || n.Missing != (digest == "") {
		t.Errorf("%s: digest %q, missing %v, the registry has %q", n.Reference, n.Digest, n.Missing, digest)
	}
}
