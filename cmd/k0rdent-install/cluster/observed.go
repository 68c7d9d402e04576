package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// heartbeats lists the Leases that controllers renew every few seconds. After a
// restart of k0s, every other object looks as it did before. A Lease that does not
// exist is not required: leader election may be disabled.
var heartbeats = []struct{ namespace, name string }{
	{Namespace, "31c555b4.k0rdent.mirantis.com"}, // kcm
	{Namespace, "helm-controller-leader-election"},
	{Namespace, "source-controller-leader-election"},
	{metav1.NamespaceSystem, "kube-controller-manager"},
}

// observation is the state of the objects that controllers reconcile. Management alone
// is not enough: kcm reads a HelmRelease that it has just changed from its cache, and
// for an instant reports the new generation as ready before helm-controller has
// started.
type observation struct {
	releases  map[string]*unstructured.Unstructured // HelmReleases in Namespace
	templates map[string]*unstructured.Unstructured // ProviderTemplates
	waiting   []string                              // objects that are not available yet
	seen      []string                              // the version of each object
	renewed   map[string]string                     // when each Lease was renewed
}

// observe returns the state of the objects. The caller must have read Management
// first, since kcm changes a HelmRelease before it updates Management.
func (c *Cluster) observe(ctx context.Context) (*observation, error) {
	o := &observation{renewed: make(map[string]string)}
	var err error
	if o.releases, err = c.byName(ctx, helmReleaseKind, Namespace); err != nil {
		return nil, err
	}
	if o.templates, err = c.byName(ctx, providerTemplateKind, ""); err != nil {
		return nil, err
	}
	if err := c.observeDeployments(ctx, o); err != nil {
		return nil, err
	}
	for _, h := range heartbeats {
		lease, err := c.kube.CoordinationV1().Leases(h.namespace).Get(ctx, h.name, metav1.GetOptions{})
		switch {
		case absent(err):
		case err != nil:
			return nil, err
		default:
			o.renewed["lease "+h.namespace+"/"+h.name] = fmt.Sprint(lease.Spec.RenewTime)
		}
	}
	return o, nil
}

// byName returns the objects of a kind in a namespace, "" for none, by name.
func (c *Cluster) byName(ctx context.Context, kind schema.GroupKind, namespace string) (map[string]*unstructured.Unstructured, error) {
	list, err := c.all(ctx, kind)
	objects := make(map[string]*unstructured.Unstructured, len(list))
	for i := range list {
		if list[i].GetNamespace() == namespace {
			objects[list[i].GetName()] = &list[i]
		}
	}
	return objects, err
}

// field returns a string in an object, or "".
func field(u *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, path...)
	return s
}

const (
	// capiProvider is the label of objects that the Cluster API operator installs.
	capiProvider = "cluster.x-k8s.io/provider"
	// helmOwner is Helm's annotation on the objects of a release.
	helmOwner = "meta.helm.sh/release-name"
)

// observeDeployments adds the Deployments of the platform's charts and of the Cluster
// API operator. It ignores others in the same namespaces.
func (c *Cluster) observeDeployments(ctx context.Context, o *observation) error {
	ours := map[string]bool{ReleaseName: true}
	for name, u := range o.releases {
		ours[cmp.Or(field(u, "spec", "releaseName"), name)] = true
	}
	for _, namespace := range slices.Sorted(maps.Keys(c.platformNamespaces(ctx))) {
		list, err := c.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			d := &list.Items[i]
			if _, capi := d.Labels[capiProvider]; !capi && !ours[d.Annotations[helmOwner]] {
				continue
			}
			name := "deployment " + d.Namespace + "/" + d.Name
			o.seen = append(o.seen, fmt.Sprintf("%s %s %d", name, d.UID, d.Generation))
			if problem := rollout(d); problem != "" {
				o.waiting = append(o.waiting, name+": "+problem)
			}
		}
	}
	return nil
}

// rollout returns why not all pods of a Deployment are up to date and available, or
// "".
func rollout(d *appsv1.Deployment) string {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	switch s := d.Status; {
	case s.ObservedGeneration < d.Generation:
		return "its latest change has not been processed yet"
	case s.UpdatedReplicas < want:
		return fmt.Sprintf("%d of %d pods are updated", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		return fmt.Sprintf("pods from before its latest change are still running (%d)", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < want:
		return fmt.Sprintf("%d of %d pods are available", s.AvailableReplicas, want)
	}
	return ""
}

// problem returns why a component that kcm reports as a success is not deployed as
// currently requested, or "".
func (o *observation) problem(component Component) string {
	u := o.releases[component.Name]
	if u == nil {
		return "helmrelease " + Namespace + "/" + component.Name + " does not exist"
	}
	name := objectName(u)
	ready := condition(u, "Ready")
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	last := latest(u)
	o.seen = append(o.seen, fmt.Sprintf("%s %s %d %v", name, u.GetUID(), u.GetGeneration(), last))
	switch {
	case u.GetDeletionTimestamp() != nil:
		return name + " is being deleted"
	case ready.Status == string(metav1.ConditionFalse):
		return name + ": " + cmp.Or(ready.Message, ready.Reason, "not ready")
	case observed != u.GetGeneration() || ready.ObservedGeneration != u.GetGeneration():
		suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
		if suspended {
			return name + " was suspended before its latest change"
		}
		return fmt.Sprintf("%s: helm-controller has not finished its latest change (generation %d of %d)", name, observed, u.GetGeneration())
	case ready.Status != string(metav1.ConditionTrue):
		return name + ": " + cmp.Or(ready.Message, ready.Reason, "not ready")
	case last == nil:
		return name + " has deployed nothing yet"
	case last["status"] != "deployed":
		return fmt.Sprintf("%s: its latest revision is %v", name, last["status"])
	case last["configDigest"] != field(u, "status", "lastAttemptedConfigDigest"):
		return name + ": its latest values are not deployed yet"
	}
	return o.wrongChart(component, u, fmt.Sprint(last["chartVersion"]))
}

// wrongChart returns how the chart that a HelmRelease has deployed differs from the
// one of the component's template, or from the one last attempted, or "".
func (o *observation) wrongChart(component Component, u *unstructured.Unstructured, deployed string) string {
	name := objectName(u)
	if attempted := field(u, "status", "lastAttemptedRevision"); !sameChart(attempted, deployed) {
		return fmt.Sprintf("%s: chart version %s is deployed, but %s was attempted last", name, deployed, attempted)
	}
	template := o.templates[component.Template]
	if template == nil {
		return "providertemplate " + component.Template + " does not exist"
	}
	if want, have := field(template, "status", "chartRef", "name"), field(u, "spec", "chartRef", "name"); want != have {
		return fmt.Sprintf("%s refers to chart %s, but template %s to %s", name, have, component.Template, want)
	}
	want := cmp.Or(field(template, "status", "chartVersion"), field(template, "spec", "helm", "chartSpec", "version"))
	if !sameChart(want, deployed) {
		return fmt.Sprintf("%s: chart version %s is deployed, but %s is requested", name, deployed, want)
	}
	return ""
}

// sameChart reports whether versions of a chart are equal. Flux adds the digest of an
// OCIRepository as build metadata.
func sameChart(want, have string) bool {
	return sameVersion(want, have) || strings.HasPrefix(have, want+"+")
}

// latest returns the newest entry in a HelmRelease's history, or nil.
func latest(u *unstructured.Unstructured) map[string]any {
	history, _, _ := unstructured.NestedSlice(u.Object, "status", "history")
	var newest map[string]any
	version := int64(-1)
	for _, item := range history {
		entry, _ := item.(map[string]any)
		if v, _, _ := unstructured.NestedInt64(entry, "version"); v > version {
			newest, version = entry, v
		}
	}
	return newest
}
