package cluster

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodesReady reports by name which nodes are Ready. It returns nil if the nodes cannot be
// read.
func (c *Cluster) nodesReady(ctx context.Context) map[string]bool {
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	ready := make(map[string]bool, len(nodes.Items))
	for i := range nodes.Items {
		ready[nodes.Items[i].Name] = nodeReady(&nodes.Items[i])
	}
	return ready
}

// lost returns why the node of a pod cannot run it, or "".
func lost(pod *corev1.Pod, nodesReady map[string]bool) string {
	node := pod.Spec.NodeName
	if nodesReady == nil || node == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	switch ready, known := nodesReady[node]; {
	case !known:
		return "its node " + node + " no longer exists"
	case !ready:
		return "its node " + node + " is not Ready"
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
