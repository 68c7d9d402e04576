package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// components brings the HelmRelease of each component to what Management asks
// for, and reports on them: capi waits for kcm, providers wait for capi. It
// reports whether all are ready.
func (k *kcm) components(ctx context.Context, m *unstructured.Unstructured) (bool, error) {
	name, _, _ := unstructured.NestedString(m.Object, "spec", "release")
	release, err := k.s.objects.Resource(releases).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	kcmValues, _, _ := unstructured.NestedMap(m.Object, "spec", "core", "kcm", "config")
	set(kcmValues, "admissionWebhook.enabled", true)
	set(kcmValues, "controller.createManagement", false)
	of := templatesOf(release)
	status := map[string]any{}
	var waiting []string
	for _, c := range []struct {
		name, needs string
		values      map[string]any
	}{{"kcm", "", kcmValues}, {"capi", "kcm", nil}, {"cluster-api-provider-aws", "capi", nil}, {"projectsveltos", "capi", nil}} {
		k.mu.Lock()
		problem := k.broken[c.name]
		k.mu.Unlock()
		if needed, _ := status[c.needs].(map[string]any); c.needs != "" && needed["success"] != true && problem == "" {
			problem = "Some dependencies are not ready yet. Waiting for " + c.needs
		}
		if problem == "" {
			if problem, err = k.component(ctx, c.name, of[c.name], c.values); err != nil {
				return false, err
			}
		}
		status[c.name] = map[string]any{"template": of[c.name], "success": problem == ""}
		if problem != "" {
			status[c.name].(map[string]any)["error"] = problem
			waiting = append(waiting, c.name)
		}
	}
	return len(waiting) == 0, k.status(ctx, m, status, waiting)
}

// component brings a HelmRelease to these values and this template's chart, and
// returns why it is not ready, as the cache has it: as it was before.
func (k *kcm) component(ctx context.Context, name, template string, values map[string]any) (string, error) {
	client := k.s.objects.Resource(helmReleases).Namespace(cluster.Namespace)
	if values == nil {
		values = map[string]any{}
	}
	spec := map[string]any{
		"interval": "10m0s", "releaseName": name, "values": values,
		"chartRef": map[string]any{"kind": "HelmChart", "name": template, "namespace": cluster.Namespace},
	}
	cached, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": map[string]any{"name": name, "namespace": cluster.Namespace}, "spec": spec,
		}}
		_, created := client.Create(ctx, u, metav1.CreateOptions{})
		return "failed to check provider status: " + err.Error(), created
	}
	if err != nil {
		return "", err
	}
	have, _, _ := unstructured.NestedMap(cached.Object, "spec")
	if wanted, err := jsonMap(spec); err != nil || !reflect.DeepEqual(have, wanted) {
		changed := cached.DeepCopy()
		changed.Object["spec"] = wanted
		if _, failure := client.Update(ctx, changed, metav1.UpdateOptions{}); err != nil || failure != nil {
			return "", errors.Join(err, failure)
		}
	}
	return unready(cached), nil
}

// unready returns why kcm does not take a HelmRelease for ready, in its words.
func unready(u *unstructured.Unstructured) string {
	name := "HelmRelease " + u.GetNamespace() + "/" + u.GetName()
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	for _, item := range conditions {
		c := item.(map[string]any)
		switch {
		case c["type"] != "Ready":
		case c["observedGeneration"] != u.GetGeneration():
			return name + " Ready condition is not updated yet"
		case observed != u.GetGeneration():
			return name + " has not observed new values yet"
		case c["status"] != "True":
			return fmt.Sprintf("%s is not yet ready: %v", name, c["message"])
		default:
			return ""
		}
	}
	return name + " Ready condition is not updated yet"
}

// status is what Management shows.
func (k *kcm) status(ctx context.Context, m *unstructured.Unstructured, components map[string]any, waiting []string) error {
	status := map[string]any{"components": components, "observedGeneration": m.GetGeneration()}
	status["release"], _, _ = unstructured.NestedString(m.Object, "spec", "release")
	ready := conditionOf("Ready", true, "AllComponentsHealthy", "All components are successfully installed", m.GetGeneration())
	if len(waiting) > 0 {
		ready = conditionOf("Ready", false, "NotAllComponentsHealthy", fmt.Sprintf("Components not ready: %v", waiting), m.GetGeneration())
	}
	status["conditions"] = []any{ready}
	return k.put(ctx, managements, m, status)
}
