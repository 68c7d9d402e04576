package main

import (
	"path/filepath"
	"runtime"
	"time"

	"k0rdent-airgap/lib/k0s"
)

// host says where the files of a host are. Tests have theirs below a directory.
type host struct {
	root string // before all paths below, "" on a real host

	k0s       string // the program
	k0sConfig string
	joinToken string // a copy of the token that k0s joins with, while it does
	dropIns   string // of containerd
	certs     string // of the mirrors
	data      string // of k0s
	runDir    string // of k0s

	config  string // of this program
	state   string // directory of this program's notes
	lock    string
	storage string // of a registry on this host, which --purge removes

	farewell time.Duration // between leaving etcd and stopping it
	patience time.Duration // for what k0s answers at once unless it is stuck

	proc, sys string
	arch      string // as in GOARCH

	// after is called between two steps; tests end runs there.
	after func(step string) error
}

// thisHost gives the paths of a real host.
func thisHost() host { return hostBelow("") }

func hostBelow(root string) host {
	at := func(path string) string { return root + filepath.FromSlash(path) }
	return host{
		root: root,
		k0s:  at(k0s.BinaryPath), k0sConfig: at(k0s.ConfigPath),
		joinToken: at("/etc/k0s/join-token"),
		dropIns:   at(k0s.DropInDir), certs: at(k0s.CertsDir),
		data: at("/var/lib/k0s"), runDir: at(k0s.RunDir),
		config: at("/etc/k0rdentd/k0rdentd.yaml"), state: at("/var/lib/k0rdentd"),
		lock: at("/run/k0rdent-install.lock"), storage: at("/var/lib/k0rdentd/registry"),
		farewell: farewell, patience: quickRun, proc: "/proc", sys: "/sys", arch: runtime.GOARCH,
	}
}
