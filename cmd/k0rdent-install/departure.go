package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// describe returns what a host is, for people.
func (r removal) describe(running bool) string {
	what := map[string]string{
		"": "k0s has nothing on this host", k0s.RoleWorker: "this host is a worker of a cluster that goes on",
		k0s.RoleController: "this host is the only controller of its cluster",
	}[r.Role]
	if r.Role == k0s.RoleController && r.Stays {
		what = "this host is one of several controllers; the cluster goes on with " + strings.Join(r.Others, ", ")
	}
	if r.Role != "" && !running {
		what += "; k0s does not run"
	}
	return what
}

// drainable reports whether there is a node to drain, and if not, why.
func (i *installer) drainable() (bool, string) {
	switch {
	case !i.removal.Stays:
		return false, "no other host is left to run its pods"
	case i.k0s.running == nil:
		return false, "k0s does not run"
	}
	return true, ""
}

func (i *installer) planDrain(context.Context) (outcome, error) {
	if yes, why := i.drainable(); !yes {
		return skipped("%s", why), nil
	}
	return planned("cordon node %s and evict its pods", i.node.name), nil
}

// drain moves the pods of this host to other nodes. That is a courtesy: what
// stays behind is started elsewhere once the Node is gone.
func (i *installer) drain(ctx context.Context) (outcome, error) {
	if yes, why := i.drainable(); !yes {
		return skipped("%s", why), nil
	}
	kubeconfig := i.k0s.kubeconfig
	if i.removal.Role == k0s.RoleWorker {
		kubeconfig = i.k0s.kubeletConfig
	}
	found := false
	c, err := cluster.Open(kubeconfig())
	if err == nil {
		found, err = c.Drain(ctx, i.node.name)
	}
	if errors.Is(context.Cause(ctx), cli.ErrInterrupted) {
		return outcome{}, context.Cause(ctx)
	}
	if err != nil {
		return skipped("node %s could not be drained: %v", i.node.name, err), nil
	}
	if !found {
		return skipped("there is no node %s", i.node.name), nil
	}
	return done("node %s is cordoned and drained", i.node.name), nil
}

func (i *installer) leaveCommand() string {
	return "k0s etcd leave --peer-address " + i.removal.peer
}

func (i *installer) planLeave(context.Context) (outcome, error) {
	if i.removal.peer == "" {
		return skipped("this host shares no etcd"), nil
	}
	return planned("%s", i.leaveCommand()), nil
}

// leave removes this host from etcd. If that fails, nothing after it is done:
// the others would wait for a member that never comes back.
func (i *installer) leave(ctx context.Context) (outcome, error) {
	if i.removal.peer == "" {
		return skipped("this host shares no etcd"), nil
	}
	var err error
	for deadline := time.Now().Add(leaveTime); ; {
		err = i.k0s.EtcdLeave(ctx, i.removal.peer)
		if err == nil || !k0s.Settling(err) || time.Now().After(deadline) || !cluster.Sleep(ctx, time.Second) {
			break
		}
	}
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	if err != nil {
		return outcome{}, cli.Hint(err, `etcd refuses while too few members are up: start the others, or remove one that is gone with "k0s etcd leave --peer-address ADDRESS"; then run this again`)
	}
	i.state.Removal = &i.removal
	cluster.Sleep(ctx, i.host.farewell)
	return done("%s", i.leaveCommand()), i.state.save()
}

// leaveTime bounds the tries to leave etcd.
const leaveTime = 30 * time.Second

// farewell is how long etcd of a member that leaves runs on, until the others
// know that it may go. Two members that lost one before would have no quorum.
const farewell = 3 * time.Second

// deletes is what removes what a host leaves in its cluster.
func (i *installer) deletes() string {
	if i.removal.Role == k0s.RoleWorker {
		return "k0s kubectl delete node " + i.node.name
	}
	return "k0s kubectl delete --ignore-not-found node,controlnode,etcdmember " + i.node.name
}

func (i *installer) planHost(context.Context) (outcome, error) {
	switch {
	case !i.removal.Stays:
		return skipped("the cluster goes with this host"), nil
	case i.removal.Role == k0s.RoleWorker:
		return skipped("a worker may not delete its Node: run %q on a controller", i.deletes()), nil
	}
	return planned("delete the Node, ControlNode and EtcdMember %s", i.node.name), nil
}

// hostTime bounds the tries to reach another controller.
const hostTime = 30 * time.Second

// removeHost deletes this host's objects from the cluster, through the API
// server of another controller: this host's own has ended with its etcd.
func (i *installer) removeHost(ctx context.Context) (outcome, error) {
	o, err := i.planHost(ctx)
	if err != nil || !i.removal.Stays || i.removal.Role == k0s.RoleWorker {
		return o, err
	}
	bounded, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	servers := i.elsewhere()
	failed := fmt.Errorf("%s cannot be used", i.k0s.kubeconfig())
	for len(servers) > 0 && bounded.Err() == nil {
		for _, c := range servers {
			try, cancel := context.WithTimeout(bounded, hostTime/3)
			removed, err := c.RemoveHost(try, i.node.name)
			cancel()
			switch {
			case err != nil:
				failed = err
			case len(removed) == 0:
				return unchanged("nothing in the cluster stands for this host"), nil
			default:
				return done("%s", strings.Join(removed, ", ")), nil
			}
		}
		cluster.Sleep(bounded, time.Second)
	}
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	i.progress.Warn("node: no other controller could be reached: %v", failed)
	return skipped("run %q on another controller", i.deletes()), nil
}

// elsewhere lists the API servers of other controllers, and last the one that
// this host's kubeconfig names, which may be a load balancer.
func (i *installer) elsewhere() []*cluster.Cluster {
	var all []*cluster.Cluster
	for _, s := range i.removal.Servers {
		if c, err := cluster.OpenAt(i.k0s.kubeconfig(), s); err == nil {
			all = append(all, c)
		}
	}
	if c, err := cluster.Open(i.k0s.kubeconfig()); err == nil {
		all = append(all, c)
	}
	return all
}
