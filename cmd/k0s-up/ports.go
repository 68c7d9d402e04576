package main

import (
	"cmp"
	"fmt"

	"k0rdent-airgap/cmd/k0s-up/hostcheck"
	"k0rdent-airgap/lib/ports"
)

// port is a port that k0s listens on (k0s's documentation, "Networking").
type port struct {
	number   int
	udp      bool
	remote   bool // other hosts connect to it
	what     string
	workers  bool   // workers listen on it, too
	provider string // the network provider that uses it; "" for any
}

func (p port) protocol() string {
	if p.udp {
		return "udp"
	}
	return "tcp"
}

var k0sPorts = []port{
	{number: defaultAPIPort, remote: true, what: "the Kubernetes API"},
	{number: 9443, remote: true, what: "k0s's API for joining"},
	{number: 8132, remote: true, what: "konnectivity"},
	{number: 2379, what: "etcd"},
	{number: 2380, remote: true, what: "etcd's peers"},
	{number: 10257, what: "kube-controller-manager"},
	{number: 10259, what: "kube-scheduler"},
	{number: 10250, remote: true, what: "kubelet", workers: true},
	{number: 10248, what: "kubelet's health", workers: true},
	{number: 10256, what: "kube-proxy's health", workers: true},
	{number: 179, remote: true, what: "kube-router", workers: true, provider: "kuberouter"},
	{number: 4789, udp: true, remote: true, what: "calico's VXLAN", workers: true, provider: "calico"},
}

// ports returns the ports that k0s uses on this host.
func (u *up) ports() []port {
	var all []port
	provider := cmp.Or(u.yaml.Network.Provider, defaultProvider)
	for _, p := range k0sPorts {
		if p.number == defaultAPIPort {
			p.number = cmp.Or(u.yaml.API.Port, defaultAPIPort)
		}
		if (p.workers || !u.worker) && (p.provider == "" || p.provider == provider) {
			all = append(all, p)
		}
	}
	return all
}

// remotePorts returns the ports that other hosts connect to.
func (u *up) remotePorts() []hostcheck.Port {
	var all []hostcheck.Port
	for _, p := range u.ports() {
		if p.remote {
			all = append(all, hostcheck.Port{Number: p.number, Protocol: p.protocol()})
		}
	}
	return all
}

// checkPorts finds programs that listen on a port that k0s needs.
func (u *up) checkPorts() {
	if u.k0s.running != nil || u.k0s.service != nil {
		return // k0s or its pods listen there; pods keep running when k0s is stopped
	}
	listeners := map[string]map[int]string{"tcp": ports.Listeners(u.host.proc, "tcp"), "udp": ports.Listeners(u.host.proc, "udp")}
	for _, port := range u.ports() {
		name := fmt.Sprintf("port %d", port.number)
		if port.udp {
			name += "/udp"
		}
		if socket, busy := listeners[port.protocol()][port.number]; busy {
			u.Fail("ports", "stop that program, or use another host: k0s cannot use another port for this", "%s is in use by %s; k0s needs it for %s", name, ports.Owner(u.host.proc, socket), port.what)
		}
	}
}
