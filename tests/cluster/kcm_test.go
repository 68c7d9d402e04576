package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

const (
	deployment = "kcm-k0rdent-enterprise-controller-manager"
	finalizer  = "k0rdent.mirantis.com/management"
)

var (
	managements  = schema.GroupVersionResource{Group: "k0rdent.mirantis.com", Version: "v1beta1", Resource: "managements"}
	releases     = schema.GroupVersionResource{Group: "k0rdent.mirantis.com", Version: "v1beta1", Resource: "releases"}
	credentials  = schema.GroupVersionResource{Group: "k0rdent.mirantis.com", Version: "v1beta1", Resource: "credentials"}
	deployments  = schema.GroupVersionResource{Group: "k0rdent.mirantis.com", Version: "v1beta1", Resource: "clusterdeployments"}
	helmReleases = schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}
	crds         = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// kcm plays the controller that the chart installs, and Flux. It works only
// while the Deployment that it stands for has a pod that is ready, as the real
// one does.
type kcm struct {
	t *testing.T
	s *site

	mu     sync.Mutex
	broken map[string]string // component → what it says instead of success
	paused bool              // as if its pod were gone
	began  bool              // it makes Management once, when it starts

	chart func(version string) *chart.Chart // what Flux would fetch
}

// play starts kcm, which upgrades the release with the chart of the tests; it
// ends with the test.
func (s *site) play(t *testing.T) *kcm {
	return s.playWith(t, func(version string) *chart.Chart { return platform(t, version) })
}

// playWith is play with another chart.
func (s *site) playWith(t *testing.T, chart func(version string) *chart.Chart) *kcm {
	t.Helper()
	k := &kcm{t: t, s: s, broken: make(map[string]string), chart: chart}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var fails time.Time // since when it has, at every try
		for ctx.Err() == nil {
			if k.runs(ctx) {
				switch err := k.reconcile(ctx); {
				case err == nil || ctx.Err() != nil || passing(err):
					fails = time.Time{}
				case fails.IsZero():
					fails = time.Now()
					fmt.Fprintln(os.Stderr, "kcm:", err)
				case time.Since(fails) > persistent:
					t.Errorf("kcm: %v", err)
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond): // kcm's requeue is 10 s
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	return k
}

// persistent is how long a controller retries what ought not to fail: on a busy
// machine a server may be slow to answer.
const persistent = 20 * time.Second

// passing errors are those that a controller retries for ever.
func passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || strings.Contains(err.Error(), "failed calling webhook") ||
		errors.Is(err, driver.ErrReleaseNotFound)
}

func (k *kcm) breaks(component, message string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken[component] = message
}

func (k *kcm) heals(component string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.broken, component)
}

// pause stops kcm, as if its pod were gone, or has it go on.
func (k *kcm) pause(paused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = paused
}

// runs tells whether the controller's pod is up.
func (k *kcm) runs(ctx context.Context) bool {
	k.mu.Lock()
	paused := k.paused
	k.mu.Unlock()
	if paused {
		return false
	}
	d, err := k.s.plane.Client.AppsV1().Deployments(cluster.Namespace).Get(ctx, deployment, metav1.GetOptions{})
	return err == nil && d.Status.AvailableReplicas > 0
}

func (k *kcm) reconcile(ctx context.Context) error {
	cfg := k.s.helm()
	m, err := k.s.objects.Resource(managements).Get(ctx, "kcm", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && k.began:
		return nil
	case apierrors.IsNotFound(err):
		return k.begin(ctx, cfg)
	case err != nil:
		return err
	case m.GetDeletionTimestamp() != nil:
		return k.end(ctx, m)
	}
	if err := k.readyReleases(ctx); err != nil {
		return err
	}
	if err := k.credentials(ctx); err != nil {
		return err
	}
	second, err := k.secondPass(ctx, cfg, m)
	if err != nil {
		return err
	}
	return k.status(ctx, m, second)
}

// begin makes Release and Management, with the values of the Helm release as
// they are at this moment, whatever its status.
func (k *kcm) begin(ctx context.Context, cfg *action.Configuration) error {
	last, err := cfg.Releases.Last(cluster.ReleaseName)
	if err != nil {
		return err
	}
	name := releaseName(last.Chart.Metadata.Version)
	r := releaseObject(last.Chart.Metadata.Version)
	if _, err := k.s.objects.Resource(releases).Create(ctx, r, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := k.readyReleases(ctx); err != nil {
		return err
	}
	config, err := jsonMap(last.Config)
	if err != nil {
		return err
	}
	m := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k0rdent.mirantis.com/v1beta1", "kind": "Management",
		"metadata": map[string]any{"name": "kcm", "finalizers": []any{finalizer}},
		"spec": map[string]any{
			"release":   name,
			"core":      map[string]any{"kcm": map[string]any{"config": config}},
			"providers": []any{map[string]any{"name": "cluster-api-provider-aws"}, map[string]any{"name": "projectsveltos"}},
		},
	}}
	_, err = k.s.objects.Resource(managements).Create(ctx, m, metav1.CreateOptions{})
	k.began = err == nil
	return err
}

// readyReleases finds the templates of each Release.
func (k *kcm) readyReleases(ctx context.Context) error {
	list, err := k.s.objects.Resource(releases).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, r := range list.Items {
		k.mu.Lock()
		problem := k.broken[r.GetName()]
		k.mu.Unlock()
		status := map[string]any{"ready": problem == "", "observedGeneration": r.GetGeneration(), "conditions": []any{
			conditionOf("TemplatesCreated", true, "Succeeded", "All templates have been created", r.GetGeneration()),
			conditionOf("TemplatesValid", problem == "", "Failed", problem, r.GetGeneration()),
		}}
		if err := k.put(ctx, releases, &r, status); err != nil {
			return err
		}
	}
	return nil
}

// secondPass is Flux's upgrade of the release with Management's values and what
// kcm adds to them. It tells whether the release is as it should be.
func (k *kcm) secondPass(ctx context.Context, cfg *action.Configuration, m *unstructured.Unstructured) (bool, error) {
	wanted, _, _ := unstructured.NestedMap(m.Object, "spec", "core", "kcm", "config")
	set(wanted, "admissionWebhook.enabled", true)
	set(wanted, "controller.createManagement", false)
	name, _, _ := unstructured.NestedString(m.Object, "spec", "release")
	version := strings.ReplaceAll(strings.TrimPrefix(name, "kcm-"), "-", ".")
	last, err := cfg.Releases.Last(cluster.ReleaseName)
	if err != nil {
		return false, err
	}
	have, err := jsonMap(last.Config)
	if err != nil {
		return false, err
	}
	if last.Chart.Metadata.Version == version && reflect.DeepEqual(have, wanted) && last.Info.Status == release.StatusDeployed {
		return true, nil
	}
	if last.Info.Status.IsPending() {
		// helm-controller takes it for left behind.
		last.SetStatus(release.StatusFailed, "stale")
		if err := cfg.Releases.Update(last); err != nil {
			return false, err
		}
	}
	up := action.NewUpgrade(cfg)
	up.Namespace, up.MaxHistory, up.Timeout = cluster.Namespace, 10, time.Minute
	_, err = up.RunWithContext(ctx, cluster.ReleaseName, k.chart(version), wanted)
	return err == nil, err
}

// status is what Management shows: capi waits for kcm, providers wait for capi.
func (k *kcm) status(ctx context.Context, m *unstructured.Unstructured, second bool) error {
	before, _, _ := unstructured.NestedMap(m.Object, "status", "components")
	succeeded := func(name string) bool {
		c, _ := before[name].(map[string]any)
		ok, _ := c["success"].(bool)
		return ok
	}
	components := map[string]any{}
	var waiting []string
	add := func(name, template, needs string, ok bool) {
		c := map[string]any{"template": template, "success": ok}
		k.mu.Lock()
		problem := k.broken[name]
		k.mu.Unlock()
		switch {
		case problem != "":
			c["success"], c["error"] = false, problem
		case !ok && needs != "":
			c["error"] = "Some dependencies are not ready yet. Waiting for " + needs
		case !ok:
			c["error"] = "HelmRelease kcm-system/kcm is not yet ready"
		}
		if c["success"] == false {
			waiting = append(waiting, name)
		}
		components[name] = c
	}
	add("kcm", "kcm-template", "", second)
	add("capi", "cluster-api-1-0-7", "kcm", succeeded("kcm"))
	add("cluster-api-provider-aws", "cluster-api-provider-aws-1-0-7", "capi", succeeded("capi"))
	add("projectsveltos", "projectsveltos-1-1-1", "capi", succeeded("capi"))
	status := map[string]any{"components": components, "observedGeneration": m.GetGeneration()}
	if len(waiting) == 0 {
		status["release"], _, _ = unstructured.NestedString(m.Object, "spec", "release")
		status["conditions"] = []any{conditionOf("Ready", true, "AllComponentsHealthy", "All components are successfully installed", m.GetGeneration())}
	} else {
		if r, found, _ := unstructured.NestedString(m.Object, "status", "release"); found {
			status["release"] = r
		}
		status["conditions"] = []any{conditionOf("Ready", false, "NotAllComponentsHealthy", "Components not ready: ["+strings.Join(waiting, " ")+"]", m.GetGeneration())}
	}
	return k.put(ctx, managements, m, status)
}

// credentials takes its finalizer off those that are deleted. kcm does not look
// at them any more once Management is being deleted.
func (k *kcm) credentials(ctx context.Context) error {
	list, err := k.s.objects.Resource(credentials).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, u := range list.Items {
		const held = "k0rdent.mirantis.com/credential"
		client := k.s.objects.Resource(credentials).Namespace(u.GetNamespace())
		switch {
		case u.GetDeletionTimestamp() != nil:
			u.SetFinalizers(nil)
		case len(u.GetFinalizers()) == 0:
			u.SetFinalizers([]string{held})
		default:
			continue
		}
		if _, err := client.Update(ctx, &u, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// end removes what Flux holds, and then its own finalizer.
func (k *kcm) end(ctx context.Context, m *unstructured.Unstructured) error {
	list, err := k.s.objects.Resource(helmReleases).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, u := range list.Items {
		if err := k.s.objects.Resource(helmReleases).Namespace(u.GetNamespace()).Delete(ctx, u.GetName(), metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	m.SetFinalizers(nil)
	_, err = k.s.objects.Resource(managements).Update(ctx, m, metav1.UpdateOptions{})
	return err
}

// put writes a status unless it is there.
func (k *kcm) put(ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured, status map[string]any) error {
	if have, _, _ := unstructured.NestedMap(u.Object, "status"); reflect.DeepEqual(have, status) {
		return nil
	}
	u.Object["status"] = status
	_, err := k.s.objects.Resource(resource).UpdateStatus(ctx, u, metav1.UpdateOptions{})
	return err
}
