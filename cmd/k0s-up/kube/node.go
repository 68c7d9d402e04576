package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// pause is the time between two looks.
const pause = time.Second

type object struct {
	Metadata struct {
		Name, Namespace   string
		Annotations       map[string]string
		DeletionTimestamp *time.Time
		OwnerReferences   []struct {
			Kind       string
			Controller bool
		}
	}
}

type condition struct{ Type, Status, Message string }

type node struct {
	object
	Status struct {
		Conditions []condition
		Addresses  []struct{ Type, Address string }
	}
}

// noRoute is why a node has no address.
const noRoute = "the host has no default route: ip route add default via ADDRESS"

// WaitAPI waits until the API server says of itself that it is ready. If the
// context's time runs out, the error has what it said last.
func (c *Client) WaitAPI(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		err := c.get(ctx, "/readyz", url.Values{"verbose": {""}}, nil)
		return err == nil, err
	}, "api server: not ready")
}

// poll calls f until it is done. If the context's time runs out, the error says
// what for, and has what f said last.
func poll(ctx context.Context, f func() (bool, error), what string) error {
	start := time.Now()
	var last error
	for {
		done, err := f()
		if done {
			return nil
		}
		if last == nil || ctx.Err() == nil { // that our own time is up is no reason
			last = err
		}
		if Sleep(ctx, pause) {
			continue
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s after %v: %w", what, time.Since(start).Round(time.Second), last)
	}
}

// WaitNode waits until the node of this name is there, is Ready and has an
// address at which other nodes and pods reach it. If the context's time runs
// out, the error has what keeps the node and the system's pods.
//
// A node that was Ready when its k0s was stopped looks so until long after. If
// since, by this host's clock, is not zero, the kubelet must have renewed the
// node's lease after it.
func (c *Client) WaitNode(ctx context.Context, name string, since time.Time) error {
	err := poll(ctx, func() (bool, error) {
		err := c.checkNode(ctx, name, since)
		return err == nil, err
	}, "node "+name+": not ready")
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		later, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if pods := c.waiting(later, name); pods != "" {
			err = fmt.Errorf("%w; %s", err, pods)
		}
	}
	return err
}

// checkNode returns why a node is not ready, or nil.
func (c *Client) checkNode(ctx context.Context, name string, since time.Time) error {
	var n node
	if err := c.get(ctx, "/api/v1/nodes/"+name, nil, &n); err != nil {
		return err
	}
	ready := condition{Message: "its kubelet does not report"}
	for _, cond := range n.Status.Conditions {
		if cond.Type == "Ready" {
			ready = cond
		}
	}
	if ready.Status != "True" {
		return errors.New(ready.Message)
	}
	if !since.IsZero() && !c.alive(ctx, name, since) {
		return errors.New("its kubelet has not reported since k0s started")
	}
	for _, a := range n.Status.Addresses {
		if _, err := netip.ParseAddr(a.Address); a.Type == "InternalIP" && err == nil {
			return nil
		}
	}
	return errors.New("it is Ready but has no InternalIP: " + noRoute)
}

// alive reports whether the kubelet of a node has renewed its lease since then.
// Credentials that may not read the lease have to do with the node's own status.
func (c *Client) alive(ctx context.Context, name string, since time.Time) bool {
	var lease struct{ Spec struct{ RenewTime time.Time } }
	err := c.get(ctx, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"+name, nil, &lease)
	if err != nil {
		return code(err) == http.StatusForbidden
	}
	return lease.Spec.RenewTime.After(since)
}

// maxPods bounds how many pods an error names.
const maxPods = 3

// waiting names the pods of a node that do not run, and why.
func (c *Client) waiting(ctx context.Context, name string) string {
	pods, err := c.pods(ctx, name)
	if err != nil {
		return ""
	}
	var all []string
	for _, p := range pods {
		for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			if w := s.State.Waiting; w != nil && w.Message != "" && len(all) < maxPods {
				all = append(all, fmt.Sprintf("pod %s/%s: %s: %s", p.Metadata.Namespace, p.Metadata.Name, w.Reason, w.Message))
				break
			}
		}
	}
	return strings.Join(all, "; ")
}
