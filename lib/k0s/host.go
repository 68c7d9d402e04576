package k0s

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DataDir is where k0s keeps everything on a host.
const DataDir = "/var/lib/k0s"

// AdminConfig is the administrator's kubeconfig that a controller makes.
const AdminConfig = DataDir + "/pki/admin.conf"

// What a host's own programs leave to no pod: the requests of the pods that
// k0s itself starts, which are kube-router, CoreDNS and metrics-server (k0s,
// pkg/component/controller), and the memory that a kubelet keeps free.
const (
	OwnCPU    = 360 // in thousandths of a CPU
	OwnMemory = 116<<20 + 100<<20
)

// Memory returns how much memory a host has, in bytes, by the kernel's tables
// in proc.
func Memory(proc string) (int64, error) {
	path := filepath.Join(proc, "meminfo")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "MemTotal:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, &os.PathError{Op: "read", Path: path, Err: os.ErrNotExist}
}

// CPUs returns how many CPUs a host has, 0 if that is not known.
func CPUs(proc string) int64 {
	text, err := os.ReadFile(filepath.Join(proc, "cpuinfo"))
	if err != nil {
		return 0
	}
	var n int64
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("processor")) {
			n++
		}
	}
	return n
}
