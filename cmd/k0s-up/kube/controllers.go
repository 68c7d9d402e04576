package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The objects with which k0s lists its controllers (k0sproject/k0s,
// pkg/apis/autopilot/v1beta2 and pkg/apis/etcd/v1beta1).
const (
	controlNodes = "/apis/autopilot.k0sproject.io/v1beta2/controlnodes"
	etcdMembers  = "/apis/etcd.k0sproject.io/v1beta1/etcdmembers"
	nodes        = "/api/v1/nodes"
)

// Controllers holds what the Kubernetes API knows about a cluster's controllers.
type Controllers struct {
	Names     []string         // of those with an object in the cluster, in lower case
	Endpoints []netip.AddrPort // of the service "kubernetes"
}

// Controllers returns the cluster's controllers, except those whose EtcdMember shows
// that they have left etcd.
func (c *Client) Controllers(ctx context.Context) (*Controllers, error) {
	names, left := make(map[string]bool), make(map[string]bool)
	for _, path := range []string{etcdMembers, controlNodes, nodes + "?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"} {
		var list struct{ Items []node }
		if err := c.get(ctx, path, &list); err != nil && !absent(err) {
			return nil, err
		}
		for _, i := range list.Items {
			name := strings.ToLower(i.Metadata.Name)
			names[name] = true
			left[name] = left[name] || slices.ContainsFunc(i.Status.Conditions, func(c condition) bool {
				return c.Type == "Joined" && c.Status == "False"
			})
		}
	}
	found := &Controllers{}
	for name := range names {
		if !left[name] {
			found.Names = append(found.Names, name)
		}
	}
	slices.Sort(found.Names)
	var err error
	found.Endpoints, err = c.endpoints(ctx)
	return found, err
}

// endpoints returns the addresses behind the service "kubernetes".
func (c *Client) endpoints(ctx context.Context) ([]netip.AddrPort, error) {
	var list struct {
		Items []struct {
			Ports     []struct{ Port uint16 }
			Endpoints []struct{ Addresses []string }
		}
	}
	err := c.get(ctx, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes", &list)
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	for _, slice := range list.Items {
		for _, port := range slice.Ports {
			for _, e := range slice.Endpoints {
				for _, text := range e.Addresses {
					if a, err := netip.ParseAddr(text); err == nil && port.Port != 0 {
						found = append(found, netip.AddrPortFrom(a, port.Port))
					}
				}
			}
		}
	}
	return found, nil
}

// Platform reports whether k0rdent is installed: whether the cluster has a
// Management object.
func (c *Client) Platform(ctx context.Context) (bool, error) {
	var group struct{ PreferredVersion struct{ GroupVersion string } }
	var list struct{ Items []object }
	err := c.get(ctx, "/apis/k0rdent.mirantis.com", &group)
	if err == nil {
		err = c.get(ctx, "/apis/"+group.PreferredVersion.GroupVersion+"/managements", &list)
	}
	if absent(err) {
		return false, nil
	}
	return len(list.Items) > 0, err
}

type pod struct {
	object
	Status struct {
		Phase                                    string
		InitContainerStatuses, ContainerStatuses []struct {
			State struct {
				Waiting *struct{ Reason, Message string }
			}
		}
	}
}

func (c *Client) pods(ctx context.Context, node string) ([]pod, error) {
	var list struct{ Items []pod }
	err := c.get(ctx, "/api/v1/pods?fieldSelector=spec.nodeName%3D"+node, &list)
	return list.Items, err
}

// drainTimeout is how long to wait for pods to leave a node.
const drainTimeout = 2 * time.Minute

// Drain cordons a node, evicts its pods except those of DaemonSets, and waits until
// they are gone, for two minutes at most. It reports whether the node exists. A
// node's own credentials allow all of this.
func (c *Client) Drain(ctx context.Context, name string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	cordon := map[string]any{"spec": map[string]any{"unschedulable": true}}
	if err := c.do(ctx, http.MethodPatch, nodes+"/"+name, "application/strategic-merge-patch+json", cordon, nil); err != nil {
		if absent(err) {
			return false, nil
		}
		return true, err
	}
	var left []string
	for {
		now, err := c.evict(ctx, name)
		if err == nil || len(now) > 0 {
			left = now
		}
		switch {
		case err == nil && len(left) == 0:
			return true, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return true, fmt.Errorf("%s did not leave within %v", strings.Join(left, ", "), drainTimeout)
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case err != nil && !retryable(err):
			return true, err
		}
		Sleep(ctx, pause)
	}
}

// mirrorPod marks a pod that a kubelet runs on its own.
const mirrorPod = "kubernetes.io/config.mirror"

// evict evicts each pod of a node, and returns those that are still there.
func (c *Client) evict(ctx context.Context, name string) (left []string, err error) {
	pods, err := c.pods(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		m := p.Metadata
		stays := p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" || m.Annotations[mirrorPod] != ""
		for _, o := range m.OwnerReferences {
			stays = stays || o.Controller && o.Kind == "DaemonSet"
		}
		if stays {
			continue
		}
		left = append(left, "pod "+m.Namespace+"/"+m.Name)
		if m.DeletionTimestamp != nil {
			continue
		}
		eviction := map[string]any{
			"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]string{"namespace": m.Namespace, "name": m.Name},
		}
		path := "/api/v1/namespaces/" + m.Namespace + "/pods/" + m.Name + "/eviction"
		// Drain tries again if a disruption budget refuses (429).
		if err := c.do(ctx, http.MethodPost, path, "application/json", eviction, nil); err != nil && !absent(err) && !retryable(err) {
			return left, err
		}
	}
	return left, nil
}

// RemoveHost deletes a host's objects from the cluster: its Node, its ControlNode
// and its EtcdMember. It returns what it has deleted. If one cannot be deleted, it
// continues with the others.
func (c *Client) RemoveHost(ctx context.Context, name string) ([]string, error) {
	var removed []string
	var failed []error
	for _, o := range []struct{ kind, path string }{{"Node", nodes}, {"ControlNode", controlNodes}, {"EtcdMember", etcdMembers}} {
		err := c.do(ctx, http.MethodDelete, o.path+"/"+name, "", nil, nil)
		for retryable(err) && Sleep(ctx, pause) {
			err = c.do(ctx, http.MethodDelete, o.path+"/"+name, "", nil, nil)
		}
		switch {
		case err == nil:
			removed = append(removed, o.kind+" "+name)
		case !absent(err):
			failed = append(failed, fmt.Errorf("%s %s: %w", o.kind, name, err))
		}
	}
	return removed, errors.Join(failed...)
}
