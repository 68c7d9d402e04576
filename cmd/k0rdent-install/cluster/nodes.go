package cluster

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeStates maps each node to its problem, or "". It is nil if the nodes could not be
// read.
type nodeStates map[string]string

func (c *Cluster) nodeStates(ctx context.Context) nodeStates {
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	states := make(nodeStates, len(nodes.Items))
	for i := range nodes.Items {
		states[nodes.Items[i].Name] = ""
		if !nodeReady(&nodes.Items[i]) {
			states[nodes.Items[i].Name] = "is not Ready"
		}
	}
	return states
}

// lost returns why the node of a pod cannot run it, or "".
func (n nodeStates) lost(pod *corev1.Pod) string {
	node := pod.Spec.NodeName
	if n == nil || node == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	switch state, known := n[node]; {
	case !known:
		return "its node " + node + " no longer exists"
	case state != "":
		return "its node " + node + " " + state
	}
	return ""
}

// platformNamespaces returns the namespaces of the platform's pods.
func (c *Cluster) platformNamespaces(ctx context.Context) map[string]bool {
	ours := map[string]bool{Namespace: true}
	for _, u := range c.tryList(ctx, helmReleaseKind) {
		if u.GetNamespace() == Namespace {
			ours[cmp.Or(field(&u, "spec", "targetNamespace"), Namespace)] = true
		}
	}
	return ours
}

// essential reports whether all other pods depend on a pod: those of the network,
// which DaemonSets run, and of the cluster's DNS.
func essential(pod *corev1.Pod) bool {
	return pod.Namespace == metav1.NamespaceSystem && (pod.Labels["k8s-app"] == "kube-dns" ||
		slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "DaemonSet" }))
}

// Capacity returns the capacity of the nodes for the platform's pods, in thousandths
// of a CPU and in bytes of memory: what is allocatable, less what other pods request.
func (c *Cluster) Capacity(ctx context.Context) (cpu, memory int64, err error) {
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, 0, err
	}
	usable := make(map[string]bool)
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable || !nodeReady(&n) {
			continue
		}
		usable[n.Name] = true
		cpu += n.Status.Allocatable.Cpu().MilliValue()
		memory += n.Status.Allocatable.Memory().Value()
	}
	pods, err := c.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, 0, err
	}
	ours := c.platformNamespaces(ctx)
	for _, pod := range pods.Items {
		over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if over || ours[pod.Namespace] || !usable[pod.Spec.NodeName] {
			continue
		}
		for _, container := range pod.Spec.Containers {
			cpu -= container.Resources.Requests.Cpu().MilliValue()
			memory -= container.Resources.Requests.Memory().Value()
		}
	}
	return cpu, memory, nil
}
