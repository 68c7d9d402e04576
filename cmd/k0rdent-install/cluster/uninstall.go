package cluster

import (
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

// ErrInUse means that the platform manages clusters or regions, which would become
// unmanageable without it.
var ErrInUse = errors.New("k0rdent is in use")

// finalized lists the kinds from whose objects kcm removes a finalizer, in the order
// of deletion. They must be deleted before Management, after which kcm ignores them.
var finalized = []schema.GroupKind{
	{Group: "k0rdent.mirantis.com", Kind: "MultiClusterService"},
	{Group: "k0rdent.mirantis.com", Kind: "ServiceSet"},
	credentialKind,
}

// Uninstall removes the platform: credentials and services, then Management, upon
// which kcm removes everything that it has installed through Flux, and then the Helm
// release with kcm and Flux themselves. In any other order, nothing would remove the
// finalizers.
//
// It does not delete child clusters: while one exists, or a region, the error is
// ErrInUse with their names. If the context's deadline passes, the error is a
// *StuckError with the objects that finalizers hold, and the problems that keep their
// controllers from removing them. timeout bounds each of the chart's hooks. The status
// is Removed if anything was installed.
func (c *Cluster) Uninstall(ctx context.Context, timeout time.Duration, warn func(string)) (Status, error) {
	if _, err := c.kube.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{}); absent(err) {
		return Unchanged, nil
	}
	ctx, unlock, err := c.hold(ctx, warn)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := c.inUse(ctx); err != nil {
		return "", err
	}
	status := Unchanged
	for _, kind := range append(slices.Clone(finalized), managementKind) {
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
		err = c.waitKindsDeleted(ctx)
	}
	if err != nil {
		return "", err
	}
	if removed {
		status = Removed
	}
	return status, nil
}

// inUse returns an error with the clusters and regions that the platform manages, or
// nil.
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
	return cli.Hint(fmt.Errorf("%w: %s", ErrInUse, strings.Join(names, ", ")), "delete them first, so that their cloud resources are removed with them")
}

// removeAll deletes all objects of a kind and waits until none exists. It reports
// whether there was any.
func (c *Cluster) removeAll(ctx context.Context, kind schema.GroupKind, warn func(string)) (bool, error) {
	start := time.Now()
	warned := warn == nil
	asked := make(map[types.UID]bool)
	var left []unstructured.Unstructured
	err := c.wait(ctx, pause, func() (string, error) {
		now, err := c.all(ctx, kind)
		switch {
		case err == nil && len(now) == 0:
			return "", nil
		case err == nil:
			left = now
		case !retryable(err):
			return "", err
		}
		if !warned && time.Since(start) > warnAfter {
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
			if err != nil && !absent(err) && !retryable(err) {
				return "", fmt.Errorf("%s: %w", objectName(&u), err)
			}
			asked[u.GetUID()] = err == nil
		}
		return held(left, kind), nil
	})
	return len(asked) > 0, heldError(err)
}

// warnAfter is how long a removal may take before a warning.
const warnAfter = 30 * time.Second

// heldError adds a hint to the error of a wait for objects that are held.
func heldError(err error) error {
	if _, stuck := errors.AsType[*StuckError](err); !stuck {
		return err
	}
	return cli.Hint(err, "the controller removes the finalizer once it has cleaned up; if it can no longer run, remove the whole cluster with k0s-up --reset --ignore platform")
}

// all returns the objects of a kind, or nil if the kind does not exist.
func (c *Cluster) all(ctx context.Context, kind schema.GroupKind) ([]unstructured.Unstructured, error) {
	client, err := c.resource(kind, metav1.NamespaceAll)
	list := &unstructured.UnstructuredList{}
	if err == nil {
		list, err = client.List(ctx, metav1.ListOptions{})
	}
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return list.Items, nil
}

// held returns which finalizers keep objects from being deleted.
func held(left []unstructured.Unstructured, kind schema.GroupKind) string {
	if len(left) == 0 {
		return "objects of kind " + kind.Kind + " could not be listed"
	}
	var names []string
	for _, u := range left {
		by := "no finalizer"
		if finalizers := u.GetFinalizers(); len(finalizers) > 0 {
			by = "the finalizer " + strings.Join(finalizers, ", ")
		}
		names = append(names, fmt.Sprintf("%s is held by %s", objectName(&u), by))
	}
	return strings.Join(names, ", ")
}

// removeRelease uninstalls the Helm release, even one that never completed, and
// reports whether there was one.
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
		return true, &StuckError{What: "release " + ReleaseName + ": removing it failed", After: since(start), Problems: problems}
	}
	return true, fmt.Errorf("release %s: %w", ReleaseName, err)
}

// waitKindsDeleted waits until the chart's kinds are deleted with all of their
// objects: a kind that is still being deleted would also delete what the next
// installation creates.
func (c *Cluster) waitKindsDeleted(ctx context.Context) error {
	left := "the kinds of the cluster could not be listed"
	err := c.wait(ctx, pause, func() (string, error) {
		kinds, err := c.all(ctx, crdKind)
		if err != nil {
			return left, nil
		}
		var names []string
		for _, u := range kinds {
			if u.GetDeletionTimestamp() != nil && u.GetAnnotations()[helmOwner] == ReleaseName {
				names = append(names, c.heldBy(ctx, &u))
			}
		}
		left = strings.Join(names, ", ")
		return left, nil
	})
	if err == nil {
		meta.MaybeResetRESTMapper(c.mapper)
	}
	return heldError(err)
}

// heldBy returns the objects that keep a kind from being deleted.
func (c *Cluster) heldBy(ctx context.Context, crd *unstructured.Unstructured) string {
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	left, err := c.all(ctx, schema.GroupKind{Group: group, Kind: kind})
	if err != nil || len(left) == 0 {
		return "kind " + crd.GetName() + " still exists"
	}
	return held(left, schema.GroupKind{Group: group, Kind: kind})
}
