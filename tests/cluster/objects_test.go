package cluster

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// releaseName is the Release's name for a version.
func releaseName(version string) string { return "kcm-" + strings.ReplaceAll(version, ".", "-") }

// releaseObject is the Release of a version, as the chart kcm-templates has it.
func releaseObject(version string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k0rdent.mirantis.com/v1beta1", "kind": "Release",
		"metadata": map[string]any{"name": releaseName(version)},
		"spec": map[string]any{
			"version": version,
			"kcm":     map[string]any{"template": "kcm-" + strings.ReplaceAll(version, ".", "-")},
			"capi":    map[string]any{"template": "cluster-api-1-0-7"},
			"providers": []any{
				map[string]any{"name": "cluster-api-provider-aws", "template": "cluster-api-provider-aws-1-0-7"},
				map[string]any{"name": "projectsveltos", "template": "projectsveltos-1-1-1"},
			},
		},
	}}
}

// templatesOf returns the ProviderTemplates that a Release names, by component.
func templatesOf(r *unstructured.Unstructured) map[string]string {
	of := make(map[string]string)
	for _, name := range []string{"kcm", "capi"} {
		of[name], _, _ = unstructured.NestedString(r.Object, "spec", name, "template")
	}
	list, _, _ := unstructured.NestedSlice(r.Object, "spec", "providers")
	for _, item := range list {
		p := item.(map[string]any)
		of[p["name"].(string)] = p["template"].(string)
	}
	return of
}

// trailing are the numbers at the end of a template's name.
var trailing = regexp.MustCompile(`-(\d+)-(\d+)-(\d+)$`)

// versionIn returns the chart's version that a template's name ends with.
func versionIn(name string) string {
	m := trailing.FindStringSubmatch(name)
	if m == nil {
		return "0.0.0"
	}
	return strings.Join(m[1:], ".")
}

// crd is a kind whose objects may hold anything, with a status of its own.
func crd(group, version, kind, plural, scope string) *unstructured.Unstructured {
	open := func() map[string]any {
		return map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + "." + group},
		"spec": map[string]any{
			"group": group, "scope": scope, "names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{
				"name": version, "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{"spec": open(), "status": open()}}},
			}},
		},
	}}
}

func conditionOf(kind string, ok bool, reason, message string, generation int64) map[string]any {
	c := map[string]any{"type": kind, "status": "True", "reason": "Succeeded", "message": message, "observedGeneration": generation, "lastTransitionTime": "2026-01-02T03:04:05Z"}
	if !ok {
		c["status"], c["reason"] = "False", reason
	} else if reason != "Failed" {
		c["reason"] = reason
	}
	return c
}

// helm returns the view of Helm 3, with Helm's own settings: what it reads and
// upgrades here was written by Helm 4.
func (s *site) helm() *action.Configuration {
	flags := genericclioptions.NewConfigFlags(true)
	namespace, cache := cluster.Namespace, filepath.Join(filepath.Dir(s.plane.Kubeconfig), "cache")
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &s.plane.Kubeconfig, &namespace, &cache
	client := kube.New(flags)
	return &action.Configuration{
		RESTClientGetter: flags, KubeClient: client, Log: func(string, ...any) {},
		Releases: storage.Init(driver.NewSecrets(s.plane.Client.CoreV1().Secrets(namespace))),
	}
}

// set puts a value at a path such as a.b.c.
func set(values map[string]any, path string, value any) {
	parsed := map[string]any{}
	at := parsed
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		next := map[string]any{}
		at[k], at = next, next
	}
	at[keys[len(keys)-1]] = value
	for k, v := range util.CoalesceTables(parsed, values) {
		values[k] = v
	}
}

// jsonMap brings values into the form that the API gives them.
func jsonMap(values map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(`{"apiVersion":"v1","kind":"Values","values":` + string(raw) + `}`)); err != nil {
		return nil, err
	}
	m, _, err := unstructured.NestedMap(u.Object, "values")
	return m, err
}
