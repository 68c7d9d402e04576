package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

var aNamespace = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}

// kept returns an object with a finalizer.
func kept(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	u := anObject(t, "apiVersion: k0rdent.mirantis.com/v1beta1\nkind: "+kind+"\nmetadata: {name: "+name+", namespace: kcm-system}\n")
	if kind == "Management" {
		u.SetNamespace("")
	}
	u.SetUID(types.UID(kind + name))
	u.SetFinalizers([]string{"k0rdent.mirantis.com/" + strings.ToLower(kind)})
	return u
}

// release removes the finalizer from objects that are being deleted, as kcm does after
// a while, until ctx ends.
func (f *fake) release(ctx context.Context, resource string, after time.Duration) {
	for _, k := range kinds {
		gvr := k.kind.WithVersion(k.version)
		mapping, err := f.mapper.RESTMapping(gvr.GroupKind())
		if err != nil || mapping.Resource.Resource != resource {
			continue
		}
		for sleep(ctx, time.Second) {
			list, err := f.objects.Resource(mapping.Resource).List(ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			for _, u := range list.Items {
				if at := u.GetDeletionTimestamp(); at != nil && time.Since(at.Time) >= after {
					if err := f.objects.Tracker().Delete(mapping.Resource, u.GetNamespace(), u.GetName()); err != nil {
						f.t.Error(err)
					}
				}
			}
		}
	}
}

// deletions returns the deleted objects, in order.
func (f *fake) deletions() string {
	var names []string
	for _, a := range f.objects.Actions() {
		if a.GetVerb() == "delete" {
			names = append(names, a.GetResource().Resource)
		}
	}
	return strings.Join(names, " ")
}

// TestUninstall deletes credentials before Management, after which kcm ignores them,
// and waits for finalizers.
func TestUninstall(t *testing.T) {
	tests := []struct {
		name    string
		objects []runtime.Object
		want    Status
		deleted string
	}{
		{"nothing is there", nil, Unchanged, ""},
		{"a namespace alone", []runtime.Object{aNamespace}, Unchanged, ""},
		{"a platform", []runtime.Object{aNamespace, kept(t, "Credential", "a"), kept(t, "Credential", "b"), kept(t, "Management", "kcm")},
			Removed, "credentials credentials managements"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tt.objects...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go f.release(ctx, "credentials", 5*time.Second)
				go f.release(ctx, "managements", 20*time.Second)
				if got, err := f.Uninstall(ctx, time.Minute, nil); got != tt.want || err != nil {
					t.Errorf("Uninstall = %q, %v, want %q", got, err, tt.want)
				}
				if got := f.deletions(); got != tt.deleted {
					t.Errorf("deleted %q, want %q", got, tt.deleted)
				}
				if got, err := f.Uninstall(ctx, time.Minute, nil); got != Unchanged || err != nil {
					t.Errorf("again: %q, %v, want nothing left", got, err)
				}
				if f.held() != "" {
					t.Errorf("the lease is still held by %s", f.held())
				}
			})
		})
	}
}

// TestUninstallInUse refuses, since child clusters would become unmanageable.
func TestUninstallInUse(t *testing.T) {
	region := kept(t, "Region", "eu")
	region.SetNamespace("")
	f := newFake(t, aNamespace, kept(t, "Management", "kcm"), kept(t, "ClusterDeployment", "dev"), region)
	_, err := f.Uninstall(t.Context(), time.Minute, nil)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "dev") || !strings.Contains(err.Error(), "eu") {
		t.Errorf("error = %v, want ErrInUse with both names", err)
	}
	if got := f.deletions(); got != "" {
		t.Errorf("deleted %q, want nothing deleted", got)
	}
}

// TestUninstallStuck has no controller. A warning, and then the error, names the
// finalizer.
func TestUninstallStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, aNamespace, aNode("a"), kept(t, "Management", "kcm"))
		busy := apierrors.NewTooManyRequests("busy", 1)
		failing(&f.objects.Fake, "delete", "managements", busy, busy)
		short, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var warnings []string
		_, err := f.Uninstall(short, time.Minute, func(s string) { warnings = append(warnings, s) })
		stuck, ok := errors.AsType[*StuckError](err)
		const want = "management kcm is held by the finalizer k0rdent.mirantis.com/management"
		if !ok || !strings.EqualFold(stuck.What, want) || stuck.After != 2*time.Minute {
			t.Errorf("error = %v, want %s", err, want)
		}
		if len(warnings) != 1 || !strings.Contains(strings.ToLower(warnings[0]), want) {
			t.Errorf("warnings %q, want one with the finalizer", warnings)
		}
		stopped, stop := context.WithCancelCause(t.Context())
		interrupted := errors.New("interrupted")
		go func() {
			time.Sleep(10 * time.Second)
			stop(interrupted)
		}()
		if _, err := f.Uninstall(stopped, time.Minute, nil); !errors.Is(err, interrupted) {
			t.Errorf("error = %v, want the interrupt", err)
		}
	})
}

// TestWaitKindsDeleted waits for kinds that are being deleted, with which the objects
// of the next installation would be deleted.
func TestWaitKindsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crd := anObject(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: credentials.k0rdent.mirantis.com
  deletionTimestamp: "2026-01-02T03:04:05Z"
  finalizers: [customresourcecleanup.apiextensions.k8s.io]
  annotations: {meta.helm.sh/release-name: kcm}
spec: {group: k0rdent.mirantis.com, names: {kind: Credential}}
`)
		f := newFake(t, crd, with(t, crd, "credentials.k0rdent", "foreign.k0rdent", `"kcm"`, `"another"`), kept(t, "Credential", "a"))
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.waitKindsDeleted(short); err == nil || !strings.Contains(err.Error(), "kcm-system/a is held by the finalizer k0rdent.mirantis.com/credential") {
			t.Errorf("error = %v, want the object that holds the kind", err)
		}
		const after = 30 * time.Second
		start := time.Now()
		go func() {
			time.Sleep(after)
			crds, err := f.mapper.RESTMapping(crdKind)
			if err == nil {
				err = f.objects.Tracker().Delete(crds.Resource, "", crd.GetName())
			}
			if err != nil {
				t.Error(err)
			}
		}()
		if err := f.waitKindsDeleted(t.Context()); err != nil || time.Since(start) < after {
			t.Errorf("%v after %v, want it to wait until the kind is deleted", err, time.Since(start))
		}
	})
}
