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

// k0sYAML is k0s's configuration, before and after the changes of this run.
type k0sYAML struct {
	have    []byte // nil if there is none
	merged  []byte
	changes []string

	// Values of the merged text, or k0s's defaults.
	address, peer        string
	balanced             bool // it sets node-local load balancing or an external address, or allows one controller only
	apiPort              int
	provider             string
	etcd, dualStack      bool // k0s runs etcd; IPv4 and IPv6
	podCIDR, serviceCIDR netip.Prefix
}

// The defaults of k0s (k0sproject/k0s, pkg/apis/k0s/v1beta1).
const (
	defaultAPIPort     = 6443
	defaultProvider    = "kuberouter"
	defaultPodCIDR     = "10.244.0.0/16"
	defaultServiceCIDR = "10.96.0.0/12"
)

// planYAML reads this host's k0s.yaml and merges the settings of this run.
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

// form is how a k0s wants its configuration.
type form struct {
	apiVersion  string // "" for that of today
	convert     bool   // whether an existing file gets this apiVersion
	noTelemetry bool   // it has no spec.telemetry
}

// validateYAML has k0s validate the configuration. If it rejects that, it validates the
// other forms that the configuration can have, and the first good one is written.
func (u *up) validateYAML(ctx context.Context) error {
	rejected := u.k0s.Validate(ctx, u.yaml.merged)
	if rejected == nil || ctx.Err() != nil {
		return rejected
	}
	first := u.form
	for _, f := range []form{{first.apiVersion, true, false}, {first.apiVersion, false, true}, {first.apiVersion, true, true}} {
		u.form = f
		if u.planYAML() == nil && u.k0s.Validate(ctx, u.yaml.merged) == nil {
			return nil
		}
	}
	u.form = first
	return cmp.Or(u.planYAML(), checkKeys(u.yaml.have), rejected)
}

// settings returns what to set in k0s.yaml. It keeps an address that the file has,
// so that a host whose address changes does not become another member of etcd.
// A host that joins replaces it if it is another host's, since the file may be a
// copy from there.
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
	add(u.form.apiVersion, !u.form.convert, "apiVersion")
	if !u.form.noTelemetry {
		add(false, false, "spec", "telemetry", "enabled")
	}
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

// read parses the values that other steps need.
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
	// k0s reports invalid networks when it validates the text.
	y.podCIDR, _ = netip.ParsePrefix(cmp.Or(network.PodCIDR, defaultPodCIDR))
	y.serviceCIDR, _ = netip.ParsePrefix(cmp.Or(network.ServiceCIDR, defaultServiceCIDR))
	return nil
}

// others reports whether an address belongs to another host.
func (u *up) others(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && !u.node.own(a)
}

// checkK0sYAML plans the configuration and has k0s validate it.
func (u *up) checkK0sYAML(ctx context.Context) {
	known := u.k0s.version.Major != 0 && !u.k0s.missing // otherwise reported already
	if known {
		u.form.apiVersion, _ = u.k0s.APIVersion(ctx) // that of today unless it answers: it validates the result
	}
	if err := u.planYAML(); err != nil {
		u.Fail("k0s.yaml", "", "%v", err)
		return
	}
	if known {
		if err := u.validateYAML(ctx); err != nil {
			u.Fail("k0s.yaml", "", "%v", err)
		}
	}
	if u.others(u.yaml.address) {
		u.Fail("network", "set --api-address to this host's own address", "spec.api.address in k0s.yaml is %s, which this host does not have: the cluster's traffic would go elsewhere", u.yaml.address)
	}
	if u.cfg.join != "" {
		if err := k0s.Balanced(u.yaml.merged); err != nil {
			u.Fail("k0s.yaml", balanceHint, "%v", err)
		}
	}
}

// balanceHint says how to make a cluster with one controller ready for more.
const balanceHint = "on every controller, set spec.network.nodeLocalLoadBalancing.enabled to true in k0s.yaml, or the address of a load balancer with --api-external-address, and restart k0s there and on the workers"

// planBalance enables node-local load balancing for a new cluster, with which every
// node reaches all controllers: without it, no second controller could be added
// later. It requires one more image, which not every bundle has. An existing cluster
// is not changed.
func (u *up) planBalance(ctx context.Context) error {
	if u.cfg.join != "" || u.cfg.upgrade || u.k0s.running != nil || u.yaml.balanced || u.yaml.merged == nil {
		return nil
	}
	if _, err := os.Lstat(u.host.data + "/etcd/member"); err == nil {
		return nil
	}
	busy := ports.Listeners(u.host.proc, "tcp")
	for _, port := range []int{7443, 7132} { // of k0s's load balancer
		if _, found := busy[port]; found {
			u.Warn("k0s.yaml", "the cluster can have one controller only, unless --api-external-address is given: node-local load balancing needs port %d, which is in use", port)
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
	u.Warn("k0s.yaml", "the cluster can have one controller only, unless --api-external-address is given: node-local load balancing needs %v, which is not in the registry%s", missing[0].image, missing[0].instead)
	u.balance = false
	return u.planYAML()
}
