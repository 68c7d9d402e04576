package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/storage/driver"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
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
	templates    = schema.GroupVersionResource{Group: "k0rdent.mirantis.com", Version: "v1beta1", Resource: "providertemplates"}
	helmReleases = schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}
	crds         = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// kcm plays the controller that the chart installs. It works only while the
// Deployment that it stands for has a pod that is ready, as the real one does.
//
// As the real one does, too, it looks at Management when that changes and after
// a while if something is not ready, and it reads the HelmReleases from a cache
// in which what it has just written is not yet.
type kcm struct {
	t       *testing.T
	s       *site
	requeue atomic.Int64 // a time.Duration; the real one's is 10 s

	mu     sync.Mutex
	broken map[string]string // component → what it says instead of success
	paused bool              // as if its pod were gone

	began bool      // it makes Management once, when it starts
	seen  string    // version of Management that it has looked at
	due   time.Time // when it looks at the same version again

	chart func(version string) *chart.Chart // what Flux would fetch; nil if it does
}

// play starts kcm and Flux, which upgrades the release with the chart of the
// tests; they end with the test.
func (s *site) play(t *testing.T) *kcm {
	return s.playWith(t, func(version string) *chart.Chart { return platform(t, version) })
}

// playWith is play with another chart.
func (s *site) playWith(t *testing.T, chart func(version string) *chart.Chart) *kcm {
	t.Helper()
	k := s.playAlone(t)
	k.chart = chart
	k.loop("helm-controller", k.flux)
	return k
}

// playAlone starts kcm, for a Flux that already runs.
func (s *site) playAlone(t *testing.T) *kcm {
	t.Helper()
	k := &kcm{t: t, s: s, broken: make(map[string]string)}
	k.requeue.Store(int64(time.Second))
	k.loop("kcm", k.reconcile)
	var beaten time.Time
	k.loop("leases", func(ctx context.Context) error {
		if time.Since(beaten) < time.Second {
			return nil
		}
		beaten = time.Now()
		return k.beat(ctx)
	})
	return k
}

// asReal has kcm, and what waits for it, take the time that they take in a
// cluster of the real parts.
func (k *kcm) asReal() {
	k.requeue.Store(int64(10 * time.Second))
	k.s.settle = 0
}

// loop calls f again and again, until the test ends.
func (k *kcm) loop(who string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var fails time.Time // since when it has, at every try
		for ctx.Err() == nil {
			if k.runs(ctx) {
				switch err := f(ctx); {
				case err == nil || ctx.Err() != nil || passing(err):
					fails = time.Time{}
				case fails.IsZero():
					fails = time.Now()
					fmt.Fprintln(os.Stderr, who+":", err)
				case time.Since(fails) > persistent:
					k.t.Errorf("%s: %v", who, err)
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	k.t.Cleanup(func() { cancel(); <-stopped })
}

// beat renews the leases of kcm and of Flux.
func (k *kcm) beat(ctx context.Context) error {
	for _, name := range []string{"31c555b4.k0rdent.mirantis.com", "helm-controller-leader-election"} {
		now := metav1.NowMicro()
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, RenewTime: &now}}
		leases := k.s.plane.Client.CoordinationV1().Leases(cluster.Namespace)
		have, err := leases.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			have.Spec = lease.Spec
			_, err = leases.Update(ctx, have, metav1.UpdateOptions{})
		}
		if apierrors.IsNotFound(err) {
			_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// persistent is how long a controller retries what ought not to fail: on a busy
// machine a server may be slow to answer.
const persistent = 20 * time.Second

// passing errors are those that a controller retries forever.
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

// runs reports whether the controller's pod is running.
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
	m, err := k.s.objects.Resource(managements).Get(ctx, "kcm", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && k.began:
		return nil
	case apierrors.IsNotFound(err):
		return k.begin(ctx, k.s.helm())
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
	if m.GetResourceVersion() == k.seen && (k.due.IsZero() || time.Now().Before(k.due)) {
		return nil
	}
	k.seen, k.due = m.GetResourceVersion(), time.Time{}
	ready, err := k.components(ctx, m)
	if !ready || err != nil {
		k.due = time.Now().Add(time.Duration(k.requeue.Load()))
	}
	return err
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

// readyReleases makes the templates of each Release.
func (k *kcm) readyReleases(ctx context.Context) error {
	list, err := k.s.objects.Resource(releases).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, r := range list.Items {
		k.mu.Lock()
		problem := k.broken[r.GetName()]
		k.mu.Unlock()
		for _, name := range templatesOf(&r) {
			if err := k.template(ctx, name); err != nil {
				return err
			}
		}
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

// template makes a ProviderTemplate, which refers to a HelmChart of its name.
func (k *kcm) template(ctx context.Context, name string) error {
	client := k.s.objects.Resource(templates)
	u, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && k.chart == nil {
		if err := k.helmChart(ctx, name); err != nil {
			return err
		}
	}
	if apierrors.IsNotFound(err) {
		u = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "k0rdent.mirantis.com/v1beta1", "kind": "ProviderTemplate", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"helm": map[string]any{"chartSpec": map[string]any{"version": versionIn(name)}}},
		}}
		u, err = client.Create(ctx, u, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	return k.put(ctx, templates, u, map[string]any{
		"valid": true, "chartVersion": versionIn(name), "observedGeneration": u.GetGeneration(),
		"chartRef": map[string]any{"kind": "HelmChart", "name": name, "namespace": cluster.Namespace},
	})
}

// credentials removes its finalizer from those that are deleted. kcm does not look
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
	_, err := k.s.objects.Resource(resource).Namespace(u.GetNamespace()).UpdateStatus(ctx, u, metav1.UpdateOptions{})
	return err
}
