package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"

	"k0rdent-airgap/lib/textfile"
	kyaml "sigs.k8s.io/yaml"
)

// k0sYAML is k0s's configuration as it is and as it is to be.
type k0sYAML struct {
	have    []byte // nil if there is none
	merged  []byte
	changes []string

	// What the merged text says, k0s's defaults filled in.
	address              string
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
	y.merged, y.changes, err = merge(have, i.settings(y.address))
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
// that a host whose address changes is not made another member of etcd.
func (i *installer) settings(address string) []setting {
	c := i.cfg
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
	add(address, c.api.address == "", "spec", "api", "address")
	add(c.api.port, false, "spec", "api", "port")
	sans := append([]string{}, c.api.sans...)
	for _, name := range []string{i.node.name, address} {
		if name != "" {
			sans = append(sans, name)
		}
	}
	all = append(all, setting{[]string{"spec", "api", "sans"}, sans, false})
	add(c.network.provider, false, "spec", "network", "provider")
	add(c.network.podCIDR, false, "spec", "network", "podCIDR")
	add(c.network.serviceCIDR, false, "spec", "network", "serviceCIDR")
	add(c.storageType, false, "spec", "storage", "type")
	add(c.etcdPeerAddress, false, "spec", "storage", "etcd", "peerAddress")
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
				Address string
				Port    int
			}
			Network struct{ Provider, PodCIDR, ServiceCIDR string }
		}
	}
	if err := kyaml.Unmarshal(text, &config); err != nil {
		return err
	}
	api, network := config.Spec.API, config.Spec.Network
	y.address, y.apiPort = api.Address, api.Port
	if y.apiPort == 0 {
		y.apiPort = defaultAPIPort
	}
	y.provider = orText(network.Provider, defaultProvider)
	// What is not a network, k0s tells when it validates the text.
	y.podCIDR, _ = netip.ParsePrefix(orText(network.PodCIDR, defaultPodCIDR))
	y.serviceCIDR, _ = netip.ParsePrefix(orText(network.ServiceCIDR, defaultServiceCIDR))
	return nil
}

// checkK0sYAML plans the configuration and has k0s check it.
func (p *preflight) checkK0sYAML(ctx context.Context) {
	if err := p.planYAML(); err != nil {
		p.fail("k0s.yaml", "", "%v", err)
		return
	}
	if p.k0s.version.Major == 0 || p.k0s.missing {
		return // it comes later
	}
	if err := p.k0s.validate(ctx, p.yaml.merged); err != nil {
		p.fail("k0s.yaml", "", "%v", err)
	}
}
