package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0s-up/kube"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/step"
)

// describe returns what this host is in its cluster, for people.
func (r removal) describe(running bool) string {
	what := map[string]string{
		"": "k0s is not on this host", k0s.RoleWorker: "this host is a worker; its cluster keeps running",
		k0s.RoleController: "this host is the only controller of its cluster",
	}[r.Role]
	if r.Role == k0s.RoleController && r.Stays {
		what = "this host is one of several controllers; the cluster keeps running on " + strings.Join(r.Others, ", ")
	}
	if r.Role != "" && !running {
		what += "; k0s is not running"
	}
	return what
}

// drain moves the pods of this host to other nodes. If it fails, Kubernetes
// restarts them elsewhere once the Node is deleted.
func (u *up) drain(ctx context.Context, do bool) (step.Outcome, error) {
	switch {
	case !u.removal.Stays:
		return step.Skipped("no other host is left to run its pods"), nil
	case u.k0s.running == nil:
		return step.Skipped("k0s is not running"), nil
	case !do:
		return step.Changed(do, "cordon node %s and evict its pods", u.node.name), nil
	}
	kubeconfig := u.k0s.kubeconfig
	if u.removal.Role == k0s.RoleWorker {
		kubeconfig = u.k0s.kubeletConfig
	}
	found := false
	c, err := kube.Open(kubeconfig())
	if err == nil {
		found, err = c.Drain(ctx, u.node.name)
	}
	if errors.Is(context.Cause(ctx), cli.ErrInterrupted) {
		return step.Outcome{}, context.Cause(ctx)
	}
	if err != nil {
		return step.Skipped("node %s could not be drained: %v", u.node.name, err), nil
	}
	if !found {
		return step.Skipped("the cluster has no node %s", u.node.name), nil
	}
	return step.Changed(do, "node %s is cordoned and drained", u.node.name), nil
}

// leave removes this host from etcd. If that fails, the run ends: the other
// members would wait for one that never comes back.
func (u *up) leave(ctx context.Context, do bool) (step.Outcome, error) {
	if u.removal.peer == "" {
		return step.Skipped("this host does not share etcd with others"), nil
	}
	o := step.Changed(do, "k0s etcd leave --peer-address %s", u.removal.peer)
	if !do {
		return o, nil
	}
	var err error
	for deadline := time.Now().Add(leaveTime); ; {
		err = u.k0s.EtcdLeave(ctx, u.removal.peer)
		if err == nil || !k0s.Settling(err) || time.Now().After(deadline) || !kube.Sleep(ctx, time.Second) {
			break
		}
	}
	if err != nil && u.hasLeft(ctx) {
		err = nil
	}
	if ctx.Err() != nil {
		return step.Outcome{}, context.Cause(ctx)
	}
	if err != nil {
		return step.Outcome{}, cli.Hint(err, `etcd refuses while too few members are up: start the others, or remove a lost one with "k0s etcd leave --peer-address ADDRESS"; then run k0s-up --reset again`)
	}
	u.state.Removal = &u.removal
	kube.Sleep(ctx, u.host.leaveGrace)
	return o, u.state.save()
}

// learnTime bounds the time that the other members need to learn of a removal.
const learnTime = 5 * time.Second

// hasLeft waits until the other members of etcd no longer list this host, and reports
// whether they do not.
func (u *up) hasLeft(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	for {
		listed, answered := false, false
		for _, other := range u.removal.peers {
			members, err := k0s.EtcdPeers(ctx, u.host.data, other)
			if err != nil {
				u.Log.Debug("no list of members", "peer", other.Peer, "error", err)
				continue
			}
			answered = true
			listed = listed || slices.ContainsFunc(members, func(m k0s.Member) bool { return m.Host() == u.removal.peer })
		}
		if answered && !listed {
			return true
		}
		if !kube.Sleep(ctx, time.Second) {
			return false
		}
	}
}

// leaveTime bounds the attempts to leave etcd.
const leaveTime = 30 * time.Second

// deleteTime bounds the attempts to reach another controller.
const deleteTime = 30 * time.Second

// removeNode deletes this host's objects from the cluster through the API server
// of another controller: this host's own stopped with its etcd.
func (u *up) removeNode(ctx context.Context, do bool) (step.Outcome, error) {
	switch {
	case !u.removal.Stays:
		return step.Skipped("the cluster is removed with this host"), nil
	case u.removal.Role == k0s.RoleWorker:
		return step.Skipped("a worker cannot delete its own Node: run %q on a controller", "k0s kubectl delete node "+u.node.name), nil
	case !do:
		return step.Changed(do, "delete the Node, ControlNode and EtcdMember %s", u.node.name), nil
	}
	bounded, cancel := context.WithTimeout(ctx, deleteTime)
	defer cancel()
	servers := u.otherServers()
	failed := fmt.Errorf("%s cannot be used", u.k0s.kubeconfig())
	for len(servers) > 0 && bounded.Err() == nil {
		for _, c := range servers {
			try, cancel := context.WithTimeout(bounded, deleteTime/3)
			removed, err := c.RemoveHost(try, u.node.name)
			cancel()
			switch {
			case err != nil:
				failed = err
			case len(removed) == 0:
				return step.Unchanged("the cluster has no objects for this host"), nil
			default:
				return step.Changed(do, "%s", strings.Join(removed, ", ")), nil
			}
		}
		kube.Sleep(bounded, time.Second)
	}
	if ctx.Err() != nil {
		return step.Outcome{}, context.Cause(ctx)
	}
	u.Progress.Warn("node: no other controller could be reached: %v", failed)
	return step.Skipped("run %q on another controller", "k0s kubectl delete --ignore-not-found node,controlnode,etcdmember "+u.node.name), nil
}

// otherServers returns the API servers of other controllers, and last the one in
// this host's kubeconfig, which may be a load balancer.
func (u *up) otherServers() []*kube.Client {
	var all []*kube.Client
	for _, s := range append(slices.Clone(u.removal.Servers), netip.AddrPort{}) {
		if c, err := kube.OpenAt(u.k0s.kubeconfig(), s); err == nil {
			all = append(all, c)
		}
	}
	return all
}
