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

// parseName returns a name's one spelling.
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

// names are the names and addresses of a server, sorted and without duplicates.
type names []string

// namesIn returns those of a list that a certificate can have.
func namesIn(list []string) (n names) {
	for _, name := range list {
		if name, err := parseName(name); err == nil {
			n = append(n, name)
		}
	}
	slices.Sort(n)
	return slices.Compact(n)
}

// namesOf returns the names in a certificate.
func namesOf(cert *x509.Certificate) names {
	list := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	return namesIn(list)
}

// split returns the names of hosts and the addresses.
func (n names) split() (dns []string, ips []net.IP) {
	for _, name := range n {
		if a, err := netip.ParseAddr(name); err == nil {
			ips = append(ips, a.AsSlice())
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

func (n names) String() string { return strings.Join(n, ", ") }

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
	for _, name := range local {
		if leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), maxLookups)] {
		found, _ := new(net.Resolver).LookupHost(ctx, name)
		if slices.ContainsFunc(found, func(a string) bool { return slices.Contains(local, a) }) {
			return true
		}
	}
	return false
}

// localNames returns what this host is called, and every address that it has now.
func localNames(fixed []string) (names, error) {
	addresses, err := hostAddresses()
	return namesIn(slices.Concat([]string{"localhost", "127.0.0.1", "::1"}, fixed, addresses)), err
}

// hostAddresses returns the addresses that this host has now, but not those of one
// link only, which need the name of an interface.
func hostAddresses() (list []string, err error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsMulticast() {
			list = append(list, p.Addr().String())
		}
	}
	return list, err
}
