package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"k0rdent-airgap/lib/cli"
)

// ErrInUse says that the platform manages clusters or regions, which nobody
// could reach any more without it.
var ErrInUse = errors.New("k0rdent is in use")

// released are the kinds whose objects kcm itself takes a finalizer off, in
// the order in which they go. kcm stops looking at them once Management is
// being deleted, so they go before it.
var released = []schema.GroupKind{
	{Group: "k0rdent.mirantis.com", Kind: "MultiClusterService"},
	{Group: "k0rdent.mirantis.com", Kind: "ServiceSet"},
	credentialKind,
}

// Uninstall removes the platform: logins and services, then Management, with
// which kcm removes all that it has installed through Flux, and then the Helm
// release with kcm and Flux themselves. The order matters: without kcm nothing
// would remove the finalizers, and without Flux nothing those of the charts.
//
// Child clusters are not deleted. While there is one, or a region, the error
// is ErrInUse with their names. If the context's time runs out, the error is a
// *StuckError with the objects that finalizers hold, and the problems in the
// cluster that keep their controllers from removing them. timeout bounds each
// of the chart's hooks. Removed means that something was there.
func (c *Cluster) Uninstall(ctx context.Context, timeout time.Duration, warn func(string)) (Status, error) {
	if _, err := c.kube.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{}); absent(err) {
		return Unchanged, nil
	}
	ctx, giveBack, err := c.hold(ctx, warn)
	if err != nil {
		return "", err
	}
	defer giveBack()
	if err := c.inUse(ctx); err != nil {
		return "", err
	}
	status := Unchanged
	for _, kind := range append(slices.Clone(released), managementKind) {
		removed, err := c.removeAll(ctx, kind, warn)
		if err != nil {
			return "", err
		}
		if removed {
			status = Removed
		}
	}
	removed, err := c.removeRelease(ctx, timeout, warn)
	if err == nil {
		err = c.waitGone(ctx)
	}
	if err != nil {
		return "", err
	}
	if removed {
		status = Removed
	}
	return status, nil
}

// inUse returns an error that names what the platform manages.
func (c *Cluster) inUse(ctx context.Context) error {
	var names []string
	for _, kind := range []schema.GroupKind{clusterDeploymentKind, regionKind} {
		objects, err := c.all(ctx, kind)
		if err != nil {
			return err
		}
		for _, u := range objects {
			names = append(names, objectName(&u))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return cli.Hint(fmt.Errorf("%w: %s", ErrInUse, strings.Join(names, ", ")), "delete them first, so that their resources in the cloud are removed with them")
}

// removeAll deletes all objects of a kind and waits until they are gone. It
// reports whether there was one.
func (c *Cluster) removeAll(ctx context.Context, kind schema.GroupKind, warn func(string)) (bool, error) {
	start := time.Now()
	warned := warn == nil
	asked := make(map[types.UID]bool)
	var left []unstructured.Unstructured
	for {
		now, err := c.all(ctx, kind)
		if err == nil {
			left = now
		}
		switch {
		case err == nil && len(left) == 0:
			return len(asked) > 0, nil
		case ctx.Err() != nil && timedOut(ctx):
			return true, cli.Hint(c.stuck(ctx, held(left, kind), start), heldHint)
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case err != nil && !again(err):
			return false, err
		case !warned && time.Since(start) > patience:
			warned = true
			warn((&StuckError{What: held(left, kind), After: since(start), Problems: c.Explain(ctx)}).Error())
		}
		for _, u := range left {
			if asked[u.GetUID()] {
				continue
			}
			client, err := c.resource(kind, u.GetNamespace())
			if err == nil {
				err = client.Delete(ctx, u.GetName(), metav1.DeleteOptions{})
			}
			if err != nil && !absent(err) && !again(err) {
				return false, fmt.Errorf("%s: %w", objectName(&u), err)
			}
			asked[u.GetUID()] = err == nil
		}
		Sleep(ctx, pause)
	}
}

// patience is how long a removal may take before it is reported.
const patience = 30 * time.Second

const heldHint = "a controller takes the finalizer off when what it stands for is gone; if that cannot run any more, k0s reset removes everything with the cluster"

// all lists the objects of a kind; none if the kind does not exist.
func (c *Cluster) all(ctx context.Context, kind schema.GroupKind) ([]unstructured.Unstructured, error) {
	client, err := c.resource(kind, metav1.NamespaceAll)
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	return list.Items, nil
}

// held returns what keeps objects.
func held(left []unstructured.Unstructured, kind schema.GroupKind) string {
	if len(left) == 0 {
		return "objects of kind " + kind.Kind + " could not be listed"
	}
	var names []string
	for _, u := range left {
		names = append(names, fmt.Sprintf("%s is held by the finalizer %s", objectName(&u), cmp.Or(strings.Join(u.GetFinalizers(), ", "), "of nobody")))
	}
	return strings.Join(names, ", ")
}

// removeRelease uninstalls the Helm release, be it one that never completed,
// and reports whether there was one.
func (c *Cluster) removeRelease(ctx context.Context, timeout time.Duration, warn func(string)) (bool, error) {
	cfg := c.helm()
	start := time.Now()
	records, err := history(cfg)
	if err == nil && len(records) == 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("release %s: %w", ReleaseName, err)
	}
	if warn != nil {
		cfg.SetLogger(warnings(warn))
	}
	pods, stop := c.watchPods(ctx, cfg, warn)
	err = remove(cfg, timeout)
	stop()
	if err == nil {
		return true, nil
	}
	if problems := pods.worst(); len(problems) > 0 && pods.hookFailed() {
		return true, &StuckError{What: "release " + ReleaseName + ": its removal failed", After: since(start), Problems: problems}
	}
	return true, fmt.Errorf("release %s: %w", ReleaseName, err)
}

// waitGone waits until the kinds that the chart brought are gone, with all of
// their objects: a kind that is still being deleted would swallow what the
// next installation creates.
func (c *Cluster) waitGone(ctx context.Context) error {
	start := time.Now()
	var left []string
	for {
		kinds, err := c.all(ctx, crdKind)
		if err == nil {
			left = nil
		}
		for _, u := range kinds {
			if u.GetDeletionTimestamp() != nil && u.GetAnnotations()["meta.helm.sh/release-name"] == ReleaseName {
				left = append(left, c.heldBy(ctx, &u))
			}
		}
		switch {
		case err == nil && len(left) == 0:
			meta.MaybeResetRESTMapper(c.mapper)
			return nil
		case ctx.Err() != nil && timedOut(ctx):
			return cli.Hint(c.stuck(ctx, strings.Join(left, ", "), start), heldHint)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		Sleep(ctx, pause)
	}
}

// heldBy names the objects that keep a kind from going away.
func (c *Cluster) heldBy(ctx context.Context, crd *unstructured.Unstructured) string {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	left, err := c.all(ctx, schema.GroupKind{Group: group, Kind: kind})
	if err != nil || len(left) == 0 {
		return "kind " + crd.GetName() + " is not gone"
	}
	return held(left, schema.GroupKind{Group: group, Kind: kind})
}
