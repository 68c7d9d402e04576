package cluster

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// explained returns the problems of a cluster with these objects.
func explained(t *testing.T, objects ...runtime.Object) []string {
	t.Helper()
	var lines []string
	for _, p := range newFake(t, objects...).Explain(t.Context()) {
		lines = append(lines, p.String())
	}
	return lines
}

// inNamespace sets the namespace and name of a pod.
func inNamespace(pod *corev1.Pod, namespace, name, node string) *corev1.Pod {
	pod.Namespace, pod.Name, pod.Spec.NodeName = namespace, name, node
	return pod
}

// TestExplainOrder starts with what keeps the platform from becoming ready.
func TestExplainOrder(t *testing.T) {
	crashed := func() *corev1.Pod { return aPod(corev1.PodRunning, waiting("CrashLoopBackOff", "x")) }
	router := inNamespace(aPod(corev1.PodPending, waiting("ImagePullBackOff", "x")), "kube-system", "router", "a")
	router.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "router"}}
	sveltos := with(t, helmRelease(t, "projectsveltos", 1, "a", "1.0.0"), `"spec":{`, `"spec":{"targetNamespace":"projectsveltos",`)
	lines := explained(t, aNode("a"), sveltos,
		inNamespace(crashed(), "kube-system", "metrics-server", "a"),
		inNamespace(crashed(), "shop", "app", "a"),
		inNamespace(aPod(corev1.PodPending, waiting("ContainerCreating", "")), Namespace, "kcm", "a"),
		inNamespace(crashed(), "projectsveltos", "addon-controller", "a"),
		router)
	var order []string
	for _, l := range lines {
		order = append(order, strings.SplitN(strings.TrimPrefix(l, "pod "), ":", 2)[0])
	}
	want := "kube-system/router projectsveltos/addon-controller kube-system/metrics-server shop/app kcm-system/kcm"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

// TestExplainLostNode reports pods whose node is deleted or does not report.
func TestExplainLostNode(t *testing.T) {
	silent := aNode("b")
	silent.Status.Conditions[0].Status = corev1.ConditionUnknown
	running := func() *corev1.Pod {
		return aPod(corev1.PodRunning, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	}
	lines := explained(t, aNode("a"), silent,
		inNamespace(running(), Namespace, "fine", "a"),
		inNamespace(running(), Namespace, "left", "b"),
		inNamespace(aPod(corev1.PodPending, corev1.ContainerStatus{}), Namespace, "bound", "n2"),
		inNamespace(aPod(corev1.PodSucceeded, ended(0, "Completed", "")), Namespace, "over", "n2"))
	for _, want := range []string{
		"pod kcm-system/left: on a lost node: its node b is not Ready",
		"pod kcm-system/bound: on a lost node: its node n2 no longer exists",
	} {
		if !has(lines, want) {
			t.Errorf("%q, want %q among them", lines, want)
		}
	}
	if has(lines, "fine") || has(lines, "over") {
		t.Errorf("%q, want nothing about pods that need no node or have one", lines)
	}
}

// TestExplainNoStatus names the controller that has not set a status.
func TestExplainNoStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		object := func(kind, version, spec, status string) runtime.Object {
			u := anObject(t, "apiVersion: "+version+"\nkind: "+kind+"\nmetadata: {name: x, namespace: kcm-system}\nspec: {"+spec+"}\nstatus: {"+status+"}\n")
			u.SetCreationTimestamp(metav1.Now())
			return u
		}
		objects := []runtime.Object{
			aNode("a"),
			object("HelmChart", "source.toolkit.fluxcd.io/v1", "chart: a", "observedGeneration: -1"),
			object("HelmRelease", "helm.toolkit.fluxcd.io/v2", "interval: 1m", ""),
			object("HelmRepository", "source.toolkit.fluxcd.io/v1", "type: oci", ""),
		}
		time.Sleep(time.Minute)
		if lines := explained(t, objects...); len(lines) > 0 {
			t.Errorf("after a minute: %q, want nothing yet", lines)
		}
		time.Sleep(5 * time.Minute)
		lines := explained(t, objects...)
		for _, want := range []string{
			"helmchart kcm-system/x: no status: source-controller has not processed it for 6m0s",
			"helmrelease kcm-system/x: no status: helm-controller has not processed it for 6m0s",
		} {
			if !has(lines, want) {
				t.Errorf("%q, want %q among them", lines, want)
			}
		}
		if has(lines, "helmrepository") {
			t.Errorf("%q: a repository of type oci never has a status", lines)
		}
	})
}

// TestCapacity returns what nodes have left for the platform.
func TestCapacity(t *testing.T) {
	requests := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	node := func(name string, change func(*corev1.Node)) *corev1.Node {
		n := aNode(name)
		n.Status.Allocatable = requests("4", "8Gi")
		change(n)
		return n
	}
	pod := func(namespace, name, node string, phase corev1.PodPhase) *corev1.Pod {
		p := inNamespace(aPod(phase, corev1.ContainerStatus{}), namespace, name, node)
		p.Spec.Containers[0].Resources.Requests = requests("500m", "1Gi")
		return p
	}
	f := newFake(t,
		node("a", func(*corev1.Node) {}), node("b", func(*corev1.Node) {}),
		node("cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
		node("silent", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }),
		pod("kube-system", "dns", "a", corev1.PodRunning), pod("shop", "job", "a", corev1.PodSucceeded),
		pod(Namespace, "kcm", "a", corev1.PodRunning), pod("shop", "far", "silent", corev1.PodRunning))
	cpu, memory, err := f.Capacity(t.Context())
	if err != nil || cpu != 7500 || memory != 15<<30 {
		t.Errorf("capacity %d, %d, %v; want 7500 and 15 GiB", cpu, memory, err)
	}
}
