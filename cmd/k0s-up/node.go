package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
)

// node is this host as the cluster sees it.
type node struct {
	host     string         // the host name
	name     string         // the host name in lower case, which kubelet uses
	address  netip.Addr     // for other nodes and for pods; invalid if there is none
	networks []netip.Prefix // of the host's interfaces, except loopback
}

// nodeName matches the names that Kubernetes accepts for a node.
var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// findNode returns the node of this host. Its address is the given one, else the
// one from which this host reaches the registry, or would reach the internet.
func findNode(ctx context.Context, address, registry string) (node, error) {
	name, err := os.Hostname()
	if err != nil {
		return node{}, err
	}
	n := node{host: name, name: strings.ToLower(strings.TrimSpace(name))}
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
	if n.address, err = netip.ParseAddr(address); err == nil { // "" is none
		return n, nil
	}
	// The networks for documentation (RFC 5737, RFC 3849) represent the internet:
	// they are routed like any other, and sourceFor sends no packet.
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

// sourceFor returns the source address of packets to HOST[:PORT].
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

// own reports whether an address is assigned to this host.
func (n node) own(a netip.Addr) bool {
	return slices.ContainsFunc(n.networks, func(p netip.Prefix) bool { return p.Addr() == a.Unmap() })
}
