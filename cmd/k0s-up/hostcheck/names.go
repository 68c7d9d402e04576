package hostcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// name checks the host name, which kubelet uses in lower case.
func (f *findings) name() {
	if lower := strings.ToLower(f.Name); lower != f.Name {
		f.warn(f.Name, "hostnamectl set-hostname "+lower, "the host name %q has capital letters, but its node will be named %q", f.Name, lower)
	}
}

// hosts checks /etc/hosts. k0s's kubeconfig reaches the API at "localhost", which must
// be there or known to the nameserver; systemd-resolved knows it.
func (f *findings) hosts() {
	text, err := f.load(f.Root + "/etc/hosts")
	if err == nil && hasLocalhost(text) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	const remedy = `echo "127.0.0.1 localhost" >>/etc/hosts`
	if resolv, _ := f.read(f.Root + "/etc/resolv.conf"); slices.Contains(Nameservers(resolv), netip.MustParseAddr("127.0.0.53")) {
		f.warn("/etc/hosts", remedy, "/etc/hosts does not list localhost, which k0s connects to; only systemd-resolved resolves it")
		return
	}
	f.fail("/etc/hosts", remedy, "/etc/hosts does not list localhost, which k0s connects to")
}

// hasLocalhost reports whether hosts(5) lists localhost at an IPv4 loopback address.
func hasLocalhost(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || !slices.Contains(fields[1:], "localhost") {
			continue
		}
		if a, err := netip.ParseAddr(fields[0]); err == nil && a.IsLoopback() && a.Is4() {
			return true
		}
	}
	return false
}

// Nameservers returns the nameservers in resolv.conf(5).
func Nameservers(text string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "nameserver" {
			if a, err := netip.ParseAddr(fields[1]); err == nil {
				all = append(all, a.Unmap())
			}
		}
	}
	return all
}

// searched returns the search domains in resolv.conf(5). The last line wins.
func searched(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && (fields[0] == "search" || fields[0] == "domain") {
			all = fields[1:]
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(d string) bool { return strings.Trim(d, ".") == "" })
}

// dnsTimeout bounds the queries to a nameserver. On a site it often does not answer,
// which is not a problem.
const dnsTimeout = 2 * time.Second

// wildcard finds a search domain in which every name resolves. Pods inherit the
// domain and try it first for names with few dots, so names of services or of a
// registry may resolve to it.
func (f *findings) wildcard(ctx context.Context) {
	text, exists := f.read(f.Root + "/etc/resolv.conf")
	servers := Nameservers(text)
	if !exists || len(servers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(servers[0].String(), "53"))
	}}
	for _, domain := range searched(text) {
		// The final dot keeps the resolver from adding this host's own domains.
		name := "k0s-up-" + strings.ToLower(rand.Text()) + "." + strings.Trim(domain, ".") + "."
		// Without an answer, there is no wildcard.
		if found, _ := resolver.LookupNetIP(ctx, "ip", name); len(found) > 0 {
			f.warn(domain, "remove the search domain from /etc/resolv.conf, or the wildcard record *."+strings.Trim(domain, ".")+" from DNS",
				"every name in the search domain %s resolves, for example to %s: pods may connect there instead of to services of the cluster", domain, found[0])
		}
	}
}

// ipv6 finds a host without IPv6 for a cluster that uses both families.
func (f *findings) ipv6() {
	if !f.IPv6 {
		return
	}
	file := f.Proc + "/sys/net/ipv6/conf/all/disable_ipv6"
	if text, exists := f.read(file); !exists || strings.TrimSpace(text) == "1" {
		f.warn("net.ipv6.conf.all.disable_ipv6", "sysctl -w net.ipv6.conf.all.disable_ipv6=0 # also remove that setting from /etc/sysctl.d, and ipv6.disable=1 from the kernel's command line",
			"k0s.yaml enables IPv6, but IPv6 is disabled on this host")
		return
	}
	if !slices.ContainsFunc(f.Addresses, func(a netip.Addr) bool { return a.Is6() && a.IsGlobalUnicast() }) {
		f.warn("address", "ip -6 address add ADDRESS/64 dev DEVICE", "k0s.yaml enables IPv6, but this host has no IPv6 address")
	}
}
