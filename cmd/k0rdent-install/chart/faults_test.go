package chart

import (
	"strings"
	"testing"
)

// Each problem of a registry or of values is reported, and nothing else.
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

		{"the platform's own image has its project's name", "", func(m *memory) {
			m.tags["k0rdent/kcm/controller"] = m.tags["kcm-controller"]
			delete(m.tags, "kcm-controller")
		}, []string{"image R/kcm-controller:1.4.0; missing"}}, // no value can name another one

		{"an image of the second pass is missing", "", func(m *memory) { delete(m.tags["capi-operator/cluster-api-operator"], "v0.24.0") },
			[]string{"image R/capi-operator/cluster-api-operator:v0.24.0; missing"}},

		{"a value names an image outside that a mirror has", "flux2: {cli: {image: ghcr.io/fluxcd/flux-cli}}", nil,
			[]string{"image ghcr.io/fluxcd/flux-cli:v2.6.4; outside; value flux2.cli.image; pulled from the site's registry only through a mirror of ghcr.io"}},

		{"a value names an image outside that no mirror has", "k0rdent-ui: {image: {repository: ghcr.io/my/ui}}", nil,
			[]string{"image ghcr.io/my/ui:1.1.1; missing; outside; value k0rdent-ui.image.repository"}},

		{"a plug-in of the operator's", "regional: {velero: {initContainers: [{name: aws, image: 'velero/velero-plugin-for-aws:v1'}]}}", nil,
			[]string{"image velero/velero-plugin-for-aws:v1; missing; outside; value regional.velero.initContainers[0].image"}},

		{"not a valid reference", "k0rdent-ui: {image: {repository: Some/Where}}", nil,
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
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: contains no core-cluster-api-v1.13.2-components.yaml or core-components.yaml or components.yaml"}},

		{"an artifact lacks its metadata", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"components.yaml": components()})
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: contains no core-cluster-api-v1.13.2-metadata.yaml or metadata.yaml"}},

		{"components have another image", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x",
				"components.yaml": components("capi-controller-manager=registry.k8s.io/cluster-api/cluster-api-controller:v1.13.2", "helper-controller-manager=quay.io/some/helper:v1")})
		}, []string{"image quay.io/some/helper:v1; missing; outside"}},

		{"components have a container without an imageUrl", "", func(m *memory) {
			text := strings.Replace(components("capi-controller-manager=registry.k8s.io/cluster-api/cluster-api-controller:v1.13.2"),
				"{name: manager,", "{name: proxy, image: 'gcr.io/kubebuilder/kube-rbac-proxy:v1'}, {name: manager,", 1)
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x", "components.yaml": text})
		}, []string{"image gcr.io/kubebuilder/kube-rbac-proxy:v1; missing; outside"}},

		{"a blob is missing", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x", "components.yaml": "lost"})
			delete(m.blobs, sum([]byte("lost")))
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: blob " + sum([]byte("lost")) + ": capi/cluster-api-components@" + sum([]byte("lost")) + ": not in the registry"}},

		{"a blob is damaged", "", func(m *memory) {
			m.artifact("capi/cluster-api-components", "v1.13.2", map[string]string{"metadata.yaml": "x", "components.yaml": "whole"})
			m.blobs[sum([]byte("whole"))] = []byte("other")
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: blob " + sum([]byte("whole")) + ": digest mismatch: content is " + sum([]byte("other"))}},

		{"a blob claims to be huge", "", func(m *memory) {
			huge := m.layer("application/octet-stream", "components.yaml", []byte("x"))
			huge["size"] = maxComponents + 1
			m.push("capi/cluster-api-components", "v1.13.2", manifestType, object{"schemaVersion": 2, "layers": []any{m.layer("text/plain", "metadata.yaml", nil), huge}})
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: blob " + sum([]byte("x")) + ": larger than any real chart or image"}},

		{"a blob claims a negative size", "", func(m *memory) {
			less := m.layer("application/octet-stream", "components.yaml", []byte("x"))
			less["size"] = -1
			m.push("capi/cluster-api-components", "v1.13.2", manifestType, object{"schemaVersion": 2, "layers": []any{m.layer("text/plain", "metadata.yaml", nil), less}})
		}, []string{"artifact R/capi/cluster-api-components:v1.13.2; missing; unusable: invalid OCI archive: blob " + sum([]byte("x")) + " has size -1"}},

		{"not a chart", "", func(m *memory) { m.image("charts/cluster-api", "1.1.13") },
			[]string{"chart R/charts/cluster-api:1.1.13; missing; unusable: contains no chart"}},

		{"a copy for one platform", "", func(m *memory) { m.image("projectsveltos/sveltos-agent", "v1.9.0") },
			[]string{"image R/projectsveltos/sveltos-agent; tag v1.9.0 is not an index, and pulls by the digest of its index will fail"}},

		{"an agent is missing", "", func(m *memory) { delete(m.tags, "projectsveltos/drift-detection-manager") },
			[]string{"image R/projectsveltos/drift-detection-manager; missing"}},

		{"an agent that older releases lack is missing", "", func(m *memory) { delete(m.tags, "projectsveltos/sveltos-applier") },
			[]string{"image R/projectsveltos/sveltos-applier; missing"}},

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
			compareFaults(t, row.name, needs, want)
		})
	}
}
