package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k0rdent-airgap/cmd/k0s-up/kube"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// The functions below decide what may be removed with a host. They are pure, and
// their input is what the host's files, etcd and the Kubernetes API report. A state
// file of an earlier run never proves that a host is the only controller: if that
// were wrong, the other controllers would lose their quorum for good.

// store is where a controller shares the state of its cluster with others; "" if it has
// none, or keeps it in a file (kine with SQLite, which is --single's default).
type store string

const (
	storeEtcd   store = "etcd"     // k0s's own, or it has asked others to join theirs
	storeShared store = "database" // of a server, or an etcd that k0s does not run
)

// facts holds what is known about a host before it is removed.
type facts struct {
	name      string       // of its node
	addresses []netip.Addr // that it has
	role      string       // controller, worker, or "" if k0s is not on this host
	running   bool         // k0s is running, even if it does not answer
	store     store        // of a controller

	members    []k0s.Member // of etcd
	membersErr error        // why the members are not known
	api        *kube.Controllers
	apiErr     error // why api is nil
	apiPort    uint16
	balanced   bool // the API's endpoints are a load balancer's, not the controllers'

	earlier *removal // the decision of an earlier run that stopped k0s
	last    bool     // --last-controller
}

// removal is what removing a host means for its cluster. It is saved before k0s is
// stopped, since neither etcd nor the API answers afterwards.
type removal struct {
	Role    string           `json:"role,omitempty"`
	Stays   bool             `json:"stays,omitempty"`   // the cluster keeps running without this host
	Others  []string         `json:"others,omitempty"`  // its other controllers
	Servers []netip.AddrPort `json:"servers,omitempty"` // their API servers

	peer  string       // the peer address to remove from etcd; "" for none
	peers []k0s.Member // the other members of etcd
}

// decide returns what may be removed with a host, or an error if removing the host
// could destroy a cluster that others run.
func (f facts) decide() (removal, error) {
	r := removal{Role: f.role}
	switch {
	case f.role == "" && f.earlier != nil: // an earlier run ended after the reset
		return *f.earlier, nil
	case f.role == k0s.RoleWorker:
		r.Stays = true
		return r, nil
	case f.store == "":
		return r, nil
	case f.store == storeShared:
		return f.decideShared(r)
	case f.membersErr != nil:
		return f.decideUnknown(r, f.membersErr)
	}
	// A member is this host by its address or by its name.
	var own []k0s.Member
	for _, m := range f.members {
		a, err := netip.ParseAddr(m.Host())
		if err == nil && slices.Contains(f.addresses, a.Unmap()) || strings.EqualFold(m.Name, f.name) {
			own = append(own, m)
			continue
		}
		r.peers, r.Others = append(r.peers, m), append(r.Others, cmp.Or(m.Name, m.Host()))
	}
	switch {
	case len(own) > 1:
		return removal{}, cli.Hint(fmt.Errorf("etcd has more than one member that could be this host (%s): %s", f.describe(), memberNames(f.members)),
			`remove the wrong one with "k0s etcd leave --peer-address ADDRESS"`)
	case len(own) == 0 && f.earlier == nil:
		return removal{}, cli.Hint(fmt.Errorf("etcd has the members %s, and none of them is this host (%s)", memberNames(f.members), f.describe()),
			`if this host has already left etcd, run "k0s stop", then add --last-controller`)
	case len(r.Others) == 0:
		return f.checkAlone(r)
	case f.last:
		return removal{}, cli.Hint(cli.Misuse("--last-controller: etcd answers and has other members: %s", strings.Join(r.Others, ", ")),
			"remove --last-controller: this host then leaves etcd before it is reset")
	case len(own) == 1:
		r.peer = own[0].Host()
	}
	r.Stays, r.Servers = true, f.servers(r.peers)
	return r, nil
}

// decideShared decides for a controller whose store does not list controllers.
func (f facts) decideShared(r removal) (removal, error) {
	if f.apiErr != nil {
		return f.decideUnknown(r, f.apiErr)
	}
	if others := f.seen(); len(others) > 0 && !f.last {
		r.Stays, r.Others, r.Servers = true, others, f.servers(nil)
	}
	return r, nil
}

// decideUnknown decides for a host whose cluster may have other controllers.
func (f facts) decideUnknown(r removal, cause error) (removal, error) {
	switch {
	case f.earlier != nil:
		return *f.earlier, nil
	case f.last:
		return r, nil
	}
	err := fmt.Errorf("cannot determine whether this cluster has other controllers: %w", cause)
	hint := `wait until "k0s status" answers, then run k0s-up --reset again`
	if !f.running {
		err = errors.New("k0s is stopped, so it is unknown whether this cluster has other controllers")
		hint = `start it with "k0s start", then run k0s-up --reset again`
	}
	return removal{}, cli.Hint(err, "%s; if no other controller is left, or they are lost for good, add --last-controller", hint)
}

// checkAlone returns an error if the Kubernetes API knows other controllers
// although this host is the only member of etcd.
func (f facts) checkAlone(r removal) (removal, error) {
	seen := f.seen()
	if len(seen) == 0 || f.last {
		return r, nil
	}
	return removal{}, cli.Hint(fmt.Errorf("this host is the only member of etcd, but the Kubernetes API knows other controllers: %s", strings.Join(seen, ", ")),
		`if they are gone, delete their objects with "k0s kubectl delete node,controlnode,etcdmember --ignore-not-found NAME", or add --last-controller`)
}

// seen returns the other controllers that the Kubernetes API knows.
func (f facts) seen() []string {
	if f.api == nil {
		return nil
	}
	var others []string
	for _, name := range f.api.Names {
		if !strings.EqualFold(name, f.name) {
			others = append(others, name)
		}
	}
	for _, e := range f.otherEndpoints() {
		if len(others) == 0 { // they are the same hosts
			others = append(others, e.String())
		}
	}
	return others
}

// otherEndpoints returns the API servers of other hosts.
func (f facts) otherEndpoints() []netip.AddrPort {
	if f.api == nil || f.balanced {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.api.Endpoints), func(e netip.AddrPort) bool {
		return e.Addr().IsLoopback() || slices.Contains(f.addresses, e.Addr().Unmap())
	})
}

// servers returns the addresses of other controllers' API servers: the endpoints
// of the API, and the hosts of other members of etcd.
func (f facts) servers(others []k0s.Member) []netip.AddrPort {
	all := f.otherEndpoints()
	for _, m := range others {
		if a, err := netip.ParseAddr(m.Host()); err == nil {
			all = append(all, netip.AddrPortFrom(a, f.apiPort))
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

func (f facts) describe() string {
	all := []string{f.name}
	for _, a := range f.addresses {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

// memberNames returns the members with their addresses, for people.
func memberNames(members []k0s.Member) string {
	var all []string
	for _, m := range members {
		all = append(all, cmp.Or(m.Name, "(not started)")+" at "+m.Host())
	}
	return strings.Join(all, ", ")
}
