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

// k0s's documentation requires 1 GiB for a controller and half of that for a
// worker; the kernel reports a little less than the machine has.
const (
	controllerMemory = gib * 9 / 10
	workerMemory     = gib * 45 / 100
)

// checkSystem checks what k0s requires of the operating system.
func (u *up) checkSystem() {
	if os.Geteuid() != 0 {
		u.Fail("root", "run it with sudo, or as root; so must --plan, since it reads files that only root can read", "must run as root (uid is %d)", os.Geteuid())
	}
	if runtime.GOOS != "linux" || u.host.arch != "amd64" && u.host.arch != "arm64" {
		u.Fail("system", "use another host", "%s/%s: the platform's images are for linux/amd64 and linux/arm64", runtime.GOOS, u.host.arch)
	}
	for _, p := range []struct{ name, from string }{{"modprobe", "kmod"}, {"mount", "mount, or util-linux"}, {"umount", "mount, or util-linux"}} {
		if _, err := exec.LookPath(p.name); err != nil {
			u.Add(record.Finding{
				Check: "system", Status: record.StatusWarning, Subject: p.name,
				Detail: "k0s uses " + p.name + ", which is not in PATH", Remedy: "install the package " + p.from,
			})
		}
	}
	if !u.hasOverlay() {
		u.Fail("system", "install the package with the kernel's modules", "the kernel has no overlay file system, in which containerd stores images")
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

// hasOverlay reports whether the kernel has overlayfs, built in or as a module.
func (u *up) hasOverlay() bool {
	known, _ := os.ReadFile(filepath.Join(u.host.proc, "filesystems"))
	release, _ := os.ReadFile(filepath.Join(u.host.proc, "sys/kernel/osrelease"))
	modules, _ := os.ReadFile(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), "modules.dep"))
	return bytes.Contains(known, []byte("\toverlay\n")) || bytes.Contains(modules, []byte("/overlay.ko"))
}

// checkMemory checks that the host has enough memory for k0s.
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
		u.Fail("memory", "add memory, or use another host", "this host has %s; k0s alone needs %s", record.Bytes(total), record.Bytes(need))
	}
}

// maxName bounds the host name, which becomes the value of a label.
const maxName = 63

// checkName checks the name and the address of this host's node.
func (u *up) checkName() {
	switch n := u.node.name; {
	case len(n) > maxName:
		u.Fail("name", "hostnamectl set-hostname NAME", "the host name %s has %d characters; the name of a node has at most %d", n, len(n), maxName)
	case !nodeName.MatchString(n):
		u.Fail("name", "hostnamectl set-hostname NAME", "the host name %q is not a valid name of a node: use only letters, digits, hyphens and dots", n)
	case n == "localhost" || strings.HasPrefix(n, "localhost."):
		u.Fail("name", "hostnamectl set-hostname NAME", "the host name is %q, as on every host that was not given a name", n)
	}
	switch a := u.node.address; {
	case !a.IsValid():
		u.Fail("network", "configure an address and a route, or set --api-address", "this host has no address that other nodes and pods can reach")
	case a.IsLoopback():
		u.Fail("network", "set --api-address to an address that other hosts can reach", "%v can only be reached from this host", a)
	case !u.node.own(a):
		u.Fail("network", "set --api-address to an address of this host", "%v is not an address of this host, which has %v", a, u.node.networks)
	default:
		u.Note("node %s at %v", u.node.name, a)
	}
}

// checkNetworks finds networks of the cluster that overlap each other, or contain
// addresses outside the cluster.
func (u *up) checkNetworks() {
	pods, services := u.yaml.podCIDR, u.yaml.serviceCIDR
	if pods.IsValid() && services.IsValid() && pods.Overlaps(services) {
		u.Fail("network", "set --pod-cidr or --service-cidr to another network", "the pod network %v and the service network %v overlap", pods, services)
	}
	running := u.k0s.running != nil // then the pods' own networks are among the host's
	for _, n := range []struct {
		what, flag string
		prefix     netip.Prefix
	}{{"pod", "--pod-cidr", pods}, {"service", "--service-cidr", services}} {
		if !n.prefix.IsValid() {
			continue
		}
		for _, have := range u.node.networks {
			if !running && n.prefix.Overlaps(have.Masked()) {
				u.Fail("network", "set "+n.flag+" to another network", "the %s network %v overlaps with this host's network %v", n.what, n.prefix, have)
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
			u.Fail("network", "set "+n.flag+" to another network", "the %s network %v contains the registry's address %v", n.what, n.prefix, a)
		}
	}
}
