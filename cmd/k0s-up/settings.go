package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/ports"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
	kyaml "sigs.k8s.io/yaml"
)

// k0sYAML is k0s's configuration as it is and as it is to be.
type k0sYAML struct {
	have    []byte // nil if there is none
	merged  []byte
	changes []string

	// What the merged text says, k0s's defaults filled in.
	address, peer        string
	balanced             bool // the text says whether there is node-local load balancing, or an external address
	apiPort              int
	provider             string
	etcd, dualStack      bool // it has etcd of its own; both families
	podCIDR, serviceCIDR netip.Prefix
}

// The defaults of k0s (k0sproject/k0s, pkg/apis/k0s/v1beta1).
const (
	defaultAPIPort     = 6443
	defaultProvider    = "kuberouter"
	defaultPodCIDR     = "10.244.0.0/16"
	defaultServiceCIDR = "10.96.0.0/12"
)

// planYAML reads the k0s.yaml of this host and puts in what is to be in it.
func (u *up) planYAML() error {
	have, err := textfile.Read(u.host.k0sConfig)
	if errors.Is(err, fs.ErrNotExist) && u.cfg.k0sYAML != "" {
		have, err = textfile.Read(u.cfg.k0sYAML)
		if err != nil {
			return fmt.Errorf("--k0s-yaml: %w", err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	y := k0sYAML{have: have}
	if err := y.read(have); err != nil {
		return &os.PathError{Op: "read", Path: u.host.k0sConfig, Err: err}
	}
	y.merged, y.changes, err = merge(have, u.settings(y))
	if err == nil {
		err = y.read(y.merged)
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: u.host.k0sConfig, Err: err}
	}
	u.yaml = y
	return nil
}

// settings lists what k0s.yaml is to have. An address that it has stays, so
// that a host whose address changes is not made another member of etcd; but
// the k0s.yaml with which a host joins may come from another controller.
func (u *up) settings(y k0sYAML) []setting {
	c := u.cfg
	address, peer := y.address, c.etcdPeerAddress
	if c.join != "" && u.others(address) {
		address = ""
	}
	if c.join != "" && peer == "" && u.others(y.peer) {
		peer = u.node.address.String()
	}
	var all []setting
	add := func(value any, keep bool, path ...string) {
		if value != "" && value != 0 {
			all = append(all, setting{path, value, keep})
		}
	}
	add(false, false, "spec", "telemetry", "enabled")
	if c.api.address != "" || address == "" && u.node.address.IsValid() {
		address = u.node.address.String()
	}
	add(address, c.api.address == "" && address == y.address, "spec", "api", "address")
	add(c.api.port, false, "spec", "api", "port")
	sans := append([]string{}, c.api.sans...)
	for _, name := range []string{u.node.name, address} {
		if name != "" {
			sans = append(sans, name)
		}
	}
	all = append(all, setting{[]string{"spec", "api", "sans"}, sans, false})
	add(c.api.externalAddress, false, "spec", "api", "externalAddress")
	if u.balance {
		all = append(all, setting{[]string{"spec", "network", "nodeLocalLoadBalancing", "enabled"}, true, true})
	}
	add(c.network.provider, false, "spec", "network", "provider")
	add(c.network.podCIDR, false, "spec", "network", "podCIDR")
	add(c.network.serviceCIDR, false, "spec", "network", "serviceCIDR")
	add(c.storageType, false, "spec", "storage", "type")
	add(peer, false, "spec", "storage", "etcd", "peerAddress")
	if c.k0sImages == imagesRegistry && u.site != nil {
		add(u.site.at, false, "spec", "images", "repository")
	}
	return all
}

// read parses what other steps need from a text.
func (y *k0sYAML) read(text []byte) error {
	var config struct {
		Spec struct {
			API struct {
				Address, ExternalAddress string
				Port                     int
			}
			Network struct {
				Provider, PodCIDR, ServiceCIDR string
				NodeLocalLoadBalancing         *struct{ Enabled bool }
				DualStack                      struct{ Enabled bool }
			}
			Storage struct {
				Type string
				Etcd struct {
					PeerAddress     string
					ExternalCluster any
				}
			}
		}
	}
	if err := kyaml.Unmarshal(text, &config); err != nil {
		return err
	}
	api, network := config.Spec.API, config.Spec.Network
	y.address, y.apiPort, y.peer = api.Address, api.Port, config.Spec.Storage.Etcd.PeerAddress
	y.balanced = network.NodeLocalLoadBalancing != nil || api.ExternalAddress != "" || config.Spec.Storage.Type == "kine"
	if y.apiPort == 0 {
		y.apiPort = defaultAPIPort
	}
	y.provider = cmp.Or(network.Provider, defaultProvider)
	y.dualStack = network.DualStack.Enabled
	y.etcd = config.Spec.Storage.Type != "kine" && config.Spec.Storage.Etcd.ExternalCluster == nil
	// What is not a network, k0s tells when it validates the text.
	y.podCIDR, _ = netip.ParsePrefix(cmp.Or(network.PodCIDR, defaultPodCIDR))
	y.serviceCIDR, _ = netip.ParsePrefix(cmp.Or(network.ServiceCIDR, defaultServiceCIDR))
	return nil
}

// others reports whether an address is another host's.
func (u *up) others(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && !u.node.own(a)
}

// checkK0sYAML plans the configuration and has k0s check it.
func (u *up) checkK0sYAML(ctx context.Context) {
	if err := u.planYAML(); err != nil {
		u.Fail("k0s.yaml", "", "%v", err)
		return
	}
	if u.others(u.yaml.address) {
		u.Fail("network", "give this host's own with --api-address", "spec.api.address in k0s.yaml is %s, which this host does not have: the cluster's traffic would go elsewhere", u.yaml.address)
	}
	if u.cfg.join != "" {
		if err := k0s.Balanced(u.yaml.merged); err != nil {
			u.Fail("k0s.yaml", balanceHint, "%v", err)
		}
	}
	if u.k0s.version.Major == 0 || u.k0s.missing {
		return // it comes later
	}
	if err := u.k0s.Validate(ctx, u.yaml.merged); err != nil {
		u.Fail("k0s.yaml", "", "%v", err)
	}
}

// balanceHint is what makes a cluster that has one controller ready for more.
const balanceHint = "on every controller, set spec.network.nodeLocalLoadBalancing.enabled to true in k0s.yaml, or the address of a load balancer with --api-external-address, and restart k0s there and on the workers"

// planBalance has the nodes of a new cluster reach all of its controllers, through
// a load balancer that k0s runs on each: without that, no second controller
// could be added later. It needs one more image, which not every bundle has; a
// cluster that already exists is not changed.
func (u *up) planBalance(ctx context.Context) error {
	if u.cfg.join != "" || u.cfg.upgrade || u.k0s.running != nil || u.yaml.balanced || u.yaml.merged == nil {
		return nil
	}
	if _, err := os.Lstat(u.host.data + "/etcd/member"); err == nil {
		return nil
	}
	busy := ports.Listeners(u.host.proc, "tcp")
	for _, port := range []int{7443, 7132} { // on which k0s's load balancer listens
		if _, found := busy[port]; found {
			u.Warn("k0s.yaml", "one controller only, unless --api-external-address is given: node-local load balancing needs port %d, which is in use", port)
			return nil
		}
	}
	without, err := u.k0s.ImagesFor(ctx, u.yaml.merged)
	if err != nil {
		return err
	}
	u.balance = true
	if err := u.planYAML(); err != nil || u.site == nil { // the public registry has it
		return err
	}
	with, err := u.k0s.ImagesFor(ctx, u.yaml.merged)
	if err != nil {
		return err
	}
	more := slices.DeleteFunc(with, func(i ref.Reference) bool { return slices.Contains(without, i) })
	missing, _, err := u.site.lookUp(ctx, more)
	if err != nil || len(missing) == 0 {
		return err
	}
	u.Warn("k0s.yaml", "one controller only, unless --api-external-address is given: node-local load balancing needs %v, which is not in the registry%s", missing[0].image, missing[0].instead)
	u.balance = false
	return u.planYAML()
}
