package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// checkRoutes looks for a default route and a nameserver. A site without the
// internet often has neither, and both are still needed: kubelet finds
// the node's address by the route, which also leads to the network of the
// services; CoreDNS does not start without a nameserver. Whether anything
// answers there does not matter.
func (u *up) checkRoutes() {
	six := u.node.address.Is6()
	if u.yaml.serviceCIDR.IsValid() { // a worker does not know it
		six = u.yaml.serviceCIDR.Addr().Is6()
	}
	if found, err := u.hasDefaultRoute(six); err != nil {
		u.Fail("network", "", "%v", err)
	} else if !found {
		u.Fail("network", u.routeHint(six), "this host has no default route for %s: its node would get no address, and pods would not start",
			map[bool]string{false: "IPv4", true: "IPv6"}[six])
	}
	u.checkNameservers()
}

// hasDefaultRoute reads the kernel's table, see proc_net(5).
func (u *up) hasDefaultRoute(six bool) (bool, error) {
	const up, reject = 0x1, 0x200 // RTF_UP, RTF_REJECT
	name, least := "route", 8
	if six {
		name, least = "ipv6_route", 10
	}
	text, err := os.ReadFile(filepath.Join(u.host.proc, "net", name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // no IPv6
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < least {
			continue
		}
		to, mask, flags, device := f[1], f[7], f[3], f[0]
		if six {
			to, mask, flags, device = f[0], f[1], f[8], f[9]
		}
		bits, err := strconv.ParseUint(flags, 16, 32)
		if err != nil || bits&up == 0 || bits&reject != 0 || device == "lo" || device == "*" { // "*" is a blackhole's
			continue
		}
		if zero(to) && zero(mask) {
			return true, nil
		}
	}
	return false, nil
}

// zero reports whether a hexadecimal number is.
func zero(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && strings.Trim(string(b), "\x00") == ""
}

// routeHint returns a command that adds a default route over one of the host's
// networks.
func (u *up) routeHint(six bool) string {
	command := "ip route add default via "
	if six {
		command = "ip -6 route add default via "
	}
	for _, n := range u.node.networks {
		if n.Addr().Is6() != six || n.Bits() >= n.Addr().BitLen()-1 || u.node.address.Is6() == six && n.Addr() != u.node.address {
			continue
		}
		gateway := n.Masked().Addr().Next()
		if u.node.own(gateway) {
			gateway = gateway.Next()
		}
		return fmt.Sprintf("add one, even to an address that nothing has: %q; make it permanent in the host's network settings", command+gateway.String())
	}
	return fmt.Sprintf("add one, to an address in a network of this host: %q", command+"ADDRESS")
}

const (
	resolvConf = "/etc/resolv.conf"
	// resolvedConf has the nameservers of systemd-resolved itself.
	resolvedConf = "/run/systemd/resolve/resolv.conf"
)

// checkNameservers checks the file that kubelet passes to pods: as k0s does
// (k0sproject/k0s, pkg/component/worker/kubelet.go), it takes the one of
// systemd-resolved if the other only names its stub.
func (u *up) checkNameservers() {
	path := u.host.root + resolvConf
	servers, err := nameservers(path)
	stub := netip.MustParseAddr("127.0.0.53")
	resolved := len(servers) == 1 && servers[0] == stub
	if resolved {
		path = u.host.root + resolvedConf
		servers, err = nameservers(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.Fail("network", "", "%v", err)
		return
	}
	for _, s := range servers {
		if !s.IsLoopback() && !s.IsUnspecified() {
			return
		}
	}
	text := path + " names no nameserver"
	switch {
	case err != nil:
		text = path + " does not exist"
	case len(servers) > 0:
		text = path + " names no nameserver but this host's loopback, which in a pod is the pod"
	}
	u.Fail("network", u.nameserverHint(resolved), "%s: the cluster's DNS would not start", text)
}

// nameserverHint names this host: a query to an address at which nobody listens
// fails at once, one to an address that nobody has takes seconds.
func (u *up) nameserverHint(resolved bool) string {
	address := "ADDRESS"
	if u.node.address.IsValid() {
		address = u.node.address.String()
	}
	const site = "; in a site without DNS, this host's own address will do"
	if resolved {
		return fmt.Sprintf(`mkdir -p /etc/systemd/resolved.conf.d && printf '[Resolve]\nDNS=%s\n' >/etc/systemd/resolved.conf.d/site.conf && systemctl restart systemd-resolved`, address) + site
	}
	return fmt.Sprintf("echo nameserver %s >>%s", address, resolvConf) + site
}

// nameservers reads a resolv.conf(5).
func nameservers(path string) ([]netip.Addr, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, a.Unmap())
		}
	}
	return all, nil
}
