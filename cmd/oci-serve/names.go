package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// lookupTime bounds the lookup of this host's full name. In a site without a name
// server, the name in /etc/hosts is found at once.
const lookupTime = 2 * time.Second

// dnsName matches the host names that a certificate can have: labels of letters,
// digits and hyphens, of which the first may be "*".
var dnsName = regexp.MustCompile(`^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// checkedName returns a name for --tls-name unchanged.
func checkedName(name string) (string, error) {
	_, err := parseName(name)
	return name, err
}

// parseName returns a name's one spelling; addr is valid if it is an address.
func parseName(name string) (string, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		if a.Zone() != "" || a.IsUnspecified() {
			return "", fmt.Errorf("%q is not an address that a certificate can have", name)
		}
		return a.Unmap().String(), nil
	}
	lower := strings.ToLower(strings.TrimSuffix(name, "."))
	if len(lower) > 253 || !dnsName.MatchString(lower) {
		return "", fmt.Errorf("%q is neither a host name nor an address", name)
	}
	return lower, nil
}

// names are the names of a server; each list is sorted and without duplicates.
type names struct {
	dns []string
	ips []string
}

// add adds names and addresses, except those that a certificate cannot have.
func (n *names) add(list ...string) {
	for _, name := range list {
		name, err := parseName(name)
		if err != nil {
			continue
		}
		to := &n.dns
		if _, err := netip.ParseAddr(name); err == nil {
			to = &n.ips
		}
		if at, found := slices.BinarySearch(*to, name); !found {
			*to = slices.Insert(*to, at, name)
		}
	}
}

func (n names) addresses() (list []net.IP) {
	for _, ip := range n.ips {
		list = append(list, net.ParseIP(ip))
	}
	return list
}

func (n names) String() string { return strings.Join(slices.Concat(n.dns, n.ips), ", ") }

func (n names) equal(other names) bool {
	return slices.Equal(n.dns, other.dns) && slices.Equal(n.ips, other.ips)
}

// namesOf returns the names in a certificate.
func namesOf(cert *x509.Certificate) (n names) {
	n.add(cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		n.add(ip.String())
	}
	return n
}

// hostNames returns this host's name and, if that can be found out, its full one.
func hostNames(ctx context.Context) []string {
	host, err := os.Hostname()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	full, err := new(net.Resolver).LookupCNAME(ctx, host)
	if err != nil {
		return []string{host}
	}
	return []string{host, full}
}

// maxLookups bounds how many names of a certificate are looked up.
const maxLookups = 5

// leadsHere reports whether a certificate has a name or an address of this host,
// or a name that a name server or /etc/hosts knows as one.
func leadsHere(ctx context.Context, leaf *x509.Certificate) bool {
	local, err := localNames(hostNames(ctx))
	if err != nil {
		return true
	}
	for _, name := range slices.Concat(local.dns, local.ips) {
		if leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), maxLookups)] {
		found, _ := new(net.Resolver).LookupHost(ctx, name)
		if slices.ContainsFunc(found, func(a string) bool { return slices.Contains(local.ips, a) }) {
			return true
		}
	}
	return false
}

// localNames returns what this host is called, and every address that it has now;
// but not those of one link only, which need the name of an interface.
func localNames(fixed []string) (names, error) {
	var n names
	n.add("localhost", "127.0.0.1", "::1")
	n.add(fixed...)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return n, err
	}
	for _, addr := range addrs {
		p, err := netip.ParsePrefix(addr.String())
		if err == nil && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsMulticast() {
			n.add(p.Addr().String())
		}
	}
	return n, nil
}
