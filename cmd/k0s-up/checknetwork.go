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

	"k0rdent-airgap/cmd/k0s-up/hostcheck"
)

// checkRoutes requires a default route and a nameserver. A site without internet
// often has neither, but kubelet finds the node's address by the default route,
// which the service network uses as well, and CoreDNS does not start without a
// nameserver. Neither the gateway nor the nameserver has to answer.
func (u *up) checkRoutes() {
	six := u.node.address.Is6()
	if u.yaml.serviceCIDR.IsValid() { // a worker does not know it
		six = u.yaml.serviceCIDR.Addr().Is6()
	}
	if found, err := u.hasDefaultRoute(six); err != nil {
		u.Fail("network", "", "%v", err)
	} else if !found {
		u.Fail("network", u.routeHint(six), "this host has no default route for %s: its node would have no address, and pods would not start",
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

// zero reports whether a hexadecimal number is zero.
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
		return fmt.Sprintf("add one, even to an unused address: %q; make it permanent in the host's network settings", command+gateway.String())
	}
	return fmt.Sprintf("add one, to an address in one of this host's networks: %q", command+"ADDRESS")
}

const (
	resolvConf = "/etc/resolv.conf"
	// resolvedConf lists the nameservers that systemd-resolved forwards to.
	resolvedConf = "/run/systemd/resolve/resolv.conf"
)

// checkNameservers checks the resolv.conf that kubelet passes to pods. Like k0s
// (k0sproject/k0s, pkg/component/worker/kubelet.go), it uses the file of
// systemd-resolved if /etc/resolv.conf only lists its stub.
func (u *up) checkNameservers() {
	path := u.host.root + resolvConf
	config, err := os.ReadFile(path)
	servers := hostcheck.Nameservers(string(config))
	resolved := len(servers) == 1 && servers[0] == netip.MustParseAddr("127.0.0.53")
	if resolved {
		path = u.host.root + resolvedConf
		config, err = os.ReadFile(path)
		servers = hostcheck.Nameservers(string(config))
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
	text := path + " lists no nameserver"
	switch {
	case err != nil:
		text = path + " does not exist"
	case len(servers) > 0:
		text = path + " lists only loopback nameservers, which a pod cannot reach"
	}
	u.Fail("network", u.nameserverHint(resolved), "%s: the cluster's DNS would not start", text)
}

// nameserverHint suggests this host's own address: a query to a port on which
// nothing listens fails at once, one to an unused address takes seconds.
func (u *up) nameserverHint(resolved bool) string {
	address := "ADDRESS"
	if u.node.address.IsValid() {
		address = u.node.address.String()
	}
	const site = "; on a site without DNS, this host's own address is enough"
	if resolved {
		return fmt.Sprintf(`mkdir -p /etc/systemd/resolved.conf.d && printf '[Resolve]\nDNS=%s\n' >/etc/systemd/resolved.conf.d/site.conf && systemctl restart systemd-resolved`, address) + site
	}
	return fmt.Sprintf("echo nameserver %s >>%s", address, resolvConf) + site
}
