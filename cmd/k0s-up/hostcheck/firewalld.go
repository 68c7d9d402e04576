package hostcheck

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// definition is a firewalld.zone(5) or a firewalld.service(5).
type definition struct {
	Target     string     `xml:"target,attr"`
	Interfaces []struct{} `xml:"interface"`
	Sources    []struct {
		Address string `xml:"address,attr"`
	} `xml:"source"`
	Services []struct { // of a zone
		Name string `xml:"name,attr"`
	} `xml:"service"`
	Includes []struct { // of a service
		Service string `xml:"service,attr"`
	} `xml:"include"`
	Ports []portXML `xml:"port"`
}

type portXML struct {
	Port     string `xml:"port,attr"`
	Protocol string `xml:"protocol,attr"`
}

// has reports whether p is the port, or in the range of ports.
func (x portXML) has(p Port) bool {
	first, last, isRange := strings.Cut(x.Port, "-")
	low, err := strconv.Atoi(first)
	high := low
	if err == nil && isRange {
		high, err = strconv.Atoi(last)
	}
	return err == nil && low <= p.Number && p.Number <= high && strings.EqualFold(x.Protocol, p.Protocol)
}

// accepts reports whether a zone accepts connections to a port.
func (d definition) accepts(p Port) bool {
	return d.Target == "ACCEPT" || slices.ContainsFunc(d.Ports, func(x portXML) bool { return x.has(p) })
}

// contains reports whether a zone has a source that contains a network.
func (d definition) contains(n netip.Prefix) bool {
	for _, s := range d.Sources {
		if p, err := netip.ParsePrefix(s.Address); err == nil && p.Bits() <= n.Bits() && p.Contains(n.Addr()) {
			return true
		}
	}
	return false
}

// define reads the file of a zone or service: the operator's, else the package's.
func (f *findings) define(kind, name string) (d definition, err error) {
	for _, dir := range []string{"/etc/firewalld/", "/usr/lib/firewalld/"} {
		if text, exists := f.read(f.Root + dir + kind + "/" + name + ".xml"); exists {
			err = xml.Unmarshal([]byte(text), &d)
			return d, err
		}
	}
	return d, fs.ErrNotExist
}

// zones returns the default zone, and those of the operator's with an interface or a
// source. Their ports include those of their services.
func (f *findings) zones(main string) ([]definition, error) {
	names := []string{main}
	for _, path := range f.glob("/etc/firewalld/zones/*.xml") {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".xml"))
	}
	var all []definition
	for n, name := range names {
		zone, err := f.define("zones", name)
		if err != nil {
			return nil, err
		}
		seen := make(map[string]bool)
		for _, s := range zone.Services {
			zone.Ports = append(zone.Ports, f.servicePorts(s.Name, seen)...)
		}
		if n == 0 || len(zone.Interfaces)+len(zone.Sources) > 0 {
			all = append(all, zone)
		}
	}
	return all, nil
}

// servicePorts returns the ports of a service and of those that it includes, except the
// ones in seen. A service that is missing or malformed has none.
func (f *findings) servicePorts(name string, seen map[string]bool) []portXML {
	if seen[name] {
		return nil
	}
	seen[name] = true
	service, err := f.define("services", name)
	if err != nil {
		return nil
	}
	all := service.Ports
	for _, i := range service.Includes {
		all = append(all, f.servicePorts(i.Service, seen)...)
	}
	return all
}

// firewalld finds that firewalld is running and blocks the cluster's traffic. A
// cluster of one host can still come up, since firewalld accepts connections that
// kube-proxy has redirected, so these are warnings. k0s documents the ports, the
// networks and the back end (docs/networking.md).
func (f *findings) firewalld() {
	if !f.running("firewalld") {
		return
	}
	config, err := f.load(f.Root + "/etc/firewalld/firewalld.conf")
	if errors.Is(err, fs.ErrNotExist) {
		f.unknown("/etc/firewalld/firewalld.conf", err)
	}
	if err != nil {
		return
	}
	settings := assignments(config)
	if settings["FirewallBackend"] == "iptables" {
		f.warn("/etc/firewalld/firewalld.conf", "sed -i 's/^FirewallBackend=.*/FirewallBackend=nftables/' /etc/firewalld/firewalld.conf && systemctl restart firewalld",
			"firewalld uses iptables, but k0s prefers nftables; the cluster's network works only if both use the same")
	}
	zones, err := f.zones(cmp.Or(settings["DefaultZone"], "public"))
	if err != nil {
		f.unknown("/etc/firewalld", err)
		return
	}
	var ports, networks []string
	for _, p := range f.Ports {
		if !slices.ContainsFunc(zones, func(z definition) bool { return z.accepts(p) }) {
			ports = append(ports, p.String())
		}
	}
	if len(ports) > 0 {
		f.warn("ports", "firewall-cmd --permanent --add-port="+strings.Join(ports, " --add-port=")+" && firewall-cmd --reload",
			"firewalld blocks %s, which other hosts of the cluster connect to", strings.Join(ports, ", "))
	}
	for _, n := range f.Networks {
		if n.IsValid() && !slices.ContainsFunc(zones, func(z definition) bool { return z.contains(n) }) {
			networks = append(networks, n.String())
		}
	}
	if len(networks) > 0 {
		f.warn("networks", "firewall-cmd --permanent --zone=trusted --add-source="+strings.Join(networks, " --add-source=")+" && firewall-cmd --reload",
			"firewalld blocks traffic from the cluster's networks %s", strings.Join(networks, " and "))
	}
}
