package main

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
)

// constrain limits a certificate authority to names, if there are any: addresses,
// and domains with their subdomains.
func constrain(ca *x509.Certificate, only names) {
	domains, ips := only.split()
	ca.PermittedDNSDomainsCritical = len(only) > 0
	for _, name := range domains {
		ca.PermittedDNSDomains = append(ca.PermittedDNSDomains, strings.TrimPrefix(name, "*."))
	}
	for _, ip := range ips {
		ca.PermittedIPRanges = append(ca.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
}

// constrained reports whether an authority is limited to names.
func constrained(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains) > 0 || len(ca.PermittedIPRanges) > 0
}

// permitted returns which names an authority may sign for, and the others. A
// single one of those would make clients reject the whole certificate.
func permitted(ca *x509.Certificate, all names) (own, foreign names) {
	for _, name := range all {
		if !constrained(ca) || permits(ca, name) {
			own = append(own, name)
		} else {
			foreign = append(foreign, name)
		}
	}
	return own, foreign
}

func permits(ca *x509.Certificate, name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		return slices.ContainsFunc(ca.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
	}
	name = strings.TrimPrefix(name, "*.")
	return slices.ContainsFunc(ca.PermittedDNSDomains, func(domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) })
}
