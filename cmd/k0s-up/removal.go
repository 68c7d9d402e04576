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

// What may be removed with a host is decided here, by pure functions over what
// the host's own files, etcd and the Kubernetes API say. No note of an earlier
// run counts as evidence that a host stands alone: a wrong guess costs the
// other controllers their quorum for good.

// store is where a controller keeps the state of its cluster.
type store string

const (
	storeEtcd   store = "etcd"
	storeFile   store = "a file on this host"                 // kine with SQLite, which is --single's default
	storeShared store = "a database that other hosts can use" // kine with a server, or an etcd that k0s does not run
)

// facts is what is known about a host before it is removed.
type facts struct {
	name      string       // of its node
	addresses []netip.Addr // that it has
	role      string       // controller, worker, or "" where k0s has left nothing
	running   bool         // k0s runs; it need not answer
	store     store
	stored    bool // a controller: it has state, or has asked others to share theirs

	members    map[string]string // of etcd: name to peer URL
	membersErr error             // why etcd could not be asked
	api        *kube.Controllers
	apiErr     error // why the Kubernetes API could not be asked
	apiPort    uint16
	balanced   bool // the API's endpoints are a load balancer's, not the controllers'

	begun *removal // what an earlier run had decided before it stopped k0s
	last  bool     // --last-controller
}

// removal is what uninstalling a host means for its cluster. It is noted
// before k0s is stopped, since neither etcd nor the API answers afterwards.
type removal struct {
	Role    string           `json:"role,omitempty"`
	Stays   bool             `json:"stays,omitempty"`   // the cluster goes on without this host
	Others  []string         `json:"others,omitempty"`  // the controllers that it goes on with
	Servers []netip.AddrPort `json:"servers,omitempty"` // their API servers

	peer string // the address with which this host leaves etcd; "" if it does not
}

// decide returns what may be removed with a host, or an error if removing it
// could take a cluster with it.
func (f facts) decide() (removal, error) {
	r := removal{Role: f.role}
	if f.role == "" && f.begun != nil { // an earlier run was stopped after the reset
		return *f.begun, nil
	}
	if f.role == k0s.RoleWorker {
		r.Stays = true
		return r, nil
	}
	if f.role != k0s.RoleController || !f.stored || f.store == storeFile {
		return r, nil
	}
	if f.store == storeShared {
		return f.decideShared(r)
	}
	if f.membersErr != nil {
		return f.unanswered(r, f.membersErr)
	}
	own, others, err := f.split()
	if err != nil {
		return removal{}, err
	}
	if own == "" && f.begun == nil {
		return removal{}, cli.Hint(fmt.Errorf("etcd has the members %s, and none of them is this host (%s)", memberNames(f.members), f.describe()),
			`if this host has left etcd already, stop k0s with "k0s stop" and add --last-controller`)
	}
	if len(others) == 0 {
		return f.checkAlone(r)
	}
	if f.last {
		return removal{}, cli.Hint(cli.Misuse("--last-controller: etcd answers and has other members: %s", strings.Join(others, ", ")),
			"run this without --last-controller: this host leaves etcd first")
	}
	r.Stays, r.Others, r.Servers = true, others, f.servers(own)
	if own != "" {
		r.peer = peerHost(f.members[own])
	}
	return r, nil
}

// decideShared decides for a controller whose store cannot be asked for members.
func (f facts) decideShared(r removal) (removal, error) {
	if f.apiErr != nil {
		return f.unanswered(r, f.apiErr)
	}
	if others := f.seen(); len(others) > 0 && !f.last {
		r.Stays, r.Others, r.Servers = true, others, f.servers("")
	}
	return r, nil
}

// unanswered decides when it is unknown whether there are other controllers.
func (f facts) unanswered(r removal, cause error) (removal, error) {
	switch {
	case f.begun != nil:
		return *f.begun, nil
	case f.last:
		return r, nil
	}
	err := fmt.Errorf("cannot determine whether this cluster has other controllers: %w", cause)
	hint := `wait until "k0s status" answers and run this again`
	if !f.running {
		err = errors.New("k0s is stopped, so it is unknown whether this cluster has other controllers")
		hint = `start it with "k0s start" and run this again`
	}
	return removal{}, cli.Hint(err, "%s; if no other controller is left, or they are lost for good, add --last-controller", hint)
}

// checkAlone compares etcd's word that this host is its only member with what
// the Kubernetes API says.
func (f facts) checkAlone(r removal) (removal, error) {
	seen := f.seen()
	if len(seen) == 0 || f.last {
		return r, nil
	}
	return removal{}, cli.Hint(fmt.Errorf("etcd has no member but this host, but the Kubernetes API knows other controllers: %s", strings.Join(seen, ", ")),
		`if they are gone, delete their objects with "k0s kubectl delete node,controlnode,etcdmember --ignore-not-found NAME", or add --last-controller`)
}

// seen lists the other controllers that the Kubernetes API knows.
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

// otherEndpoints lists the API servers that other hosts run.
func (f facts) otherEndpoints() []netip.AddrPort {
	if f.api == nil || f.balanced {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.api.Endpoints), func(e netip.AddrPort) bool {
		return e.Addr().IsLoopback() || slices.Contains(f.addresses, e.Addr().Unmap())
	})
}

// servers lists where the other controllers' API servers may be reached: those
// that carry traffic, and those next to each etcd member but this host's own.
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

// split finds this host among etcd's members, by its addresses and its name.
// It is an error if those are two members.
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

// memberNames lists members with their addresses.
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
