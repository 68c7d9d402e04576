package main

import (
	"path/filepath"
	"runtime"
	"time"

	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/k0s"
)

// host holds the paths of a host's files and the timeouts that tests shorten.
type host struct {
	root string // before all paths below, "" on a real host

	k0s       string // the program
	k0sConfig string
	joinToken string // a copy of the token, until k0s has joined
	certs     string // of the mirrors
	data      string // of k0s
	runDir    string // of k0s

	config string // of this program
	state  string // directory of this program's notes
	lock   string

	// leaveGrace is how long the etcd of a leaving member keeps running, until the
	// others have learnt that it left. Without it, two members of three, one of them
	// lost, would have no quorum.
	leaveGrace time.Duration
	timeout    time.Duration // of k0s commands that answer at once unless k0s hangs

	measure   time.Duration // how long to measure the disk's latency
	proc, sys string
	arch      string // as in GOARCH
}

// hostBelow returns a host whose files are below root; "" is this host.
func hostBelow(root string) host {
	at := func(path string) string { return root + filepath.FromSlash(path) }
	return host{
		root: root,
		k0s:  at(k0s.BinaryPath), k0sConfig: at(k0s.ConfigPath),
		joinToken: at("/etc/k0s/join-token"),
		certs:     at(k0s.CertsDir),
		data:      at(k0s.DataDir), runDir: at(k0s.RunDir),
		config: at(config.Path), state: at("/var/lib/k0rdentd"),
		lock:       at("/run/k0s-up.lock"),
		leaveGrace: 3 * time.Second, timeout: 30 * time.Second, measure: time.Second, proc: "/proc", sys: "/sys", arch: runtime.GOARCH,
	}
}
