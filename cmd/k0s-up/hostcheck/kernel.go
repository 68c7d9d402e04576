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

// apparmor finds that the kernel has AppArmor and the host cannot load profiles:
// containerd then disables AppArmor (k0s, docs/external-runtime-deps.md).
func (f *findings) apparmor() {
	const check = "apparmor"
	text, exists := f.read(check, f.Sys+"/module/apparmor/parameters/enabled")
	if !exists || strings.TrimSpace(text) != "Y" {
		return
	}
	if len(f.glob("/sbin/apparmor_parser"))+len(f.glob("/usr/sbin/apparmor_parser")) == 0 {
		f.warn(check, "apparmor_parser", "install the package apparmor", "AppArmor is enabled, and there is no /sbin/apparmor_parser: containers run without profiles")
	}
}

// fips finds that the kernel is in FIPS mode. k0s runs there; but the mode does
// not make validated modules of the cryptography that k0s and the images bring.
func (f *findings) fips() {
	const check = "fips"
	text, exists := f.read(check, f.Proc+"/sys/crypto/fips_enabled")
	if exists && strings.TrimSpace(text) == "1" {
		f.warn(check, "/proc/sys/crypto/fips_enabled", "ask the vendors of k0s and of the images for FIPS builds, if they must be validated",
			"the kernel is in FIPS mode, which does not extend to the cryptography that k0s and the images bring")
	}
}

// Limits that are known to be too low. k0s and the containers of a platform run
// as one user; 128 instances, the kernel's default, do not last (k0sproject/k0s#8113),
// nor do the 8192 watches of old kernels. k0s's service asks for 999,999 open files.
const (
	minInstances = 1024
	minWatches   = 65536
	unitFiles    = 999999
)

func (f *findings) limits() {
	for _, l := range []struct {
		check, name    string
		least, setting int64
		text           string
	}{
		{"inotify", "fs.inotify.max_user_instances", minInstances, 8192, "pods fail with \"too many open files\""},
		{"inotify", "fs.inotify.max_user_watches", minWatches, 524288, "pods fail with \"no space left on device\""},
		{"files", "fs.nr_open", unitFiles, 1048576, "k0s's service asks for 999999 open files"},
		{"files", "fs.file-max", unitFiles, 1048576, "k0s's service asks for 999999 open files"},
	} {
		n, known := f.number(l.check, f.Proc+"/sys/"+strings.ReplaceAll(l.name, ".", "/"))
		if !known || n >= l.least {
			continue
		}
		f.warn(l.check, l.name, fmt.Sprintf("echo %s=%d >>/etc/sysctl.d/90-k0s.conf && sysctl -p /etc/sysctl.d/90-k0s.conf", l.name, l.setting),
			"%s is %d, and should be %d at least: %s", l.name, n, l.least, l.text)
	}
}

// swap finds that the host swaps. k0s lets kubelet start with swap, but etcd and
// the limits of pods suffer.
func (f *findings) swap() {
	const check = "swap"
	text, exists := f.read(check, f.Proc+"/swaps")
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
		f.warn(check, strings.Join(devices, ","), "swapoff -a; and remove it from /etc/fstab", "the host swaps to %s: pods may use more memory than their limits allow, and etcd gets slow", strings.Join(devices, ", "))
	}
}

// unsynced reports whether nothing keeps the kernel's clock in time.
func unsynced() (bool, error) {
	const staUnsync = 0x40 // STA_UNSYNC, adjtimex(2)
	var t syscall.Timex
	_, err := syscall.Adjtimex(&t)
	return t.Status&staUnsync != 0, err
}

// clock finds a clock that nothing sets, or that is behind what the host has
// seen. k0s's certificates are valid from the moment on at which it makes them.
func (f *findings) clock() {
	const check = "time"
	now := time.Now()
	if f.Released.Sub(now) > 5*time.Minute {
		f.fail(check, "clock", "timedatectl set-time '"+f.Released.Format("2006-01-02 15:04:05")+"', or start an NTP client",
			"it is %s here, which is before the images were pushed, %s", now.UTC().Format(time.RFC3339), f.Released.UTC().Format(time.RFC3339))
	}
	no, err := unsynced()
	switch {
	case err != nil:
		f.unknown(check, "clock", err)
	case no:
		f.warn(check, "clock", "echo 'server NTPSERVER iburst' >>/etc/chrony.conf && systemctl enable --now chronyd", "no NTP client keeps the clock in time: certificates fail, and etcd warns, once hosts are apart")
	}
}

// need is a kernel module, or others that stand in for it.
type need struct {
	names  []string
	what   string
	status string
}

// needs are modules besides overlay. Without those of iptables the rules of
// kubelet, kube-proxy and the network fail: distributions that leave modules out,
// as RHEL 10 does, have shown how (kubernetes/kops#18724, rancher/rke2#8498).
func (f *findings) needs() []need {
	failed, warning := record.StatusFailed, record.StatusWarning
	all := []need{
		{[]string{"nf_tables", "ip_tables"}, "kube-proxy has no table for its rules", failed},
		{[]string{"nf_conntrack"}, "kube-proxy cannot follow connections", failed},
		{[]string{"xt_comment"}, "kube-proxy and kubelet cannot add their rules", failed},
		{[]string{"xt_MASQUERADE", "ipt_MASQUERADE"}, "pods do not reach what is outside of the cluster", failed},
		{[]string{"br_netfilter"}, "pods do not reach services that run on their own node", warning},
	}
	switch f.Provider {
	case "kuberouter":
		all = append(all, need{[]string{"ip_set"}, "kube-router does not start", failed})
	case "calico":
		all = append(all, need{[]string{"ip_set"}, "calico cannot add its rules", failed}, need{[]string{"vxlan"}, "calico does not connect the pods of different nodes", failed})
	}
	return all
}

// modules finds kernel modules that are not there, or that the host refuses to
// load, as hardening guides have it.
func (f *findings) modules() {
	const check = "modules"
	release, err := readFile(f.Proc + "/sys/kernel/osrelease")
	if err != nil {
		f.unknown(check, f.Proc+"/sys/kernel/osrelease", err)
		return
	}
	release = strings.TrimSpace(release)
	refused := f.refusedModules()
	have := make(map[string]bool)
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		file := filepath.Join("/lib/modules", release, name)
		text, err := readFile(f.Root + file)
		if err != nil {
			have = nil
			if !f.all() {
				f.unknown(check, file, err)
			}
			break
		}
		addModules(have, text)
	}
	for _, n := range append(f.needs(), need{[]string{"overlay"}, "containerd cannot keep images", record.StatusFailed}) {
		name := n.names[0]
		if slices.ContainsFunc(n.names, f.loaded) {
			continue
		}
		if by := refused[name]; by != "" {
			f.add(check, n.status, name, "sed -i '/^install *"+name+" /d' "+by, "%s refuses to load the kernel module %s: %s", by, name, n.what)
			continue
		}
		if have != nil && name != "overlay" && !slices.ContainsFunc(n.names, func(n string) bool { return have[n] }) {
			f.add(check, n.status, name, "dnf install kernel-modules-extra-"+release+", or the package of this system's kernel that has it",
				"the kernel %s has no module %s: %s", release, strings.Join(n.names, " or "), n.what)
		}
	}
}

// all reports whether every module is loaded, so that no file of the kernel need
// say whether it exists.
func (f *findings) all() bool {
	return !slices.ContainsFunc(f.needs(), func(n need) bool { return !slices.ContainsFunc(n.names, f.loaded) })
}

// loaded reports whether a module is part of the running kernel.
func (f *findings) loaded(name string) bool {
	_, err := os.Stat(filepath.Join(f.Sys, "module", name))
	return err == nil
}

// addModules adds the modules of modules.dep or modules.builtin, whose lines begin
// with a path such as kernel/net/bridge/br_netfilter.ko.xz.
func addModules(have map[string]bool, text string) {
	for line := range strings.Lines(text) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name, _, found := strings.Cut(path.Base(file), ".ko"); found {
			have[strings.ReplaceAll(name, "-", "_")] = true
		}
	}
}

// refusedModules returns the modules that a modprobe.d(5) replaces with a program
// that does nothing, and the file that does.
func (f *findings) refusedModules() map[string]string {
	found := make(map[string]string)
	for _, dir := range []string{"/etc", "/run", "/usr/lib", "/lib"} {
		for _, file := range f.glob(dir + "/modprobe.d/*.conf") {
			text, _ := f.read("modules", file)
			for name := range installed(text) {
				found[name] = strings.TrimPrefix(file, f.Root)
			}
		}
	}
	return found
}

// installed returns the modules of lines such as "install NAME /bin/false".
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
