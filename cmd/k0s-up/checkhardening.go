package main

import (
	"context"
	"net/netip"
	"strings"

	"k0rdent-airgap/cmd/k0s-up/hostcheck"
	"k0rdent-airgap/lib/k0s"
)

// checkHardening finds settings of a hardened host that stop or hamper k0s.
func (u *up) checkHardening(ctx context.Context) {
	h := hostcheck.Host{
		Root: u.host.root, Proc: u.host.proc, Sys: u.host.sys,
		K0s: strings.TrimPrefix(u.k0s.Path, u.host.root), Data: k0s.DataDir, DropIns: k0s.DropInDir, Name: u.node.host,
		Provider: u.yaml.Network.Provider, Networks: []netip.Prefix{u.yaml.podCIDR, u.yaml.serviceCIDR},
		IPv6: u.yaml.Network.DualStack.Enabled, Ports: u.remotePorts(), Released: u.in.Pushed,
	}
	if u.k0s.running == nil && !u.worker && u.yaml.etcd() {
		h.Measure = u.host.measure
	}
	for _, p := range u.node.networks {
		h.Addresses = append(h.Addresses, p.Addr())
	}
	if u.site != nil {
		h.Internal = append(h.Internal, u.site.host)
	}
	if u.node.address.IsValid() {
		h.Internal = append(h.Internal, u.node.address.String())
	}
	for _, f := range h.Check(ctx, u.Ignore) {
		u.Add(f)
	}
}
