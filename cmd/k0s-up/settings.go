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

	spec                 // of the merged text
	podCIDR, serviceCIDR netip.Prefix
}

// spec holds the values of k0s.yaml that are needed here, or k0s's defaults.
type spec struct {
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
		Kine struct{ DataSource string }
	}
}

// The defaults of k0s (k0sproject/k0s, pkg/apis/k0s/v1beta1).
const (
	defaultAPIVersion  = "k0s.k0sproject.io/v1beta1"
	defaultAPIPort     = 6443
	defaultProvider    = "kuberouter"
	defaultPodCIDR     = "10.244.0.0/16"
	defaultServiceCIDR = "10.96.0.0/12"
)

func parseSpec(text []byte) (spec, error) {
	var config struct{ Spec spec }
	err := kyaml.Unmarshal(text, &config)
	s := config.Spec
	s.API.Port = cmp.Or(s.API.Port, defaultAPIPort)
	s.Network.Provider = cmp.Or(s.Network.Provider, defaultProvider)
	s.Network.PodCIDR = cmp.Or(s.Network.PodCIDR, defaultPodCIDR)
	s.Network.ServiceCIDR = cmp.Or(s.Network.ServiceCIDR, defaultServiceCIDR)
	return s, err
}

// etcd reports whether k0s runs etcd.
func (s spec) etcd() bool { return s.Storage.Type != "kine" && s.Storage.Etcd.ExternalCluster == nil }

// errUnbalanced means that a cluster works with one controller only: kubelets,
// konnectivity agents and kube-proxy would know only the first, and "kubectl logs",
// webhooks and aggregated APIs would fail at every other.
var errUnbalanced = errors.New("neither spec.network.nodeLocalLoadBalancing nor spec.api.externalAddress leads to a second controller")

// balanced returns errUnbalanced unless the cluster can have several controllers.
func (s spec) balanced() error {
	if l := s.Network.NodeLocalLoadBalancing; s.API.ExternalAddress == "" && (l == nil || !l.Enabled) {
		return errUnbalanced
	}
	return nil
}

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
	if y.spec, err = parseSpec(have); err == nil {
		y.merged, y.changes, err = merge(have, u.settings(y.spec))
	}
	if err == nil {
		y.spec, err = parseSpec(y.merged)
	}
	if err != nil {
		return &os.PathError{Op: "read", Path: u.host.k0sConfig, Err: err}
	}
	// k0s reports invalid networks when it validates the text.
	y.podCIDR, _ = netip.ParsePrefix(y.Network.PodCIDR)
	y.serviceCIDR, _ = netip.ParsePrefix(y.Network.ServiceCIDR)
	u.yaml = y
	return nil
}

// form is how a k0s wants its configuration.
type form struct {
	apiVersion  string // "" if it is not known
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
func (u *up) settings(have spec) []setting {
	c := u.cfg
	address, peer := have.API.Address, c.etcdPeerAddress
	if c.join != "" && u.others(address) {
		address = ""
	}
	if c.join != "" && peer == "" && u.others(have.Storage.Etcd.PeerAddress) {
		peer = u.node.address.String()
	}
	var all []setting
	add := func(value any, keep bool, path string) {
		if value != "" && value != 0 {
			all = append(all, setting{path, value, keep})
		}
	}
	add(cmp.Or(u.form.apiVersion, defaultAPIVersion), !u.form.convert || u.form.apiVersion == "", "apiVersion")
	add("ClusterConfig", true, "kind")
	add("k0s", true, "metadata.name")
	if !u.form.noTelemetry {
		add(false, false, "spec.telemetry.enabled")
	}
	if c.api.address != "" || address == "" && u.node.address.IsValid() {
		address = u.node.address.String()
	}
	add(address, c.api.address == "" && address == have.API.Address, "spec.api.address")
	add(c.api.port, false, "spec.api.port")
	sans := append([]string{}, c.api.sans...)
	for _, name := range []string{u.node.name, address} {
		if name != "" {
			sans = append(sans, name)
		}
	}
	all = append(all, setting{"spec.api.sans", sans, false})
	add(c.api.externalAddress, false, "spec.api.externalAddress")
	if u.balance {
		all = append(all, setting{"spec.network.nodeLocalLoadBalancing.enabled", true, true})
	}
	add(c.network.provider, false, "spec.network.provider")
	add(c.network.podCIDR, false, "spec.network.podCIDR")
	add(c.network.serviceCIDR, false, "spec.network.serviceCIDR")
	add(c.storageType, false, "spec.storage.type")
	add(peer, false, "spec.storage.etcd.peerAddress")
	if c.k0sImages == imagesRegistry && u.site != nil {
		add(u.site.at, false, "spec.images.repository")
	}
	return all
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
	if a := u.yaml.API.Address; u.others(a) {
		u.Fail("network", "set --api-address to this host's own address", "spec.api.address in k0s.yaml is %s, which this host does not have: the cluster's traffic would go elsewhere", a)
	}
	if err := u.yaml.balanced(); u.cfg.join != "" && err != nil {
		u.Fail("k0s.yaml", balanceHint, "%v", err)
	}
}

// balanceHint says how to make a cluster with one controller ready for more.
const balanceHint = "on every controller, set spec.network.nodeLocalLoadBalancing.enabled to true in k0s.yaml, or the address of a load balancer with --api-external-address, and restart k0s there and on the workers"

// planBalance enables node-local load balancing for a new cluster, with which every
// node reaches all controllers: without it, no second controller could be added
// later. It requires one more image, which not every bundle has. An existing cluster
// is not changed.
func (u *up) planBalance(ctx context.Context) error {
	y := u.yaml
	if u.kept("etcd/member") || u.cfg.join != "" || u.cfg.upgrade || u.k0s.running != nil || y.merged == nil || y.Network.NodeLocalLoadBalancing != nil || y.API.ExternalAddress != "" || y.Storage.Type == "kine" {
		return nil
	}
	busy := ports.Listeners(u.host.proc, "tcp")
	for _, port := range []int{7443, 7132} { // of k0s's load balancer
		if _, found := busy[port]; found {
			u.Warn("k0s.yaml", "the cluster can have one controller only, unless --api-external-address is given: node-local load balancing needs port %d, which is in use", port)
			return nil
		}
	}
	without, err := u.k0s.ImagesFor(ctx, y.merged)
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
