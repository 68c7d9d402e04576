package main

import (
	"crypto/x509"
	"net"
	"strings"
)

// constrain limits a certificate authority to names: addresses, and domains with
// their subdomains.
func constrain(ca *x509.Certificate, only *names) {
	if only == nil {
		return
	}
	ca.PermittedDNSDomainsCritical = true
	for _, name := range only.dns {
		ca.PermittedDNSDomains = append(ca.PermittedDNSDomains, strings.TrimPrefix(name, "*."))
	}
	for _, ip := range only.addresses() {
		if short := ip.To4(); short != nil {
			ip = short
		}
		ca.PermittedIPRanges = append(ca.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
}

// constrained reports whether an authority is limited to names.
func constrained(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains) > 0 || len(ca.PermittedIPRanges) > 0
}

// permitted returns which names an authority may sign for, and the others. A
// single one of those would make clients reject the whole certificate.
func permitted(ca *x509.Certificate, all names) (own names, foreign []string) {
	if !constrained(ca) {
		return all, nil
	}
	for _, name := range all.dns {
		if permits(ca, name) {
			own.dns = append(own.dns, name)
		} else {
			foreign = append(foreign, name)
		}
	}
	for i, ip := range all.addresses() {
		permits := false
		for _, network := range ca.PermittedIPRanges {
			permits = permits || network.Contains(ip)
		}
		if permits {
			own.ips = append(own.ips, all.ips[i])
		} else {
			foreign = append(foreign, all.ips[i])
		}
	}
	return own, foreign
}

func permits(ca *x509.Certificate, name string) bool {
	name = strings.TrimPrefix(name, "*.")
	for _, domain := range ca.PermittedDNSDomains {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return true
		}
	}
	return false
}
