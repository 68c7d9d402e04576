package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helm3chart "helm.sh/helm/v3/pkg/chart"
	helm3loader "helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// flux plays helm-controller before 1.5, which has Helm 3 in it: it works on each HelmRelease that has changed, or
// that makes it start over, and shows in its status what it has done.
// Of the charts only the platform's is one.
func (k *kcm) flux(ctx context.Context) error {
	list, err := k.s.objects.Resource(helmReleases).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, u := range list.Items {
		observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
		reset := u.GetAnnotations()["reconcile.fluxcd.io/resetAt"]
		handled, _, _ := unstructured.NestedString(u.Object, "status", "lastHandledResetAt")
		if observed == u.GetGeneration() && reset == handled {
			continue
		}
		if err := k.release(ctx, &u, reset); err != nil {
			return err
		}
	}
	return nil
}

// release works on one HelmRelease.
func (k *kcm) release(ctx context.Context, u *unstructured.Unstructured, reset string) error {
	status, _, _ := unstructured.NestedMap(u.Object, "status")
	if status == nil {
		status = map[string]any{}
	}
	ready := func(value, reason, message string) []any {
		return []any{map[string]any{
			"type": "Ready", "status": value, "reason": reason, "message": message,
			"observedGeneration": u.GetGeneration(), "lastTransitionTime": "2026-01-02T03:04:05Z",
		}}
	}
	status["conditions"] = ready("Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s")
	if err := k.put(ctx, helmReleases, u, status); err != nil {
		return err
	}
	values, _, _ := unstructured.NestedMap(u.Object, "spec", "values")
	chart, _, _ := unstructured.NestedString(u.Object, "spec", "chartRef", "name")
	if u.GetName() == cluster.ReleaseName {
		if err := k.upgrade(ctx, versionIn(chart), values); err != nil {
			return err
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	now, err := k.s.objects.Resource(helmReleases).Namespace(u.GetNamespace()).Get(ctx, u.GetName(), metav1.GetOptions{})
	if err != nil || now.GetGeneration() != u.GetGeneration() {
		return err // it has changed meanwhile
	}
	status["conditions"] = ready("True", "UpgradeSucceeded", "Helm upgrade succeeded")
	status["observedGeneration"], status["lastAttemptedGeneration"] = u.GetGeneration(), u.GetGeneration()
	status["lastAttemptedRevision"], status["lastAttemptedConfigDigest"] = versionIn(chart), digest
	status["history"] = []any{map[string]any{
		"name": u.GetName(), "namespace": cluster.Namespace, "version": u.GetGeneration(), "status": "deployed",
		"chartVersion": versionIn(chart), "configDigest": digest,
	}}
	if reset != "" {
		status["lastHandledResetAt"] = reset
	}
	return k.put(ctx, helmReleases, now, status)
}

// upgrade brings the platform's Helm release to a version and values: the
// second pass.
func (k *kcm) upgrade(ctx context.Context, version string, wanted map[string]any) error {
	cfg := k.s.helm()
	last, err := cfg.Releases.Last(cluster.ReleaseName)
	if err != nil {
		return err
	}
	have, err := jsonMap(last.Config)
	if err != nil {
		return err
	}
	if last.Chart.Metadata.Version == version && reflect.DeepEqual(have, wanted) && last.Info.Status == release.StatusDeployed {
		return nil
	}
	if last.Info.Status.IsPending() {
		// helm-controller takes it for left behind.
		last.SetStatus(release.StatusFailed, "stale")
		if err := cfg.Releases.Update(last); err != nil {
			return err
		}
	}
	ch, err := helm3(k.chart(version))
	if err != nil {
		return err
	}
	up := action.NewUpgrade(cfg)
	up.Namespace, up.MaxHistory, up.Timeout, up.Wait = cluster.Namespace, 10, time.Minute, false
	_, err = up.RunWithContext(ctx, cluster.ReleaseName, ch, wanted)
	return err
}

// helm3 returns a chart for Helm 3.
func helm3(ch *chart.Chart) (*helm3chart.Chart, error) {
	var files []*helm3loader.BufferedFile
	for _, f := range ch.Raw {
		files = append(files, &helm3loader.BufferedFile{Name: f.Name, Data: f.Data})
	}
	old, err := helm3loader.LoadFiles(files)
	if err != nil {
		return nil, err
	}
	old.Metadata.Version = ch.Metadata.Version
	return old, nil
}
