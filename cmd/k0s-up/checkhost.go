package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

const gib = 1 << 30

// k0s's documentation asks for 1 GiB for a controller, half of that for a
// worker; a machine shows a little less than it was given.
const (
	controllerMemory = gib * 9 / 10
	workerMemory     = gib * 45 / 100
)

// checkSystem looks at what k0s needs of the operating system.
func (u *up) checkSystem() {
	if os.Geteuid() != 0 {
		u.Fail("root", "run it as root; --plan also reads files that only root can read", "must run as root (uid is %d)", os.Geteuid())
	}
	if runtime.GOOS != "linux" || u.host.arch != "amd64" && u.host.arch != "arm64" {
		u.Fail("system", "use another host", "%s/%s: the platform's images are for linux/amd64 and linux/arm64", runtime.GOOS, u.host.arch)
	}
	for _, p := range []struct{ name, from string }{{"modprobe", "kmod"}, {"mount", "mount, or util-linux"}, {"umount", "mount, or util-linux"}} {
		if _, err := exec.LookPath(p.name); err != nil {
			u.Add(record.Finding{
				Check: "system", Status: record.StatusWarning, Subject: p.name,
				Detail: "no " + p.name + " in PATH, which k0s uses", Remedy: "install the package " + p.from,
			})
		}
	}
	if !u.hasOverlay() {
		u.Fail("system", "install the kernel's modules, or a kernel that has it built in", "the kernel has no overlay file system, which containerd keeps images in")
	}
	const cgroup2 = 0x63677270 // CGROUP2_SUPER_MAGIC, statfs(2)
	var fs syscall.Statfs_t
	cgroups := filepath.Join(u.host.sys, "fs/cgroup")
	if err := syscall.Statfs(cgroups, &fs); err != nil {
		u.Fail("system", "", "%s: %v", cgroups, err)
	} else if fs.Type != cgroup2 {
		u.cgroup1 = true
	}
}

// hasOverlay reports whether overlay is there, or is a module of this kernel.
func (u *up) hasOverlay() bool {
	if text, err := os.ReadFile(filepath.Join(u.host.proc, "filesystems")); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == "overlay" {
				return true
			}
		}
	}
	release, err := os.ReadFile(filepath.Join(u.host.proc, "sys/kernel/osrelease"))
	if err != nil {
		return false
	}
	modules, err := os.ReadFile(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), "modules.dep"))
	return err == nil && bytes.Contains(modules, []byte("/overlay.ko"))
}

// checkMemory looks at how much the host has.
func (u *up) checkMemory() {
	total, err := k0s.Memory(u.host.proc)
	need := int64(controllerMemory)
	if u.worker {
		need = workerMemory
	}
	switch {
	case err != nil:
		u.Fail("memory", "", "%v", err)
	case total < need:
		u.Fail("memory", "use a host with more memory", "%s; k0s alone needs %s", record.Bytes(total), record.Bytes(need))
	}
}

// maxName bounds the host's name, which becomes the value of a label.
const maxName = 63

// checkName looks at how other nodes will see this host.
func (u *up) checkName() {
	switch n := u.node.name; {
	case len(n) > maxName:
		u.Fail("name", "hostnamectl set-hostname NAME", "the host's name has %d characters: a node's name has %d at most (%s)", len(n), maxName, n)
	case !nodeName.MatchString(n):
		u.Fail("name", "hostnamectl set-hostname NAME", "the host's name %q cannot be the name of a node: use letters, digits, hyphens and dots", n)
	case n == "localhost" || strings.HasPrefix(n, "localhost."):
		u.Fail("name", "hostnamectl set-hostname NAME", "the host's name is %q, which is the name of every host without one", n)
	}
	switch a := u.node.address; {
	case !a.IsValid():
		u.Fail("network", "give it an address and a route, or name the address with --api-address", "this host has no address that other nodes and pods could reach")
	case a.IsLoopback():
		u.Fail("network", "name another address with --api-address", "%v can be reached from this host only", a)
	case !u.node.own(a):
		u.Fail("network", "name one of this host with --api-address", "%v is not an address of this host, which has %v", a, u.node.networks)
	default:
		u.Note("node %s at %v", u.node.name, a)
	}
}

// checkNetworks finds addresses that would be both inside and outside the
// cluster.
func (u *up) checkNetworks() {
	pods, services := u.yaml.podCIDR, u.yaml.serviceCIDR
	if pods.IsValid() && services.IsValid() && pods.Overlaps(services) {
		u.Fail("network", "choose others with --pod-cidr and --service-cidr", "the networks of pods %v and services %v overlap", pods, services)
	}
	running := u.k0s.running != nil // then the pods' own networks are among the host's
	for _, n := range []struct {
		what, flag string
		prefix     netip.Prefix
	}{{"pods", "--pod-cidr", pods}, {"services", "--service-cidr", services}} {
		if !n.prefix.IsValid() {
			continue
		}
		for _, have := range u.node.networks {
			if !running && n.prefix.Overlaps(have.Masked()) {
				u.Fail("network", "choose another one with "+n.flag, "the network of the %s, %v, overlaps with that of this host, %v", n.what, n.prefix, have)
			}
		}
		if u.site == nil {
			continue
		}
		host := u.site.host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && n.prefix.Contains(a) {
			u.Fail("network", "choose another one with "+n.flag, "the network of the %s, %v, contains the registry's address %v", n.what, n.prefix, a)
		}
	}
}
