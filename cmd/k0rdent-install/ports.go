package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
func (p *preflight) checkPorts() {
	if s, err := p.k0s.service(); p.k0s.running != nil || err == nil && s != nil {
		return // they are k0s's own, or of its pods, which outlive it
	}
	tcp, udp := listeners(p.host.proc, "tcp"), listeners(p.host.proc, "udp")
	var owners map[string]string
	for _, port := range k0sPorts {
		if port.number == 6443 && p.yaml.apiPort != 0 {
			port.number = p.yaml.apiPort
		}
		provider := p.yaml.provider
		if provider == "" {
			provider = "kuberouter"
		}
		if p.worker && !port.workers || port.provider != "" && port.provider != provider {
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
			owners = sockets(p.host.proc)
		}
		who := owners[inode]
		if who == "" {
			who = "another program"
		}
		p.fail("ports", "stop it, or find another host: k0s has no other port for this", "%s is in use by %s; k0s needs it for %s", name, who, port.what)
	}
}

// listeners reads /proc/net/{tcp,udp}{,6}: the inode of the socket that is
// bound to each port.
func listeners(proc, kind string) map[int]string {
	found := make(map[int]string)
	for _, name := range []string{kind, kind + "6"} {
		f, err := os.Open(filepath.Join(proc, "net", name))
		if err != nil {
			continue // no IPv6
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			// sl local_address rem_address st … inode, as proc_net_tcp.txt says.
			fields := strings.Fields(s.Text())
			const listening = "0A"
			if len(fields) < 10 || kind == "tcp" && fields[3] != listening {
				continue
			}
			_, hexPort, _ := strings.Cut(fields[1], ":")
			if b, err := hex.DecodeString(hexPort); err == nil && len(b) == 2 {
				found[int(b[0])<<8|int(b[1])] = fields[9]
			}
		}
		f.Close()
	}
	return found
}

// sockets tells which process has a socket, by inode, as far as this one may
// see.
func sockets(proc string) map[string]string {
	found := make(map[string]string)
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return found
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, isSocket := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
		if err != nil || !isSocket {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		found[inode] = fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(comm)), pid)
	}
	return found
}
