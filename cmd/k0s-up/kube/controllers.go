package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The kinds in which k0s itself lists its controllers (k0sproject/k0s,
// pkg/apis/autopilot/v1beta2 and pkg/apis/etcd/v1beta1).
const (
	controlNodes = "/apis/autopilot.k0sproject.io/v1beta2/controlnodes"
	etcdMembers  = "/apis/etcd.k0sproject.io/v1beta1/etcdmembers"
	nodes        = "/api/v1/nodes"
)

// Controllers is what the Kubernetes API says about a cluster's controllers.
type Controllers struct {
	Names     []string         // of all that have an object in the cluster, in lower case
	Endpoints []netip.AddrPort // of the API servers that carry traffic
}

// Controllers asks the API which controllers the cluster has. A controller
// whose EtcdMember says that it has left etcd is not among them.
func (c *Client) Controllers(ctx context.Context) (*Controllers, error) {
	names, left := make(map[string]bool), make(map[string]bool)
	for _, path := range []string{etcdMembers, controlNodes, nodes + "?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"} {
		var list struct{ Items []node }
		if err := c.get(ctx, path, nil, &list); err != nil && !Absent(err) {
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
	err := c.get(ctx, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", url.Values{"labelSelector": {"kubernetes.io/service-name=kubernetes"}}, &list)
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

// Platform reports whether k0rdent is installed in the cluster: whether it has a
// Management object.
func (c *Client) Platform(ctx context.Context) (bool, error) {
	var group struct{ PreferredVersion struct{ GroupVersion string } }
	var list struct{ Items []object }
	err := c.get(ctx, "/apis/k0rdent.mirantis.com", nil, &group)
	if err == nil {
		err = c.get(ctx, "/apis/"+group.PreferredVersion.GroupVersion+"/managements", nil, &list)
	}
	if Absent(err) {
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
	err := c.get(ctx, "/api/v1/pods", url.Values{"fieldSelector": {"spec.nodeName=" + node}}, &list)
	return list.Items, err
}

// drainTime bounds how long pods are waited for that leave a node.
const drainTime = 2 * time.Minute

// Drain keeps new pods off a node and evicts those that are there, but for those
// of DaemonSets, and waits until they are gone, two minutes at most. It reports
// whether there is such a node. A node may do all of this to itself.
func (c *Client) Drain(ctx context.Context, name string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	cordon := map[string]any{"spec": map[string]any{"unschedulable": true}}
	if err := c.do(ctx, http.MethodPatch, nodes+"/"+name, "application/strategic-merge-patch+json", cordon, nil); err != nil {
		if Absent(err) {
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
			return true, fmt.Errorf("%s did not leave within %v", strings.Join(left, ", "), drainTime)
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case err != nil && !again(err):
			return true, err
		}
		Sleep(ctx, pause)
	}
}

// mirrorPod marks a pod that a kubelet runs without being told to.
const mirrorPod = "kubernetes.io/config.mirror"

// evict asks each pod of a node to leave, and returns those that are there.
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
		// One that a disruption budget refuses (429) is asked again.
		if err := c.do(ctx, http.MethodPost, path, "application/json", eviction, nil); err != nil && !Absent(err) && !again(err) {
			return left, err
		}
	}
	return left, nil
}

// RemoveHost deletes a host's objects from the cluster: its Node, its
// ControlNode and its EtcdMember. It returns what it has deleted, and goes on
// to the others where one cannot be deleted.
func (c *Client) RemoveHost(ctx context.Context, name string) ([]string, error) {
	var removed []string
	var failed []error
	for _, o := range []struct{ kind, path string }{{"Node", nodes}, {"ControlNode", controlNodes}, {"EtcdMember", etcdMembers}} {
		err := c.do(ctx, http.MethodDelete, o.path+"/"+name, "", nil, nil)
		for again(err) && Sleep(ctx, pause) {
			err = c.do(ctx, http.MethodDelete, o.path+"/"+name, "", nil, nil)
		}
		switch {
		case err == nil:
			removed = append(removed, o.kind+" "+name)
		case !Absent(err):
			failed = append(failed, fmt.Errorf("%s %s: %w", o.kind, name, err))
		}
	}
	return removed, errors.Join(failed...)
}
