package main

import (
	"fmt"

	"k0rdent-airgap/lib/ports"
)

// port is one that k0s listens on (k0s's documentation, "Networking").
type port struct {
	number  int
	udp     bool
	what    string
	workers bool // on workers, too
	// provider that it is for; "" for any
	provider string
}

var k0sPorts = []port{
	{number: 6443, what: "the Kubernetes API"},
	{number: 9443, what: "k0s's API for joining"},
	{number: 8132, what: "konnectivity"},
	{number: 2379, what: "etcd"},
	{number: 2380, what: "etcd's peers"},
	{number: 10257, what: "kube-controller-manager"},
	{number: 10259, what: "kube-scheduler"},
	{number: 10250, what: "kubelet", workers: true},
	{number: 10248, what: "kubelet's health", workers: true},
	{number: 10256, what: "kube-proxy's health", workers: true},
	{number: 179, what: "kube-router", workers: true, provider: "kuberouter"},
	{number: 4789, udp: true, what: "calico's VXLAN", workers: true, provider: "calico"},
}

// checkPorts finds who is on a port that k0s needs.
func (u *up) checkPorts() {
	if s, err := u.k0s.service(); u.k0s.running != nil || err == nil && s != nil {
		return // they are k0s's own, or of its pods, which outlive it
	}
	tcp, udp := ports.Listeners(u.host.proc, "tcp"), ports.Listeners(u.host.proc, "udp")
	var owners map[string]string
	for _, port := range k0sPorts {
		if port.number == 6443 && u.yaml.apiPort != 0 {
			port.number = u.yaml.apiPort
		}
		provider := u.yaml.provider
		if provider == "" {
			provider = "kuberouter"
		}
		if u.worker && !port.workers || port.provider != "" && port.provider != provider {
			continue
		}
		table, name := tcp, fmt.Sprintf("port %d", port.number)
		if port.udp {
			table, name = udp, name+"/udp"
		}
		inode, busy := table[port.number]
		if !busy {
			continue
		}
		if owners == nil {
			owners = ports.Owners(u.host.proc)
		}
		who := owners[inode]
		if who == "" {
			who = "another program"
		}
		u.Fail("ports", "stop it, or use another host: k0s cannot use another port for this", "%s is in use by %s; k0s needs it for %s", name, who, port.what)
	}
}
