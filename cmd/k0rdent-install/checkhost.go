package main

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/record"
)

const (
	gib = 1 << 30
	// k0s's makers ask for 1 GiB for a controller, half of that for a worker;
	// a machine shows a little less than it was given. k0rdent's quick start
	// asks for 8 GB.
	controllerMemory = gib * 9 / 10
	workerMemory     = gib * 45 / 100
	platformMemory   = 8_000_000_000 * 9 / 10
)

// checkSystem looks at what k0s needs of the operating system.
func (p *preflight) checkSystem() {
	if os.Geteuid() != 0 {
		p.fail("root", "run it as root; --plan, too, reads what only root may", "must run as root (uid is %d)", os.Geteuid())
	}
	if runtime.GOOS != "linux" || p.host.arch != "amd64" && p.host.arch != "arm64" {
		p.fail("system", "", "%s/%s: the platform's images are for linux/amd64 and linux/arm64", runtime.GOOS, p.host.arch)
	}
	for _, program := range []string{"modprobe", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			p.warn("system", "no %s in PATH, which k0s uses", program)
		}
	}
	if !p.hasOverlay() {
		p.fail("system", "install the kernel's modules, or a kernel that has it built in", "the kernel has no overlay file system, which containerd keeps images in")
	}
	const cgroup2 = 0x63677270 // CGROUP2_SUPER_MAGIC, statfs(2)
	var fs syscall.Statfs_t
	cgroups := filepath.Join(p.host.sys, "fs/cgroup")
	if err := syscall.Statfs(cgroups, &fs); err != nil {
		p.fail("system", "", "%s: %v", cgroups, err)
	} else if fs.Type != cgroup2 {
		p.cgroup1 = true
	}
}

// hasOverlay tells whether overlay is there, or is a module of this kernel.
func (p *preflight) hasOverlay() bool {
	if text, err := os.ReadFile(filepath.Join(p.host.proc, "filesystems")); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == "overlay" {
				return true
			}
		}
	}
	release, err := os.ReadFile(filepath.Join(p.host.proc, "sys/kernel/osrelease"))
	if err != nil {
		return false
	}
	modules, err := os.ReadFile(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), "modules.dep"))
	return err == nil && bytes.Contains(modules, []byte("/overlay.ko"))
}

// checkMemory looks at how much the host has.
func (p *preflight) checkMemory() {
	total, err := memory(filepath.Join(p.host.proc, "meminfo"))
	need := int64(controllerMemory)
	if p.worker {
		need = workerMemory
	}
	switch {
	case err != nil:
		p.fail("memory", "", "%v", err)
	case total < need:
		p.fail("memory", "", "%s; k0s alone needs %s", record.Bytes(total), record.Bytes(need))
	case total < platformMemory && !p.join:
		p.warn("memory", "%s; k0rdent's documentation asks for 8 GB", record.Bytes(total))
	}
}

// memory reads MemTotal, in bytes.
func memory(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if rest, found := strings.CutPrefix(s.Text(), "MemTotal:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, &os.PathError{Op: "read", Path: path, Err: os.ErrNotExist}
}

// maxName bounds the host's name, which becomes the value of a label.
const maxName = 63

// checkName looks at how other nodes will see this host.
func (p *preflight) checkName() {
	switch n := p.node.name; {
	case len(n) > maxName:
		p.fail("name", "hostnamectl set-hostname NAME", "the host's name has %d characters: a node's name has %d at most (%s)", len(n), maxName, n)
	case !nodeName.MatchString(n):
		p.fail("name", "hostnamectl set-hostname NAME", "the host's name %q cannot be the name of a node: use letters, digits, hyphens and dots", n)
	case n == "localhost" || strings.HasPrefix(n, "localhost."):
		p.fail("name", "hostnamectl set-hostname NAME", "the host's name is %q, which is the name of every host without one", n)
	}
	switch a := p.node.address; {
	case !a.IsValid():
		p.fail("network", "give it an address and a route, or name the address with --api-address", "this host has no address that other nodes and pods could reach")
	case a.IsLoopback():
		p.fail("network", "", "%v is reached from this host only", a)
	case !p.node.own(a):
		p.fail("network", "", "%v is not an address of this host, which has %v", a, p.node.networks)
	default:
		p.note("node %s at %v", p.node.name, a)
	}
}

// checkNetworks finds addresses that would be both inside and outside the
// cluster.
func (p *preflight) checkNetworks() {
	pods, services := p.yaml.podCIDR, p.yaml.serviceCIDR
	if pods.IsValid() && services.IsValid() && pods.Overlaps(services) {
		p.fail("network", "", "the networks of pods %v and services %v overlap", pods, services)
	}
	running := p.k0s.running != nil // then the pods' own networks are among the host's
	for _, n := range []struct {
		what, flag string
		prefix     netip.Prefix
	}{{"pods", "--pod-cidr", pods}, {"services", "--service-cidr", services}} {
		if !n.prefix.IsValid() {
			continue
		}
		for _, have := range p.node.networks {
			if !running && n.prefix.Overlaps(have.Masked()) {
				p.fail("network", "choose another one with "+n.flag, "the network of the %s, %v, overlaps with that of this host, %v", n.what, n.prefix, have)
			}
		}
		if p.site == nil {
			continue
		}
		host := p.site.host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && n.prefix.Contains(a) {
			p.fail("network", "choose another one with "+n.flag, "the network of the %s, %v, has the registry's address %v in it", n.what, n.prefix, a)
		}
	}
}
