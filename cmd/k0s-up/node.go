package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"k0rdent-airgap/lib/cli"
)

// node is this host as the cluster will see it.
type node struct {
	name     string         // of the node: the host's own, in small letters, as kubelet takes it
	address  netip.Addr     // for other nodes and for pods; not valid if there is none
	networks []netip.Prefix // of the host's interfaces, loopback ones left out
}

// nodeName is what Kubernetes takes for the name of a node.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// findNode finds out. The address is the one that was asked for, else the one
// from which this host reaches the registry, or would reach the world.
func findNode(ctx context.Context, asked, registry string) (node, error) {
	name, err := os.Hostname()
	if err != nil {
		return node{}, err
	}
	n := node{name: strings.ToLower(strings.TrimSpace(name))}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return node{}, err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Unmap().IsGlobalUnicast() {
			n.networks = append(n.networks, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
		}
	}
	if asked != "" {
		if n.address, err = netip.ParseAddr(asked); err != nil {
			return node{}, cli.Misuse("--api-address %q: %w", asked, err)
		}
		return n, nil
	}
	// Documentation's own networks (RFC 5737, RFC 3849) stand for the world:
	// they are routed like any other, and no packet is sent by this.
	for _, target := range []string{registry, "192.0.2.1:9", "[2001:db8::1]:9"} {
		if a := sourceFor(ctx, target); a.IsValid() && a.IsGlobalUnicast() {
			n.address = a
			return n, nil
		}
	}
	if len(n.networks) > 0 {
		n.address = n.networks[0].Addr()
	}
	return n, nil
}

// sourceFor returns the address from which packets to HOST[:PORT] go out.
func sourceFor(ctx context.Context, target string) netip.Addr {
	if target == "" {
		return netip.Addr{}
	}
	if _, _, err := net.SplitHostPort(target); err != nil {
		target = net.JoinHostPort(strings.Trim(target, "[]"), "443")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", target)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	a, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return a.Addr().Unmap()
}

// own reports whether an address is one of this host's.
func (n node) own(a netip.Addr) bool {
	for _, p := range n.networks {
		if p.Addr() == a.Unmap() {
			return true
		}
	}
	return false
}
