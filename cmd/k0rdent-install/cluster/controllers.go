package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
)

// The kinds in which k0s itself lists its controllers (k0sproject/k0s,
// pkg/apis/autopilot/v1beta2 and pkg/apis/etcd/v1beta1).
var (
	controlNodeKind = schema.GroupKind{Group: "autopilot.k0sproject.io", Kind: "ControlNode"}
	etcdMemberKind  = schema.GroupKind{Group: "etcd.k0sproject.io", Kind: "EtcdMember"}
)

// Controllers is what the Kubernetes API says about a cluster's controllers.
type Controllers struct {
	Names     []string         // of all that have an object in the cluster, in lower case
	Endpoints []netip.AddrPort // of the API servers that carry traffic
}

// Controllers asks the API which controllers the cluster has. A controller
// whose EtcdMember says that it has left etcd is not among them.
func (c *Cluster) Controllers(ctx context.Context) (*Controllers, error) {
	left := make(map[string]bool)
	names := make(map[string]bool)
	members, err := c.all(ctx, etcdMemberKind)
	if err != nil {
		return nil, err
	}
	for _, u := range members {
		name := strings.ToLower(u.GetName())
		if condition(&u, "Joined").Status == string(metav1.ConditionFalse) {
			left[name] = true
		}
		names[name] = true
	}
	control, err := c.all(ctx, controlNodeKind)
	if err != nil {
		return nil, err
	}
	for _, u := range control {
		names[strings.ToLower(u.GetName())] = true
	}
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "node-role.kubernetes.io/control-plane"})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		names[n.Name] = true
	}
	found := &Controllers{}
	for name := range names {
		if !left[name] {
			found.Names = append(found.Names, name)
		}
	}
	slices.Sort(found.Names)
	found.Endpoints, err = c.endpoints(ctx)
	return found, err
}

// endpoints returns the addresses behind the service "kubernetes".
func (c *Cluster) endpoints(ctx context.Context) ([]netip.AddrPort, error) {
	list, err := c.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	for _, slice := range list.Items {
		for _, port := range slice.Ports {
			for _, e := range slice.Endpoints {
				for _, text := range e.Addresses {
					a, err := netip.ParseAddr(text)
					if err == nil && port.Port != nil {
						found = append(found, netip.AddrPortFrom(a, uint16(*port.Port)))
					}
				}
			}
		}
	}
	return found, nil
}

// OpenAt is Open for another API server of the same cluster. Its certificate
// need not name the address.
func OpenAt(kubeconfig string, server netip.AddrPort) (*Cluster, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	for _, k := range config.Clusters {
		scheme, _, _ := strings.Cut(k.Server, "://")
		k.Server = scheme + "://" + server.String()
		if scheme == "https" {
			k.TLSServerName = "kubernetes" // every API server's certificate has that name
		}
	}
	return open(clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}))
}

// drainTime bounds how long pods are waited for that leave a node.
const drainTime = 2 * time.Minute

// Drain keeps new pods off a node and evicts those that are there, but for those
// of DaemonSets, and waits until they are gone, two minutes at most. It reports
// whether there is such a node. A node may do all of this to itself.
func (c *Cluster) Drain(ctx context.Context, name string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	cordon := []byte(`{"spec":{"unschedulable":true}}`)
	if _, err := c.kube.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, cordon, metav1.PatchOptions{}); err != nil {
		if absent(err) {
			return false, nil
		}
		return true, err
	}
	for {
		left, err := c.evict(ctx, name)
		switch {
		case err == nil && len(left) == 0:
			return true, nil
		case ctx.Err() != nil && timedOut(ctx):
			return true, fmt.Errorf("%s did not leave within %v", strings.Join(left, ", "), drainTime)
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case err != nil && !again(err):
			return true, err
		}
		Sleep(ctx, pause)
	}
}

// evict asks each pod of a node to leave, and returns those that are there.
func (c *Cluster) evict(ctx context.Context, name string) (left []string, err error) {
	pods, err := c.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String()})
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		owner := metav1.GetControllerOf(&pod)
		over := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if over || pod.Annotations[corev1.MirrorPodAnnotationKey] != "" || owner != nil && owner.Kind == "DaemonSet" {
			continue
		}
		left = append(left, "pod "+pod.Namespace+"/"+pod.Name)
		if pod.DeletionTimestamp != nil {
			continue
		}
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		// One that a disruption budget refuses (429) is asked again.
		if err := c.kube.PolicyV1().Evictions(pod.Namespace).Evict(ctx, eviction); err != nil && !absent(err) && !again(err) {
			return left, err
		}
	}
	return left, nil
}

// RemoveHost deletes a host's objects from the cluster: its Node, its
// ControlNode and its EtcdMember. It returns what it has deleted, and goes on
// to the others where one cannot be deleted.
func (c *Cluster) RemoveHost(ctx context.Context, name string) ([]string, error) {
	var removed []string
	var failed []error
	note := func(kind string, err error) {
		switch {
		case err == nil:
			removed = append(removed, kind+" "+name)
		case !absent(err):
			failed = append(failed, fmt.Errorf("%s %s: %w", kind, name, err))
		}
	}
	note("Node", patiently(ctx, func() error { return c.kube.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}) }))
	for _, kind := range []schema.GroupKind{controlNodeKind, etcdMemberKind} {
		note(kind.Kind, patiently(ctx, func() error {
			client, err := c.resource(kind, "")
			if err != nil {
				return err
			}
			return client.Delete(ctx, name, metav1.DeleteOptions{})
		}))
	}
	return removed, errors.Join(failed...)
}

// internalIP reports whether a node has an address at which others reach it.
func internalIP(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool {
		return a.Type == corev1.NodeInternalIP && net.ParseIP(a.Address) != nil
	})
}
