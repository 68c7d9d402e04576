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

// names checks the host's name and /etc/hosts. kubelet takes the name in small
// letters. k0s reaches its own API at "localhost", as its kubeconfig has it, and
// asks a nameserver for it if /etc/hosts does not say; systemd-resolved knows it.
func (f *findings) names() {
	if lower := strings.ToLower(f.Name); lower != f.Name {
		f.warn("name", f.Name, "hostnamectl set-hostname "+lower, "the host's name %q has capital letters, and its node is called %q", f.Name, lower)
	}
	text, err := f.load("hosts", f.Root+"/etc/hosts")
	if err == nil && hasLocalhost(text) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	const remedy = `echo "127.0.0.1 localhost" >>/etc/hosts`
	if resolv, _ := f.read("hosts", f.Root+"/etc/resolv.conf"); slices.Contains(nameservers(resolv), netip.MustParseAddr("127.0.0.53")) {
		f.warn("hosts", "/etc/hosts", remedy, "/etc/hosts does not have localhost, which k0s connects to; only systemd-resolved knows it")
		return
	}
	f.fail("hosts", "/etc/hosts", remedy, "/etc/hosts does not have localhost, which k0s connects to")
}

// hasLocalhost reports whether a hosts(5) has localhost at a loopback address.
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

// nameservers returns those of a resolv.conf(5).
func nameservers(text string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "nameserver" {
			if a, err := netip.ParseAddr(fields[1]); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// searched returns the domains of a resolv.conf(5) that are appended to names:
// the last line counts.
func searched(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 2 && (fields[0] == "search" || fields[0] == "domain") {
			all = fields[1:]
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(d string) bool { return strings.Trim(d, ".") == "" })
}

// dnsPatience bounds the questions to the nameservers: in a site they often lead
// nowhere, and then nothing is wrong.
const dnsPatience = 2 * time.Second

// wildcard finds a search domain in which every name has an address. Pods inherit
// the domain and try it first for names with few dots, so that a name of the
// cluster or of a registry may lead there.
func (f *findings) wildcard(ctx context.Context) {
	const check = "dns"
	text, exists := f.read(check, f.Root+"/etc/resolv.conf")
	servers := nameservers(text)
	if !exists || len(servers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(servers[0].String(), "53"))
	}}
	for _, domain := range searched(text) {
		// The final dot keeps the resolver from adding this host's own domains.
		name := "k0s-up-" + strings.ToLower(rand.Text()) + "." + strings.Trim(domain, ".") + "."
		// Without an answer, there is no wildcard that could be in the way.
		if found, _ := resolver.LookupNetIP(ctx, "ip", name); len(found) > 0 {
			f.warn(check, domain, "remove the search domain from /etc/resolv.conf, or the wildcard record *."+strings.Trim(domain, ".")+" from DNS",
				"every name in the search domain %s has an address, such as %s: pods may be led there instead of to the cluster", domain, found[0])
		}
	}
}

// ipv6 finds that the cluster's networks are to have both families, and the host
// has no address of IPv6.
func (f *findings) ipv6() {
	const check = "ipv6"
	if !f.IPv6 {
		return
	}
	file := f.Proc + "/sys/net/ipv6/conf/all/disable_ipv6"
	if text, exists := f.read(check, file); !exists || strings.TrimSpace(text) == "1" {
		f.warn(check, "net.ipv6.conf.all.disable_ipv6", "sysctl -w net.ipv6.conf.all.disable_ipv6=0; and remove it from /etc/sysctl.d, and ipv6.disable=1 from the kernel's command line",
			"k0s.yaml asks for IPv6, and this host has it disabled")
		return
	}
	if !slices.ContainsFunc(f.Addresses, func(a netip.Addr) bool { return a.Is6() && a.IsGlobalUnicast() }) {
		f.warn(check, "address", "ip -6 address add ADDRESS/64 dev DEVICE", "k0s.yaml asks for IPv6, and this host has no address of it")
	}
}
