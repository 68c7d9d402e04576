package cluster

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// member is an EtcdMember as k0s writes it.
func member(t *testing.T, name, joined string) *unstructured.Unstructured {
	t.Helper()
	return anObject(t, "apiVersion: etcd.k0sproject.io/v1beta1\nkind: EtcdMember\nmetadata: {name: "+name+"}\nstatus: {conditions: [{type: Joined, status: \""+joined+"\"}]}\n")
}

func controlNode(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	return anObject(t, "apiVersion: autopilot.k0sproject.io/v1beta2\nkind: ControlNode\nmetadata: {name: "+name+"}\n")
}

// TestControllers asks all that knows controllers, since none of it knows all.
func TestControllers(t *testing.T) {
	plane := aNode("c")
	plane.Labels = map[string]string{"node-role.kubernetes.io/control-plane": "true"}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		Ports:      []discoveryv1.EndpointPort{{Port: new(int32(6443))}, {}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.5", "fd00::5"}}, {Addresses: []string{"no address"}}},
	}
	f := newFake(t, member(t, "A", "True"), member(t, "gone", "False"), controlNode(t, "b"), controlNode(t, "gone"), plane, aNode("worker"), slice)
	got, err := f.Controllers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(got.Names, " "); names != "a b c" {
		t.Errorf("controllers %q, want a b c", names)
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:6443"), netip.MustParseAddrPort("[fd00::5]:6443")}
	if !slices.Equal(got.Endpoints, want) {
		t.Errorf("endpoints %v, want %v", got.Endpoints, want)
	}
	f = newFake(t)
	failing(&f.objects.Fake, "list", "controlnodes", errors.New("denied"))
	if _, err := f.Controllers(t.Context()); err == nil {
		t.Error("controllers that could not be listed were taken for none")
	}
}

func TestRemoveHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, aNode("a"), controlNode(t, "a"), member(t, "a", "True"), aNode("b"))
		// A webhook that is not up is waited for; one that refuses is reported, and
		// does not keep the others.
		failing(&f.api.Fake, "delete", "nodes", apierrors.NewServiceUnavailable("no"))
		failing(&f.objects.Fake, "delete", "controlnodes", apierrors.NewForbidden(schema.GroupResource{Resource: "controlnodes"}, "a", nil))
		removed, err := f.RemoveHost(t.Context(), "a")
		if got := strings.Join(removed, ", "); got != "Node a, EtcdMember a" || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ControlNode a: ") {
			t.Errorf("removed %q, %v, want all but the ControlNode", got, err)
		}
		if removed, err = f.RemoveHost(t.Context(), "a"); strings.Join(removed, ", ") != "ControlNode a" || err != nil {
			t.Errorf("removed %q, %v, want the ControlNode", removed, err)
		}
		if removed, err = f.RemoveHost(t.Context(), "a"); len(removed) > 0 || err != nil {
			t.Errorf("removed %q, %v, want nothing left", removed, err)
		}
	})
}

// podOn is a pod of a node.
func podOn(node, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
}

// TestDrain: pods leave when their disruption budget lets them; those that belong to
// the node stay.
func TestDrain(t *testing.T) {
	daemon, mirror, done, leaving := podOn("a", "daemon"), podOn("a", "mirror"), podOn("a", "done"), podOn("a", "leaving")
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}}
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	done.Status.Phase = corev1.PodSucceeded
	now := metav1.Now()
	leaving.DeletionTimestamp = &now
	stays := []runtime.Object{aNode("a"), daemon, mirror, done}
	evictable := func(f *fake, refusals int) (asked *int) {
		asked = new(int)
		f.api.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if a.GetSubresource() != "eviction" {
				return false, nil, nil
			}
			*asked++
			if *asked <= refusals {
				return true, nil, apierrors.NewTooManyRequests("a disruption budget", 1)
			}
			name := a.(clienttesting.CreateAction).GetObject().(metav1.Object).GetName()
			return true, nil, f.api.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "apps", name)
		})
		return asked
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, append(slices.Clone(stays), podOn("a", "app"))...)
		asked := evictable(f, 3)
		if found, err := f.Drain(t.Context(), "a"); !found || err != nil {
			t.Errorf("Drain = %v, %v, want the node drained", found, err)
		}
		if *asked != 4 {
			t.Errorf("asked %d times, want 4", *asked)
		}
		if node, err := f.api.CoreV1().Nodes().Get(t.Context(), "a", metav1.GetOptions{}); err != nil || !node.Spec.Unschedulable {
			t.Errorf("%v, want no new pods on the node", err)
		}
		if pods, err := f.api.CoreV1().Pods("apps").List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) != 3 {
			t.Errorf("%d pods, %v, want those that belong to the node", len(pods.Items), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, append(slices.Clone(stays), podOn("a", "app"), leaving)...)
		evictable(f, 1000)
		start := time.Now()
		found, err := f.Drain(t.Context(), "a")
		if !found || err == nil || err.Error() != "pod apps/app, pod apps/leaving did not leave within 2m0s" || time.Since(start) < drainTime {
			t.Errorf("Drain = %v, %v after %v, want who did not leave", found, err, time.Since(start))
		}
		interrupted := errors.New("interrupted")
		stopped, stop := context.WithCancelCause(t.Context())
		stop(interrupted)
		if _, err := f.Drain(stopped, "a"); !errors.Is(err, interrupted) {
			t.Errorf("error = %v, want the interrupt", err)
		}
	})
	f := newFake(t)
	if found, err := f.Drain(t.Context(), "a"); found || err != nil {
		t.Errorf("Drain = %v, %v, want that there is no such node", found, err)
	}
	f = newFake(t, aNode("a"), podOn("a", "app"))
	failing(&f.api.Fake, "create", "pods", apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "app", nil))
	if _, err := f.Drain(t.Context(), "a"); !apierrors.IsForbidden(err) {
		t.Errorf("error = %v, want that it is forbidden", err)
	}
}

// TestOpenAt: another API server of the cluster has a certificate for the name that
// all of them have.
func TestOpenAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://10.0.0.5:6443"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {token: t}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := OpenAt(path, netip.MustParseAddrPort("10.0.0.6:6443"))
	if err != nil {
		t.Fatal(err)
	}
	if config := c.getter.config; config.Host != "https://10.0.0.6:6443" || config.ServerName != "kubernetes" || config.BearerToken != "t" {
		t.Errorf("server %s, name %s, want 10.0.0.6 by the name kubernetes", config.Host, config.ServerName)
	}
	for _, open := range []func(string) (*Cluster, error){Open, func(path string) (*Cluster, error) {
		return OpenAt(path, netip.MustParseAddrPort("10.0.0.6:6443"))
	}} {
		if _, err := open(path + ".not"); err == nil || !strings.HasPrefix(err.Error(), "kubeconfig: ") {
			t.Errorf("error = %v, want that of the kubeconfig", err)
		}
	}
}
