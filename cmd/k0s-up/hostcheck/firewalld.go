package hostcheck

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// zone is a firewalld.zone(5), and service a firewalld.service(5).
type (
	zone struct {
		Target     string `xml:"target,attr"`
		Interfaces []struct {
			Name string `xml:"name,attr"`
		} `xml:"interface"`
		Sources []struct {
			Address string `xml:"address,attr"`
		} `xml:"source"`
		Services []struct {
			Name string `xml:"name,attr"`
		} `xml:"service"`
		Ports []portXML `xml:"port"`
	}
	service struct {
		Ports    []portXML `xml:"port"`
		Includes []struct {
			Service string `xml:"service,attr"`
		} `xml:"include"`
	}
	portXML struct {
		Port     string `xml:"port,attr"`
		Protocol string `xml:"protocol,attr"`
	}
)

func parseZone(text string) (z zone, err error) {
	err = xml.Unmarshal([]byte(text), &z)
	return z, err
}

func parseService(text string) (s service, err error) {
	err = xml.Unmarshal([]byte(text), &s)
	return s, err
}

// has reports whether p is the port, or in the range of ports.
func (x portXML) has(p Port) bool {
	first, last, isRange := strings.Cut(x.Port, "-")
	low, err := strconv.Atoi(first)
	high := low
	if err == nil && isRange {
		high, err = strconv.Atoi(last)
	}
	return err == nil && low <= p.Number && p.Number <= high && strings.EqualFold(x.Protocol, strings.TrimLeft(p.String(), "0123456789/"))
}

// firewall is the permanent configuration of firewalld.
type firewall struct {
	zones    map[string]zone
	services map[string]service
	main     string // the default zone
}

// firewallFile returns the text of a zone or service file: the operator's, else the
// package's.
func (f *findings) firewallFile(kind, name string) (string, bool) {
	for _, dir := range []string{"/etc/firewalld/", "/usr/lib/firewalld/"} {
		if text, exists := f.read("firewalld", f.Root+dir+kind+"/"+name+".xml"); exists {
			return text, true
		}
	}
	return "", false
}

// readFirewall reads the default zone, the operator's zones, and their services.
func (f *findings) readFirewall(main string) (*firewall, error) {
	w := &firewall{main: main, zones: make(map[string]zone), services: make(map[string]service)}
	names := []string{main}
	for _, path := range f.glob("/etc/firewalld/zones/*.xml") {
		names = append(names, strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".xml"))
	}
	for _, name := range names {
		text, exists := f.firewallFile("zones", name)
		if !exists {
			return nil, &os.PathError{Op: "read", Path: "zone " + name, Err: os.ErrNotExist}
		}
		z, err := parseZone(text)
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: "zone " + name, Err: err}
		}
		w.zones[name] = z
		for _, s := range z.Services {
			f.addService(w, s.Name)
		}
	}
	return w, nil
}

// addService reads a service and the services that it includes.
func (f *findings) addService(w *firewall, name string) {
	if _, done := w.services[name]; done {
		return
	}
	text, _ := f.firewallFile("services", name)
	s, _ := parseService(text) // a malformed one opens nothing
	w.services[name] = s
	for _, i := range s.Includes {
		f.addService(w, i.Service)
	}
}

// open reports whether a zone accepts connections to a port.
func (w *firewall) open(z zone, p Port) bool {
	if z.Target == "ACCEPT" || slices.ContainsFunc(z.Ports, func(x portXML) bool { return x.has(p) }) {
		return true
	}
	seen := make(map[string]bool)
	var inService func(name string) bool
	inService = func(name string) bool {
		if seen[name] {
			return false
		}
		seen[name] = true
		s := w.services[name]
		if slices.ContainsFunc(s.Ports, func(x portXML) bool { return x.has(p) }) {
			return true
		}
		for _, i := range s.Includes {
			if inService(i.Service) {
				return true
			}
		}
		return false
	}
	for _, s := range z.Services {
		if inService(s.Name) {
			return true
		}
	}
	return false
}

// closed returns the ports that neither the default zone nor a zone with an
// interface or a source opens.
func (w *firewall) closed(ports []Port) []string {
	var all []string
	for _, p := range ports {
		found := false
		for name, z := range w.zones {
			found = found || (name == w.main || len(z.Interfaces) > 0 || len(z.Sources) > 0) && w.open(z, p)
		}
		if !found {
			all = append(all, p.String())
		}
	}
	return all
}

// source reports whether a zone has a source that contains a network.
func (w *firewall) source(n netip.Prefix) bool {
	for _, z := range w.zones {
		for _, s := range z.Sources {
			if p, err := netip.ParsePrefix(s.Address); err == nil && p.Bits() <= n.Bits() && p.Contains(n.Addr()) {
				return true
			}
		}
	}
	return false
}

// firewalld finds that firewalld is running and blocks the cluster's traffic. A
// cluster of one host can still come up, since firewalld accepts connections that
// kube-proxy has redirected, so these are warnings. k0s documents the ports, the
// networks and the back end (docs/networking.md).
func (f *findings) firewalld() {
	const check = "firewalld"
	if !f.running(check, "firewalld") {
		return
	}
	config, err := f.load(check, f.Root+"/etc/firewalld/firewalld.conf")
	if errors.Is(err, fs.ErrNotExist) {
		f.unknown(check, "/etc/firewalld/firewalld.conf", err)
	}
	if err != nil {
		return
	}
	settings := assignments(config)
	if settings["FirewallBackend"] == "iptables" {
		f.warn(check, "/etc/firewalld/firewalld.conf", "sed -i 's/^FirewallBackend=.*/FirewallBackend=nftables/' /etc/firewalld/firewalld.conf && systemctl restart firewalld",
			"firewalld uses iptables, but k0s prefers nftables; the cluster's network works only if both use the same")
	}
	w, err := f.readFirewall(cmp.Or(settings["DefaultZone"], "public"))
	if err != nil {
		f.unknown(check, "/etc/firewalld", err)
		return
	}
	if missing := w.closed(f.Ports); len(missing) > 0 {
		f.warn(check, "ports", "firewall-cmd --permanent --add-port="+strings.Join(missing, " --add-port=")+" && firewall-cmd --reload",
			"firewalld blocks %s, which other hosts of the cluster connect to", strings.Join(missing, ", "))
	}
	var networks []string
	for _, n := range f.Networks {
		if n.IsValid() && !w.source(n) {
			networks = append(networks, n.String())
		}
	}
	if len(networks) > 0 {
		f.warn(check, "networks", "firewall-cmd --permanent --zone=trusted --add-source="+strings.Join(networks, " --add-source=")+" && firewall-cmd --reload",
			"firewalld blocks traffic from the cluster's networks %s", strings.Join(networks, " and "))
	}
}
