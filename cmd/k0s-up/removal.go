package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
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
	store     store

	members    map[string]string // of etcd: name to peer URL
	membersErr error             // why the members are not known
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

	peer  string   // the peer address to remove from etcd; "" for none
	peers []string // the peer URLs of the other members
}

// decide returns what may be removed with a host, or an error if removing the host
// could destroy a cluster that others run.
func (f facts) decide() (removal, error) {
	r := removal{Role: f.role}
	if f.role == "" && f.earlier != nil { // an earlier run ended after the reset
		return *f.earlier, nil
	}
	if f.role == k0s.RoleWorker {
		r.Stays = true
		return r, nil
	}
	if f.role != k0s.RoleController || f.store == "" {
		return r, nil
	}
	if f.store == storeShared {
		return f.decideShared(r)
	}
	if f.membersErr != nil {
		return f.decideUnknown(r, f.membersErr)
	}
	own, others, err := f.split()
	if err != nil {
		return removal{}, err
	}
	if own == "" && f.earlier == nil {
		return removal{}, cli.Hint(fmt.Errorf("etcd has the members %s, and none of them is this host (%s)", memberNames(f.members), f.describe()),
			`if this host has already left etcd, run "k0s stop", then add --last-controller`)
	}
	if len(others) == 0 {
		return f.checkAlone(r)
	}
	if f.last {
		return removal{}, cli.Hint(cli.Misuse("--last-controller: etcd answers and has other members: %s", strings.Join(others, ", ")),
			"remove --last-controller: this host then leaves etcd before it is reset")
	}
	r.Stays, r.Others, r.Servers = true, others, f.servers(own)
	if own != "" {
		r.peer = peerHost(f.members[own])
		for _, name := range slices.Sorted(maps.Keys(f.members)) {
			if name != own {
				r.peers = append(r.peers, f.members[name])
			}
		}
	}
	return r, nil
}

// decideShared decides for a controller whose store does not list controllers.
func (f facts) decideShared(r removal) (removal, error) {
	if f.apiErr != nil {
		return f.decideUnknown(r, f.apiErr)
	}
	if others := f.seen(); len(others) > 0 && !f.last {
		r.Stays, r.Others, r.Servers = true, others, f.servers("")
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
// of the API, and the hosts of etcd members other than own.
func (f facts) servers(own string) []netip.AddrPort {
	all := f.otherEndpoints()
	for name, peer := range f.members {
		a, err := netip.ParseAddr(peerHost(peer))
		if err != nil || name == own {
			continue
		}
		if s := netip.AddrPortFrom(a, f.apiPort); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all
}

// split returns which of etcd's members is this host, by its addresses and its
// name, and the others. It is an error if the addresses and the name belong to
// different members.
func (f facts) split() (own string, others []string, err error) {
	var byAddress, byName []string
	for name, peer := range f.members {
		if a, err := netip.ParseAddr(peerHost(peer)); err == nil && slices.Contains(f.addresses, a.Unmap()) {
			byAddress = append(byAddress, name)
		}
		if strings.EqualFold(name, f.name) {
			byName = append(byName, name)
		}
	}
	slices.Sort(byAddress)
	found := slices.Compact(append(byAddress, byName...))
	if len(found) > 1 {
		return "", nil, cli.Hint(fmt.Errorf("etcd has more than one member that could be this host (%s): %s", f.describe(), memberNames(f.members)),
			`remove the wrong one with "k0s etcd leave --peer-address ADDRESS"`)
	}
	for _, name := range slices.Sorted(maps.Keys(f.members)) {
		if !slices.Contains(found, name) {
			others = append(others, cmp.Or(name, peerHost(f.members[name])))
		}
	}
	if len(found) == 1 {
		own = found[0]
	}
	return own, others, nil
}

func (f facts) describe() string {
	all := []string{f.name}
	for _, a := range f.addresses {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

// memberNames returns the members with their addresses, for people.
func memberNames(members map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		all = append(all, cmp.Or(name, "(not started)")+" at "+peerHost(members[name]))
	}
	return strings.Join(all, ", ")
}

// peerHost returns the address in a peer URL.
func peerHost(peer string) string {
	u, err := url.Parse(peer)
	if err != nil {
		return peer
	}
	return u.Hostname()
}
