package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/ports"
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
func (i *installer) planYAML() error {
	have, err := textfile.Read(i.host.k0sConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	y := k0sYAML{have: have}
	if err := y.read(have); err != nil {
		return &os.PathError{Op: "read", Path: i.host.k0sConfig, Err: err}
	}
	y.merged, y.changes, err = merge(have, i.settings(y))
	if err == nil {
		err = y.read(y.merged)
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: i.host.k0sConfig, Err: err}
	}
	i.yaml = y
	return nil
}

// settings lists what k0s.yaml is to have. An address that it has stays, so
// that a host whose address changes is not made another member of etcd; but
// the k0s.yaml with which a host joins may come from another controller.
func (i *installer) settings(y k0sYAML) []setting {
	c := i.cfg
	address, peer := y.address, c.etcdPeerAddress
	if c.join != "" && i.others(address) {
		address = ""
	}
	if c.join != "" && peer == "" && i.others(y.peer) {
		peer = i.node.address.String()
	}
	var all []setting
	add := func(value any, keep bool, path ...string) {
		if value != "" && value != 0 {
			all = append(all, setting{path, value, keep})
		}
	}
	add(false, false, "spec", "telemetry", "enabled")
	if c.api.address != "" || address == "" && i.node.address.IsValid() {
		address = i.node.address.String()
	}
	add(address, c.api.address == "" && address == y.address, "spec", "api", "address")
	add(c.api.port, false, "spec", "api", "port")
	sans := append([]string{}, c.api.sans...)
	for _, name := range []string{i.node.name, address} {
		if name != "" {
			sans = append(sans, name)
		}
	}
	all = append(all, setting{[]string{"spec", "api", "sans"}, sans, false})
	add(c.api.externalAddress, false, "spec", "api", "externalAddress")
	if i.balance {
		all = append(all, setting{[]string{"spec", "network", "nodeLocalLoadBalancing", "enabled"}, true, true})
	}
	add(c.network.provider, false, "spec", "network", "provider")
	add(c.network.podCIDR, false, "spec", "network", "podCIDR")
	add(c.network.serviceCIDR, false, "spec", "network", "serviceCIDR")
	add(c.storageType, false, "spec", "storage", "type")
	add(peer, false, "spec", "storage", "etcd", "peerAddress")
	if c.k0sImages == imagesRegistry && i.site != nil && !c.online {
		add(i.site.at, false, "spec", "images", "repository")
	}
	return all
}

// read takes from a text what other steps go by.
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
			}
			Storage struct {
				Type string
				Etcd struct{ PeerAddress string }
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
	y.provider = orText(network.Provider, defaultProvider)
	// What is not a network, k0s tells when it validates the text.
	y.podCIDR, _ = netip.ParsePrefix(orText(network.PodCIDR, defaultPodCIDR))
	y.serviceCIDR, _ = netip.ParsePrefix(orText(network.ServiceCIDR, defaultServiceCIDR))
	return nil
}

// others reports whether an address is another host's.
func (i *installer) others(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && !i.node.own(a)
}

// checkK0sYAML plans the configuration and has k0s check it.
func (p *preflight) checkK0sYAML(ctx context.Context) {
	if err := p.planYAML(); err != nil {
		p.fail("k0s.yaml", "", "%v", err)
		return
	}
	if p.others(p.yaml.address) {
		p.fail("network", "give this host's own with --api-address", "spec.api.address in k0s.yaml is %s, which this host does not have: the cluster's traffic would go elsewhere", p.yaml.address)
	}
	if p.join {
		if err := k0s.Balanced(p.yaml.merged); err != nil {
			p.fail("k0s.yaml", balanceHint, "%v", err)
		}
	}
	if p.k0s.version.Major == 0 || p.k0s.missing {
		return // it comes later
	}
	if err := p.k0s.Validate(ctx, p.yaml.merged); err != nil {
		p.fail("k0s.yaml", "", "%v", err)
	}
}

// balanceHint is what makes a cluster that has one controller ready for more.
const balanceHint = "on every controller, set spec.network.nodeLocalLoadBalancing.enabled to true in k0s.yaml, or the address of a load balancer with --api-external-address, and restart k0s there and on the workers"

// planBalance has the nodes of a new cluster reach all of its controllers, through
// a load balancer that k0s runs on each: without that, no second controller
// could be added later. It needs one more image, which not every bundle has; a
// cluster that is there already is not changed.
func (p *preflight) planBalance(ctx context.Context) error {
	if p.join || p.upgrade || p.k0s.running != nil || p.yaml.balanced || p.yaml.merged == nil {
		return nil
	}
	if _, err := os.Lstat(p.host.data + "/etcd/member"); err == nil {
		return nil
	}
	busy := ports.Listeners(p.host.proc, "tcp")
	for _, port := range []int{7443, 7132} { // on which k0s's load balancer listens
		if _, found := busy[port]; found {
			p.warn("k0s.yaml", "one controller only, unless --api-external-address is given: node-local load balancing needs port %d, which is in use", port)
			return nil
		}
	}
	var without []string
	var err error
	if !p.cfg.online {
		if without, err = p.k0s.images(ctx, p.yaml.merged); err != nil {
			return err
		}
	}
	p.balance = true
	if err := p.planYAML(); err != nil || p.cfg.online {
		return err
	}
	with, err := p.k0s.images(ctx, p.yaml.merged)
	if err != nil {
		return err
	}
	more := slices.DeleteFunc(with, func(image string) bool { return slices.Contains(without, image) })
	needs, err := chart.Check(ctx, more, "k0s "+p.k0s.version.String(), p.release.site, p.site)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if n.Missing {
			p.warn("k0s.yaml", "one controller only, unless --api-external-address is given: node-local load balancing needs %s, which is not in the registry%s", n.Reference, nearestOf(n))
			p.balance = false
			return p.planYAML()
		}
	}
	return nil
}

func nearestOf(n chart.Need) string {
	if n.Nearest == "" {
		return ""
	}
	return " (the nearest is " + n.Nearest + "; add the name with oci-push --alias)"
}
