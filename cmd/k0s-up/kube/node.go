package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// pause is the time between two polls.
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

// noRoute is the reason why a node has no address.
const noRoute = "the host has no default route: ip route add default via ADDRESS"

// WaitAPI waits until the API server reports that it is ready. If the context's
// deadline passes, the error has the last reason why not.
func (c *Client) WaitAPI(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		err := c.get(ctx, "/readyz?verbose", nil)
		return err == nil, err
	}, "api server: not ready")
}

// poll calls f until it is done. If the context's deadline passes, the error starts
// with what and has f's last error.
func poll(ctx context.Context, f func() (bool, error), what string) error {
	start := time.Now()
	var last error
	for {
		done, err := f()
		if done {
			return nil
		}
		if last == nil || ctx.Err() == nil { // our own deadline is not a reason
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

// WaitNode waits until the node exists, is Ready and has an address at which other
// nodes and pods can reach it. If the context's deadline passes, the error has the
// reasons of the node and of its pods.
//
// A node stays Ready for a while after its k0s was stopped. If since, by this host's
// clock, is not zero, the kubelet must have renewed the node's lease after it.
func (c *Client) WaitNode(ctx context.Context, name string, since time.Time) error {
	err := poll(ctx, func() (bool, error) {
		err := c.checkNode(ctx, name, since)
		return err == nil, err
	}, "node "+name+": not ready")
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		later, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		if pods := c.waiting(later, name); pods != "" {
			err = fmt.Errorf("%w; %s", err, pods)
		}
	}
	return err
}

// checkNode returns the reason why a node is not ready, or nil.
func (c *Client) checkNode(ctx context.Context, name string, since time.Time) error {
	var n node
	if err := c.get(ctx, nodes+"/"+name, &n); err != nil {
		return err
	}
	ready := condition{Message: "its kubelet has not reported yet"}
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

// alive reports whether the kubelet of a node has renewed its lease since then. If
// the credentials do not allow reading the lease, the node's status has to do.
func (c *Client) alive(ctx context.Context, name string, since time.Time) bool {
	var lease struct{ Spec struct{ RenewTime time.Time } }
	err := c.get(ctx, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"+name, &lease)
	if err != nil {
		return code(err) == http.StatusForbidden
	}
	return lease.Spec.RenewTime.After(since)
}

// maxPods is the number of pods that an error names.
const maxPods = 3

// waiting returns the pods of a node that are not running, with the reasons.
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
