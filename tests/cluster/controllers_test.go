package cluster

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// The kinds in which k0s lists its controllers.
var (
	controlNodes = schema.GroupVersionResource{Group: "autopilot.k0sproject.io", Version: "v1beta2", Resource: "controlnodes"}
	etcdMembers  = schema.GroupVersionResource{Group: "etcd.k0sproject.io", Version: "v1beta1", Resource: "etcdmembers"}
)

// controllers makes the objects that k0s makes for controllers. They go with the
// test.
func (s *site) controllers(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	for r, kind := range map[schema.GroupVersionResource]string{controlNodes: "ControlNode", etcdMembers: "EtcdMember"} {
		if _, err := s.objects.Resource(crds).Create(ctx, crd(r.Group, r.Version, kind, r.Resource, "Cluster"), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.objects.Resource(r).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				t.Error(err)
			}
		})
		for _, name := range names {
			u := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": r.Group + "/" + r.Version, "kind": kind, "metadata": map[string]any{"name": name},
			}}
			waitFor(ctx, t, "kind "+kind, func() bool {
				_, err := s.objects.Resource(r).Create(ctx, u, metav1.CreateOptions{})
				return err == nil || apierrors.IsAlreadyExists(err)
			})
		}
	}
}

// left lists the names of the objects of a kind.
func (s *site) left(ctx context.Context, t *testing.T, r schema.GroupVersionResource) []string {
	t.Helper()
	list, err := s.objects.Resource(r).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range list.Items {
		names = append(names, u.GetName())
	}
	return names
}

// controller makes a host on which k0s runs as a controller, with an etcd of
// these members.
func (s *site) controller(ctx context.Context, t *testing.T, members string) *host {
	t.Helper()
	h := newHost(t, s)
	for _, args := range [][]string{{"install", "controller", "--enable-worker", "--no-taints"}, {"start"}} {
		if out, err := h.command(ctx, append([]string{"/usr/local/bin/k0s"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("k0s %q: %v\n%s", args, err, out)
		}
	}
	h.write(t, "var/lib/k0s/etcd/members", []byte(members))
	return h
}

// TestRemoveOneOfSeveral removes the host from a cluster with another
// controller: its pods move, its objects go, and the platform stays.
func TestRemoveOneOfSeveral(t *testing.T) {
	s, ctx := open(t)
	s.here(ctx, t)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name = strings.ToLower(name)
	s.controllers(ctx, t, "n1", name)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: cluster.Namespace}}
	if _, err := s.plane.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	pods := s.plane.Client.CoreV1().Pods(cluster.Namespace)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-this-host"}, Spec: corev1.PodSpec{
		NodeName: name, Containers: []corev1.Container{{Name: "main", Image: "r/app:1"}}, TerminationGracePeriodSeconds: new(int64),
	}}
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	h := s.controller(ctx, t, "n1 https://127.0.0.9:2380\n"+name+" https://192.0.2.12:2380\n")

	got := h.run(ctx, t, "k0s-up", "--reset", "--plan", "--quiet")
	if steps := got.steps(t); got.code != 0 || !has(steps, "drain planned, k0s-leave planned, node planned, k0s-reset planned") {
		t.Fatalf("the plan: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if len(s.left(ctx, t, controlNodes)) != 2 {
		t.Fatal("the plan has deleted something")
	}
	got = h.run(ctx, t, "k0s-up", "--reset", "--yes", "--quiet")
	steps := got.steps(t)
	if got.code != 0 || !has(steps, "drain done, k0s-leave done, node done, k0s-reset done") {
		t.Fatalf("%d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if want := "Node " + name + ", ControlNode " + name + ", EtcdMember " + name; steps["node"].Detail != want {
		t.Errorf("node: %q, want %q", steps["node"].Detail, want)
	}
	for _, r := range []schema.GroupVersionResource{controlNodes, etcdMembers} {
		if names := s.left(ctx, t, r); !slices.Equal(names, []string{"n1"}) {
			t.Errorf("%s: %q are left, want n1", r.Resource, names)
		}
	}
	if _, err := s.plane.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the node is still there: %v", err)
	}
	if _, err := pods.Get(ctx, pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod was not evicted: %v", err)
	}
	if _, err := s.plane.Client.CoreV1().Namespaces().Get(ctx, cluster.Namespace, metav1.GetOptions{}); err != nil {
		t.Errorf("the platform's namespace: %v", err)
	}
}

// TestRemoveWhereTheTwoDisagree: etcd has one member, and the API knows more
// controllers. One that has left etcd counts no more.
func TestRemoveWhereTheTwoDisagree(t *testing.T) {
	s, ctx := open(t)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name = strings.ToLower(name)
	s.controllers(ctx, t, "n1", name)
	h := s.controller(ctx, t, name+" https://192.0.2.12:2380\n")
	got := h.run(ctx, t, "k0s-up", "--reset", "--yes", "--quiet")
	if got.code != 1 || !strings.Contains(got.stderr, "the Kubernetes API knows other controllers: n1") || !strings.Contains(got.stderr, "k0s kubectl delete node,controlnode,etcdmember") {
		t.Errorf("%d, want it refused\n%s", got.code, got.stderr)
	}
	if log, err := os.ReadFile(h.dir + "/k0s.log"); err != nil || strings.Contains(string(log), "stop") || strings.Contains(string(log), "reset") {
		t.Errorf("%v, k0s was run:\n%s", err, log)
	}
	u, err := s.objects.Resource(etcdMembers).Get(ctx, "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Joined", "status": "False"}}}
	if _, err := s.objects.Resource(etcdMembers).UpdateStatus(ctx, u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	got = h.run(ctx, t, "k0s-up", "--reset", "--plan", "--quiet")
	if steps := got.steps(t); got.code != 0 || !has(steps, "k0s-leave skipped, k0s-reset planned") {
		t.Errorf("%d, want the only controller\n%s\n%s", got.code, got.stdout, got.stderr)
	}
}
