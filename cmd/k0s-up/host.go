package main

import (
	"path/filepath"
	"runtime"
	"time"

	"k0rdent-airgap/lib/config"
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

	config string // of this program
	state  string // directory of this program's notes
	lock   string

	farewell time.Duration // between leaving etcd and stopping it
	patience time.Duration // for what k0s answers at once unless it is stuck

	measure   time.Duration // how long to write to the disk, to learn how fast it is
	proc, sys string
	arch      string // as in GOARCH
}

// hostBelow returns the paths of a host whose files lie below root, "" for this one.
func hostBelow(root string) host {
	at := func(path string) string { return root + filepath.FromSlash(path) }
	return host{
		root: root,
		k0s:  at(k0s.BinaryPath), k0sConfig: at(k0s.ConfigPath),
		joinToken: at("/etc/k0s/join-token"),
		dropIns:   at(k0s.DropInDir), certs: at(k0s.CertsDir),
		data: at(k0s.DataDir), runDir: at(k0s.RunDir),
		config: at(config.Path), state: at("/var/lib/k0rdentd"),
		lock:     at("/run/k0s-up.lock"),
		farewell: farewell, patience: quickRun, measure: time.Second, proc: "/proc", sys: "/sys", arch: runtime.GOARCH,
	}
}
