package k0s

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DataDir is the data directory of k0s.
const DataDir = "/var/lib/k0s"

// AdminConfig is the administrator's kubeconfig on a controller.
const AdminConfig = DataDir + "/pki/admin.conf"

// What a host's own programs use: the requests of the pods that k0s itself starts,
// kube-router, CoreDNS and metrics-server (k0s, pkg/component/controller), and
// the memory that a kubelet keeps free.
const (
	OwnCPU    = 360 // in thousandths of a CPU
	OwnMemory = 116<<20 + 100<<20
)

// Memory returns a host's memory in bytes, from the kernel's tables in proc.
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

// CPUs returns a host's number of CPUs, or 0 if it is unknown.
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
