package hostcheck

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k0rdent-airgap/lib/record"
)

// apparmor finds a kernel with AppArmor on a host that cannot load profiles:
// containerd then disables AppArmor (k0s, docs/external-runtime-deps.md).
func (f *findings) apparmor() {
	text, exists := f.read(f.Sys + "/module/apparmor/parameters/enabled")
	if !exists || strings.TrimSpace(text) != "Y" {
		return
	}
	if len(f.glob("/sbin/apparmor_parser"))+len(f.glob("/usr/sbin/apparmor_parser")) == 0 {
		f.warn("apparmor_parser", "apt-get install apparmor # on SUSE: zypper install apparmor-parser", "AppArmor is enabled, but apparmor_parser is not installed: containers run without profiles")
	}
}

// fips finds a kernel in FIPS mode. k0s runs on it, but that does not make the
// cryptography in k0s and the images validated.
func (f *findings) fips() {
	text, exists := f.read(f.Proc + "/sys/crypto/fips_enabled")
	if exists && strings.TrimSpace(text) == "1" {
		f.warn("/proc/sys/crypto/fips_enabled", "if you need validated cryptography, ask the vendors of k0s and of the images for FIPS builds",
			"the kernel is in FIPS mode, which does not extend to the cryptography in k0s and the images")
	}
}

// Minimum limits. k0s and the containers of a platform run as one user: the kernel's
// default of 128 instances is too low (k0sproject/k0s#8113), and so are the 8192
// watches of old kernels. k0s's service requests 999,999 open files.
const (
	minInstances = 1024
	minWatches   = 65536
	unitFiles    = 999999
)

// limit is a limit of the kernel, and what to raise it to.
type limit struct {
	name         string
	min, setting int64
	why          string
}

func (f *findings) inotify() {
	f.limits(limit{"fs.inotify.max_user_instances", minInstances, 8192, "pods fail with \"too many open files\""},
		limit{"fs.inotify.max_user_watches", minWatches, 524288, "pods fail with \"no space left on device\""})
}

func (f *findings) files() {
	const why = "k0s's service requests 999999 open files"
	f.limits(limit{"fs.nr_open", unitFiles, 1048576, why}, limit{"fs.file-max", unitFiles, 1048576, why})
}

func (f *findings) limits(all ...limit) {
	for _, l := range all {
		n, known := f.number(f.Proc + "/sys/" + strings.ReplaceAll(l.name, ".", "/"))
		if known && n < l.min {
			f.warn(l.name, fmt.Sprintf("echo %s=%d >>/etc/sysctl.d/90-k0s.conf && sysctl -p /etc/sysctl.d/90-k0s.conf", l.name, l.setting),
				"%s is %d, but should be at least %d: %s", l.name, n, l.min, l.why)
		}
	}
}

// swap finds swap devices. k0s lets kubelet start with swap, but etcd slows down and
// memory limits of pods do not hold.
func (f *findings) swap() {
	text, exists := f.read(f.Proc + "/swaps")
	if !exists {
		return // a kernel without swap
	}
	var devices []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 5 && fields[0] != "Filename" {
			devices = append(devices, unescape(fields[0]))
		}
	}
	if len(devices) > 0 {
		f.warn(strings.Join(devices, ","), "swapoff -a && sed -i '/^[^#].*[[:blank:]]swap[[:blank:]]/s/^/#/' /etc/fstab", "this host swaps to %s: pods may exceed their memory limits, and etcd slows down", strings.Join(devices, ", "))
	}
}

// unsynced reports whether the kernel's clock is not synchronized.
func unsynced() (bool, error) {
	const staUnsync = 0x40 // STA_UNSYNC, adjtimex(2)
	var t syscall.Timex
	_, err := syscall.Adjtimex(&t)
	return t.Status&staUnsync != 0, err
}

// clock finds a clock that is not synchronized, or that is earlier than the push of
// the images. k0s's certificates are valid from the moment it creates them.
func (f *findings) clock() {
	now := time.Now()
	if f.Released.Sub(now) > 5*time.Minute {
		f.fail("clock", "timedatectl set-time '"+f.Released.Format("2006-01-02 15:04:05")+"' # or start an NTP client",
			"this host's clock is at %s, before the images were pushed at %s", now.UTC().Format(time.RFC3339), f.Released.UTC().Format(time.RFC3339))
	}
	no, err := unsynced()
	switch {
	case err != nil:
		f.unknown("clock", err)
	case no:
		f.warn("clock", "echo 'server NTPSERVER iburst' >>/etc/chrony.conf && systemctl enable --now chronyd", "no NTP client synchronizes the clock: if the clocks of hosts drift apart, certificates are rejected and etcd warns")
	}
}

// need is a kernel module that k0s needs, with alternatives to it.
type need struct {
	names  []string
	what   string
	status string
}

// needs returns the required modules. Without those of iptables, the rules of kubelet,
// kube-proxy and the network fail, as on distributions that leave modules out (RHEL 10:
// kubernetes/kops#18724, rancher/rke2#8498).
func (f *findings) needs() []need {
	failed, warning := record.StatusFailed, record.StatusWarning
	all := []need{
		{[]string{"nf_tables", "ip_tables"}, "kube-proxy cannot add its rules", failed},
		{[]string{"nf_conntrack"}, "kube-proxy cannot track connections", failed},
		{[]string{"xt_comment"}, "kube-proxy and kubelet cannot add their rules", failed},
		{[]string{"xt_MASQUERADE", "ipt_MASQUERADE"}, "pods cannot reach anything outside the cluster", failed},
		{[]string{"br_netfilter"}, "pods cannot reach services on their own node", warning},
		{[]string{"overlay"}, "containerd cannot store images", failed},
	}
	switch f.Provider {
	case "kuberouter":
		all = append(all, need{[]string{"ip_set"}, "kube-router does not start", failed})
	case "calico":
		all = append(all, need{[]string{"ip_set"}, "calico cannot add its rules", failed}, need{[]string{"vxlan"}, "calico cannot connect pods on different nodes", failed})
	}
	return all
}

// modules finds kernel modules that are missing, or that the host refuses to load,
// as hardening guides advise.
func (f *findings) modules() {
	needs := slices.DeleteFunc(f.needs(), func(n need) bool { return slices.ContainsFunc(n.names, f.loaded) })
	if len(needs) == 0 {
		return
	}
	release, have := f.available()
	refused := f.refusedModules()
	for _, n := range needs {
		name := n.names[0]
		switch by := refused[name]; {
		case by != "":
			f.add(n.status, name, "sed -i '/^install *"+name+" /d' "+by, "%s refuses to load the kernel module %s: %s", by, name, n.what)
		case have != nil && name != "overlay" && !slices.ContainsFunc(n.names, func(n string) bool { return have[n] }):
			f.add(n.status, name, "dnf install kernel-modules-extra-"+release+", or this system's package with that module",
				"the kernel %s has no module %s: %s", release, strings.Join(n.names, " or "), n.what)
		}
	}
}

// loaded reports whether a module is loaded or built into the running kernel.
func (f *findings) loaded(name string) bool {
	_, err := os.Stat(filepath.Join(f.Sys, "module", name))
	return err == nil
}

// available returns the kernel's release and the modules that it has, or nil if that is
// unknown.
func (f *findings) available() (release string, have map[string]bool) {
	file := f.Proc + "/sys/kernel/osrelease"
	text, err := readFile(file)
	release = strings.TrimSpace(text)
	have = make(map[string]bool)
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		if err == nil {
			file = f.Root + filepath.Join("/lib/modules", release, name)
			text, err = readFile(file)
		}
		addModules(have, text)
	}
	if err != nil {
		f.unknown(file, err)
		return release, nil
	}
	return release, have
}

// addModules adds the modules in modules.dep or modules.builtin, whose lines start
// with a path such as kernel/net/bridge/br_netfilter.ko.xz.
func addModules(have map[string]bool, text string) {
	for line := range strings.Lines(text) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name, _, found := strings.Cut(path.Base(file), ".ko"); found {
			have[strings.ReplaceAll(name, "-", "_")] = true
		}
	}
}

// refusedModules returns the modules that modprobe.d(5) replaces with /bin/true or
// /bin/false, and the file that does so.
func (f *findings) refusedModules() map[string]string {
	found := make(map[string]string)
	for _, dir := range []string{"/etc", "/run", "/usr/lib", "/lib"} {
		for _, file := range f.glob(dir + "/modprobe.d/*.conf") {
			text, _ := f.read(file)
			for name := range installed(text) {
				found[name] = strings.TrimPrefix(file, f.Root)
			}
		}
	}
	return found
}

// installed returns the modules in lines such as "install NAME /bin/false".
func installed(text string) map[string]bool {
	found := make(map[string]bool)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "install" && slices.Contains([]string{"true", "false"}, path.Base(fields[2])) {
			found[strings.ReplaceAll(fields[1], "-", "_")] = true
		}
	}
	return found
}
