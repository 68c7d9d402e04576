package hostcheck

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
)

func TestMain(m *testing.M) { os.Exit(machine.AsRoot(m)) }

// kernel is the kernel release whose modules are in testdata.
const kernel = "6.1.0-56-cloud-amd64"

// testHost returns a Debian 12 without problems, below a temporary directory.
func testHost(t *testing.T) Host {
	t.Helper()
	h := Host{
		Root: t.TempDir(), K0s: "/usr/local/bin/k0s", Data: "/var/lib/k0s", DropIns: "/etc/k0s/containerd.d",
		Name: "node-1", Provider: "kuberouter",
		Networks: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.0/12")},
		Ports:    []Port{{6443, "tcp"}, {2380, "tcp"}, {10250, "tcp"}, {4789, "udp"}},
		Internal: []string{"registry.site:5000", "10.0.0.5"},
	}
	h.Proc, h.Sys = h.Root+"/proc", h.Root+"/sys"
	for path, text := range map[string]string{
		"/proc/sys/fs/inotify/max_user_instances": "8192\n", "/proc/sys/fs/inotify/max_user_watches": "524288\n",
		"/proc/sys/fs/nr_open": "1048576\n", "/proc/sys/fs/file-max": "9223372036854775807\n",
		"/proc/sys/kernel/osrelease": kernel + "\n",
		"/proc/swaps":                "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
		"/proc/self/mountinfo":       "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n",
		"/proc/self/environ":         "HOME=/root\x00", "/proc/1/environ": "TERM=linux\x00", "/proc/1/comm": "systemd\n",
		"/etc/hosts":       "127.0.0.1\tlocalhost\n127.0.1.1\tnode-1\n",
		"/etc/resolv.conf": "nameserver 10.0.0.1\n",
		h.K0s:              "k0s",
	} {
		clitest.Write(t, h.Root+path, text)
	}
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		clitest.Write(t, h.Root+"/lib/modules/"+kernel+"/"+name, data(t, "debian12/modules/"+name))
	}
	return h
}

// data returns a file of testdata. README.md there has the origin of each.
func data(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// put writes a file of a host.
func (h Host) put(t *testing.T, path, text string) {
	t.Helper()
	clitest.Write(t, h.Root+path, text)
}

// runs makes a host look as if a program were running.
func (h Host) runs(t *testing.T, name string) { h.put(t, "/proc/4711/comm", name+"\n") }

// firewall installs and runs firewalld as on Debian 12.
func (h Host) firewall(t *testing.T) {
	t.Helper()
	h.runs(t, "firewalld")
	h.put(t, "/etc/firewalld/firewalld.conf", data(t, "debian12/firewalld/firewalld.conf"))
	for _, dir := range []string{"zones", "services"} {
		files, err := filepath.Glob("testdata/debian12/firewalld/" + dir + "/*.xml")
		if err != nil || len(files) == 0 {
			t.Fatal("no files of firewalld", err)
		}
		for _, file := range files {
			h.put(t, "/usr/lib/firewalld/"+dir+"/"+filepath.Base(file), data(t, strings.TrimPrefix(file, "testdata/")))
		}
	}
}

// enforcing sets up SELinux as on RHEL 9, with the policy for containers and labels
// on k0s's data directory. The k0s program has the label context.
func (h Host) enforcing(t *testing.T, context string) {
	t.Helper()
	h.put(t, "/sys/fs/selinux/enforce", "1")
	h.put(t, "/etc/selinux/config", data(t, "rhel9/selinux-config"))
	h.put(t, "/var/lib/selinux/targeted/active/modules/200/container/cil", "")
	h.put(t, "/etc/selinux/targeted/contexts/files/file_contexts.local", "/var/lib/k0s/bin/containerd.*    system_u:object_r:container_runtime_exec_t:s0\n")
	err := syscall.Setxattr(h.Root+h.K0s, "security.selinux", []byte(context+"\x00"), 0)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) {
		machine.Skip(t, "no labels for this user or on this file system: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// find returns the findings for a host, except those about this machine's clock.
func (h Host) find(t *testing.T) []record.Finding {
	t.Helper()
	return slices.DeleteFunc(h.Check(t.Context(), nil), func(f record.Finding) bool { return f.Check == "time" && f.Status != record.StatusFailed })
}

const binT = "system_u:object_r:bin_t:s0"

// TestCheck has one problem in each row.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, h *Host)
		want   string // "CHECK STATUS SUBJECT" of the only finding; "" for none
		detail string
		remedy string
	}{
		{"nothing", func(*testing.T, *Host) {}, "", "", ""},

		{"SELinux is permissive", func(t *testing.T, h *Host) { h.put(t, "/sys/fs/selinux/enforce", "0") }, "", "", ""},
		{"SELinux enforces later", func(t *testing.T, h *Host) { h.put(t, "/etc/selinux/config", data(t, "rhel9/selinux-config")) },
			"selinux warning /etc/selinux/config", "enforcing after the next boot", "reboot"},
		{"all labels", func(t *testing.T, h *Host) { h.enforcing(t, binT) }, "", "", ""},
		{"k0s was moved from /root", func(t *testing.T, h *Host) { h.enforcing(t, "unconfined_u:object_r:admin_home_t:s0") },
			"selinux failed /usr/local/bin/k0s", "has the label unconfined_u:object_r:admin_home_t:s0, with which systemd may not execute it", "restorecon -v /usr/local/bin/k0s"},
		{"no container-selinux", func(t *testing.T, h *Host) {
			h.enforcing(t, binT)
			os.RemoveAll(h.Root + "/var/lib/selinux")
		}, "selinux warning container-selinux", "is not installed", "dnf install container-selinux"},
		{"no container-selinux, and containerd needs it", func(t *testing.T, h *Host) {
			h.enforcing(t, binT)
			os.RemoveAll(h.Root + "/var/lib/selinux")
			h.put(t, "/etc/k0s/containerd.d/selinux.toml", "[plugins.\"io.containerd.cri.v1.runtime\"]\n  enable_selinux = true\n")
		}, "selinux failed container-selinux", "no container would start", "dnf install container-selinux"},
		{"no labels for k0s's data", func(t *testing.T, h *Host) {
			h.enforcing(t, binT)
			h.put(t, "/etc/selinux/targeted/contexts/files/file_contexts.local", "/srv/www(/.*)?    system_u:object_r:httpd_sys_content_t:s0\n")
		}, "selinux warning /var/lib/k0s", "are not labelled", "semanage fcontext -a -t container_runtime_exec_t '/var/lib/k0s/bin/containerd.*'"},
		{"a label that cannot be read", func(t *testing.T, h *Host) {
			h.enforcing(t, binT)
			if err := syscall.Removexattr(h.Root+h.K0s, "security.selinux"); err != nil {
				t.Fatal(err)
			}
		}, "selinux unknown /usr/local/bin/k0s", "cannot be checked: no data available", ""},

		{"fapolicyd is installed but not running", func(t *testing.T, h *Host) {
			h.put(t, "/etc/fapolicyd/compiled.rules", data(t, "debian12/fapolicyd/compiled.rules"))
		}, "", "", ""},
		{"fapolicyd", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			h.put(t, "/etc/fapolicyd/fapolicyd.conf", data(t, "debian12/fapolicyd/fapolicyd.conf"))
			h.put(t, "/etc/fapolicyd/compiled.rules", data(t, "debian12/fapolicyd/compiled.rules"))
		}, "fapolicyd failed /usr/local/bin/k0s", "no rule that allows executing /usr/local/bin/k0s", "allow perm=any all : dir=/var/lib/k0s/"},
		{"fapolicyd is permissive", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			h.put(t, "/etc/fapolicyd/fapolicyd.conf", strings.Replace(data(t, "debian12/fapolicyd/fapolicyd.conf"), "permissive = 0", "permissive = 1", 1))
			h.put(t, "/etc/fapolicyd/compiled.rules", data(t, "debian12/fapolicyd/compiled.rules"))
		}, "", "", ""},
		{"fapolicyd trusts k0s alone", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			h.put(t, "/etc/fapolicyd/compiled.rules", data(t, "debian12/fapolicyd/compiled.rules"))
			h.put(t, "/etc/fapolicyd/trust.d/k0s", "/usr/local/bin/k0s 3 "+strings.Repeat("0", 64)+"\n")
		}, "fapolicyd failed /var/lib/k0s/bin/containerd", "no rule that allows executing /var/lib/k0s/bin/containerd", "fagenrules --load"},
		{"fapolicyd trusts another k0s", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			h.put(t, "/etc/fapolicyd/compiled.rules", "allow perm=any all : dir=/var/lib/k0s/\n"+data(t, "debian12/fapolicyd/compiled.rules"))
			h.put(t, "/etc/fapolicyd/fapolicyd.trust", "/usr/local/bin/k0s 4 "+strings.Repeat("0", 64)+"\n")
		}, "fapolicyd failed /usr/local/bin/k0s", "", ""},
		{"fapolicyd has the rules of the remedy", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			_, lines, _ := strings.Cut((&findings{Host: *h}).allowCommand(), "'")
			lines, _, _ = strings.Cut(lines, "'")
			h.put(t, "/etc/fapolicyd/rules.d/30-k0s.rules", strings.ReplaceAll(lines, `\n`, "\n"))
			h.put(t, "/etc/fapolicyd/rules.d/90-deny-execute.rules", "deny_audit perm=execute all : all\n")
		}, "", "", ""},
		{"fapolicyd allows it too late", func(t *testing.T, h *Host) {
			h.runs(t, "fapolicyd")
			h.put(t, "/etc/fapolicyd/rules.d/90-deny-execute.rules", "deny_audit perm=execute all : all\n")
			h.put(t, "/etc/fapolicyd/rules.d/95-k0s.rules", "allow perm=any all : dir=/\n")
		}, "fapolicyd failed /usr/local/bin/k0s", "", ""},
		{"fapolicyd without rules", func(t *testing.T, h *Host) { h.runs(t, "fapolicyd") }, "fapolicyd unknown /etc/fapolicyd", "", ""},

		{"AppArmor without its parser", func(t *testing.T, h *Host) { h.put(t, "/sys/module/apparmor/parameters/enabled", "Y\n") },
			"apparmor warning apparmor_parser", "", "apt-get install apparmor"},
		{"AppArmor", func(t *testing.T, h *Host) {
			h.put(t, "/sys/module/apparmor/parameters/enabled", "Y\n")
			h.put(t, "/usr/sbin/apparmor_parser", "")
		}, "", "", ""},
		{"FIPS mode", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/crypto/fips_enabled", "1\n") }, "fips warning /proc/sys/crypto/fips_enabled", "", ""},
		{"no FIPS mode", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/crypto/fips_enabled", "0\n") }, "", "", ""},
		{"inotify as on Debian", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/fs/inotify/max_user_instances", "128\n") },
			"inotify warning fs.inotify.max_user_instances", "is 128, but should be at least 1024", "echo fs.inotify.max_user_instances=8192 >>/etc/sysctl.d/90-k0s.conf"},
		{"few watches", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/fs/inotify/max_user_watches", "8192\n") },
			"inotify warning fs.inotify.max_user_watches", "is 8192", "max_user_watches=524288"},
		{"few files", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/fs/file-max", "65536\n") }, "files warning fs.file-max", "is 65536", "fs.file-max=1048576"},
		{"an unreadable limit", func(t *testing.T, h *Host) { h.put(t, "/proc/sys/fs/nr_open", "many\n") }, "files unknown /proc/sys/fs/nr_open", "cannot be checked", ""},
		{"no limit", func(t *testing.T, h *Host) { os.Remove(h.Proc + "/sys/fs/nr_open") }, "files unknown /proc/sys/fs/nr_open", "cannot be checked: no such file", ""},
		{"swap", func(t *testing.T, h *Host) {
			h.put(t, "/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swap.img                               file\t\t2097148\t\t0\t\t-2\n")
		}, "swap warning /swap.img", "this host swaps to /swap.img", "swapoff -a"},
		{"a clock behind the push", func(_ *testing.T, h *Host) { h.Released = time.Now().Add(time.Hour) }, "time failed clock", "before the images were pushed", "timedatectl set-time"},
		{"a clock after the push", func(_ *testing.T, h *Host) { h.Released = time.Now().Add(-time.Hour) }, "", "", ""},

		{"no br_netfilter, as on RHEL 10", func(t *testing.T, h *Host) { h.without(t, "br_netfilter") },
			"modules warning br_netfilter", "the kernel " + kernel + " has no module br_netfilter", "dnf install kernel-modules-extra-" + kernel},
		{"no ip_set", func(t *testing.T, h *Host) { h.without(t, "ip_set") }, "modules failed ip_set", "kube-router does not start", ""},
		{"no ip_set, and another network", func(t *testing.T, h *Host) {
			h.without(t, "ip_set")
			h.Provider = ""
		}, "", "", ""},
		{"no vxlan for calico", func(t *testing.T, h *Host) {
			h.without(t, "vxlan")
			h.Provider = "calico"
		}, "modules failed vxlan", "", ""},
		{"a module that is loaded", func(t *testing.T, h *Host) {
			h.without(t, "ip_set")
			h.put(t, "/sys/module/ip_set/parameters/max_sets", "256\n")
		}, "", "", ""},
		{"ip_tables alone", func(t *testing.T, h *Host) { h.without(t, "nf_tables") }, "", "", ""},
		{"a module is refused", func(t *testing.T, h *Host) {
			h.put(t, "/etc/modprobe.d/cis.conf", "# CIS 1.1.1.6\ninstall overlay /bin/false\ninstall cramfs /bin/true\nblacklist overlay\n")
		}, "modules failed overlay", "/etc/modprobe.d/cis.conf refuses to load the kernel module overlay", "sed -i '/^install *overlay /d' /etc/modprobe.d/cis.conf"},
		{"no list of modules", func(t *testing.T, h *Host) { os.RemoveAll(h.Root + "/lib/modules") }, "modules unknown /lib/modules/" + kernel + "/modules.dep", "", ""},
		{"an unknown kernel that refuses a module", func(t *testing.T, h *Host) {
			os.Remove(h.Proc + "/sys/kernel/osrelease")
			h.put(t, "/etc/modprobe.d/cis.conf", "install overlay /bin/false\n")
		}, "modules unknown /proc/sys/kernel/osrelease, modules failed overlay", "cannot be checked", ""},

		{"firewalld is not running", func(t *testing.T, h *Host) {
			h.firewall(t)
			os.RemoveAll(h.Proc + "/4711")
		}, "", "", ""},
		{"firewalld with every port and network", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.put(t, "/etc/firewalld/zones/public.xml", `<zone><service name="kube-control-plane"/><service name="kubelet"/><port port="4000-5000" protocol="udp"/></zone>`)
			h.put(t, "/etc/firewalld/zones/trusted.xml", `<zone target="ACCEPT"><source address="10.244.0.0/16"/><source address="10.0.0.0/8"/></zone>`)
		}, "", "", ""},
		{"firewalld uses iptables", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.put(t, "/etc/firewalld/firewalld.conf", strings.Replace(data(t, "debian12/firewalld/firewalld.conf"), "FirewallBackend=nftables", "FirewallBackend=iptables", 1))
			h.Ports, h.Networks = nil, nil
		}, "firewalld warning /etc/firewalld/firewalld.conf", "uses iptables", "FirewallBackend=nftables"},
		{"firewalld as installed", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.Networks = nil
		}, "firewalld warning ports", "firewalld blocks 6443/tcp, 2380/tcp, 10250/tcp, 4789/udp", "firewall-cmd --permanent --add-port=6443/tcp --add-port=2380/tcp"},
		{"firewalld without the networks", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.Ports = []Port{{22, "tcp"}} // which Debian opens
		}, "firewalld warning networks", "10.244.0.0/16 and 10.96.0.0/12", "--zone=trusted --add-source=10.244.0.0/16 --add-source=10.96.0.0/12"},
		{"firewalld drops", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.put(t, "/etc/firewalld/firewalld.conf", "DefaultZone=drop\n")
			h.Networks = nil
			h.Ports = []Port{{22, "tcp"}}
		}, "firewalld warning ports", "22/tcp", ""},
		{"firewalld with a broken zone", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.put(t, "/etc/firewalld/zones/public.xml", "<zone>")
		}, "firewalld unknown /etc/firewalld", "cannot be checked", ""},
		{"firewalld with a broken service", func(t *testing.T, h *Host) {
			h.firewall(t)
			h.put(t, "/etc/firewalld/services/ssh.xml", `<service><port protocol="tcp" port="22"/>`)
			h.Networks = nil
			h.Ports = []Port{{22, "tcp"}}
		}, "firewalld warning ports", "22/tcp", ""},
		{"firewalld without configuration", func(t *testing.T, h *Host) {
			h.firewall(t)
			os.Remove(h.Root + "/etc/firewalld/firewalld.conf")
		}, "firewalld unknown /etc/firewalld/firewalld.conf", "cannot be checked: file does not exist", ""},

		{"capitals", func(_ *testing.T, h *Host) { h.Name = "Node-1.Site" }, "name warning Node-1.Site", "", "hostnamectl set-hostname node-1.site"},
		{"no localhost", func(t *testing.T, h *Host) {
			h.put(t, "/etc/hosts", "# 127.0.0.1 localhost\n127.0.1.1 node-1\n::1 localhost\n")
		},
			"hosts failed /etc/hosts", "does not list localhost", `echo "127.0.0.1 localhost" >>/etc/hosts`},
		{"no /etc/hosts", func(t *testing.T, h *Host) { os.Remove(h.Root + "/etc/hosts") }, "hosts failed /etc/hosts", "", ""},
		{"no localhost but in systemd-resolved", func(t *testing.T, h *Host) {
			h.put(t, "/etc/hosts", "127.0.1.1 node-1\n")
			h.put(t, "/etc/resolv.conf", "nameserver 127.0.0.53\n")
		}, "hosts warning /etc/hosts", "only systemd-resolved", ""},
		{"IPv6 is disabled", func(t *testing.T, h *Host) {
			h.IPv6 = true
			h.put(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n")
		}, "ipv6 warning net.ipv6.conf.all.disable_ipv6", "", "sysctl -w"},
		{"no address of IPv6", func(t *testing.T, h *Host) {
			h.IPv6, h.Addresses = true, []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fe80::1")}
			h.put(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n")
		}, "ipv6 warning address", "", ""},
		{"dual stack", func(t *testing.T, h *Host) {
			h.IPv6, h.Addresses = true, []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}
			h.put(t, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n")
		}, "", "", ""},

		{"a proxy in the shell", func(t *testing.T, h *Host) {
			h.put(t, "/proc/self/environ", "https_proxy=http://proxy.site:3128\x00NO_PROXY=localhost,10.0.0.0/8\x00")
		}, "proxy warning shell", "NO_PROXY does not list registry.site", "export NO_PROXY=$NO_PROXY,registry.site"},
		{"a proxy that is not used", func(t *testing.T, h *Host) {
			h.put(t, "/proc/self/environ", "HTTPS_PROXY=http://proxy.site:3128\x00no_proxy=.site,10.0.0.0/8\x00")
		}, "", "", ""},
		{"a proxy in systemd", func(t *testing.T, h *Host) {
			h.put(t, "/etc/systemd/system.conf.d/proxy.conf", "[Manager]\nDefaultEnvironment=\"HTTPS_PROXY=http://proxy.site:3128\" \\\n  'NO_PROXY=localhost,.site,10.0.0.5,node-1,10.244.0.0/16'\n")
		}, "proxy warning systemd", "NO_PROXY does not list 10.96.0.0/12", "NO_PROXY=localhost,.site,10.0.0.5,node-1,10.244.0.0/16,10.96.0.0/12,.svc,.cluster.local"},
		{"a proxy of the service that excludes the site", func(t *testing.T, h *Host) {
			h.put(t, "/etc/systemd/system/k0scontroller.service.d/proxy.conf", "[Service]\nEnvironment=HTTPS_PROXY=http://proxy.site:3128\nEnvironment=NO_PROXY=.site,node-1,10.0.0.0/8\n")
		}, "", "", ""},
		{"an environment that cannot be read", func(t *testing.T, h *Host) { os.Remove(h.Proc + "/self/environ") }, "proxy unknown /proc/self/environ", "", ""},
		{"a file that is a directory", func(t *testing.T, h *Host) {
			os.Remove(h.Root + "/etc/hosts")
			h.put(t, "/etc/hosts/x", "")
			h.put(t, "/etc/resolv.conf", "nameserver 127.0.0.53\n")
		}, "hosts unknown /etc/hosts", "cannot be checked: not a regular file", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			tt.before(t, &h)
			found := h.find(t)
			var got []string
			for _, f := range found {
				got = append(got, f.Check+" "+f.Status+" "+f.Subject)
			}
			if have := strings.Join(got, ", "); have != tt.want {
				t.Fatalf("found %q, want %q\n%+v", have, tt.want, found)
			}
			if tt.want != "" && (!strings.Contains(found[0].Detail, tt.detail) || !strings.Contains(found[0].Remedy, tt.remedy)) {
				t.Errorf("found %+v, want %q with the remedy %q", found[0], tt.detail, tt.remedy)
			}
		})
	}
}

// without removes a module from the lists of modules.
func (h Host) without(t *testing.T, name string) {
	t.Helper()
	for _, file := range []string{"modules.dep", "modules.builtin"} {
		var kept strings.Builder
		for line := range strings.Lines(data(t, "debian12/modules/"+file)) {
			if !strings.Contains(line, "/"+name+".ko") || strings.Contains(line, ": ") && !strings.Contains(strings.SplitN(line, ":", 2)[0], "/"+name+".ko") {
				kept.WriteString(line)
			}
		}
		h.put(t, "/lib/modules/"+kernel+"/"+file, kept.String())
	}
}

// TestMounts has mount options of real hosts, and those that CIS requires.
func TestMounts(t *testing.T) {
	root := "35 1 253:2 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw,seclabel\n"
	for _, tt := range []struct{ name, text, want string }{
		{"Fedora 20", data(t, "fedora20/mountinfo"), ""},
		{"noexec on /var", root + "40 35 253:3 / /var rw,nosuid,nodev,noexec,relatime shared:2 - xfs /dev/mapper/var rw\n",
			"failed /var/lib/k0s: /var/lib/k0s is mounted with noexec on /var: k0s cannot start the programs that it unpacks there"},
		{"nodev on /var", root + "40 35 253:3 / /var rw,nosuid,nodev,relatime shared:2 - xfs /dev/mapper/var rw\n",
			"warning /var/lib/k0s: /var/lib/k0s is mounted with nodev on /var: volumes that are block devices do not work"},
		{"noexec on /var, another disk for k0s", root + "40 35 253:3 / /var rw,noexec - xfs /dev/a rw\n41 40 253:4 / /var/lib/k0s rw - xfs /dev/b rw\n", ""},
		{"mounted twice", root + "41 40 253:4 / /var/lib/k0s rw - xfs /dev/b rw\n42 41 253:5 / /var/lib/k0s rw,noexec - xfs /dev/c rw\n",
			"failed /var/lib/k0s: /var/lib/k0s is mounted with noexec on /var/lib/k0s: k0s cannot start the programs that it unpacks there"},
		{"a name that only begins the same", root + "41 40 253:4 / /var/lib/k0 rw,noexec - xfs /dev/b rw\n", ""},
		{"noexec on /opt", root + "41 40 253:4 / /opt rw,noexec - xfs /dev/b rw\n",
			"failed /opt/cni/bin: /opt/cni/bin is mounted with noexec on /opt: containerd cannot start the network plugins there, so pods have no network"},
		{"read-only", "35 1 253:2 / / rw,relatime shared:1 - ext4 /dev/x ro\n40 35 253:3 / /var rw - xfs /dev/y rw\n41 35 253:3 / /opt rw - xfs /dev/y rw\n",
			"failed /etc/k0s: /etc/k0s is mounted read-only on /: k0s.yaml cannot be written"},
		{"not mountinfo", "/dev/vda / ext4 rw 0 0\n", "unknown PROC/self/mountinfo: cannot be checked: not the format of mountinfo"},
		{"empty", "", "unknown PROC/self/mountinfo: cannot be checked: not the format of mountinfo"},
	} {
		f := &findings{Host: Host{Proc: t.TempDir(), K0s: "/usr/local/bin/k0s", Data: "/var/lib/k0s"}}
		clitest.Write(t, f.Proc+"/self/mountinfo", tt.text)
		f.mounts()
		var got []string
		for _, found := range f.list {
			got = append(got, found.Status+" "+strings.Replace(found.Subject, f.Proc, "PROC", 1)+": "+found.Detail)
			if found.Status != record.StatusUnknown && !strings.HasPrefix(found.Remedy, "mount -o remount,") {
				t.Errorf("%s: remedy %q", tt.name, found.Remedy)
			}
		}
		if have := strings.Join(got, "; "); have != tt.want {
			t.Errorf("%s: found %q, want %q", tt.name, have, tt.want)
		}
	}
}

// TestLatency writes to a real disk and leaves no file behind.
func TestLatency(t *testing.T) {
	h := testHost(t)
	h.Measure = 20 * time.Millisecond
	for _, f := range h.find(t) {
		if f.Check != "latency" || f.Status == record.StatusFailed {
			t.Errorf("found %+v", f) // the disk of this machine may be slow
		}
	}
	took, err := measure(t.Context(), h.Root, h.Measure)
	if err != nil || len(took) == 0 || slices.Min(took) <= 0 {
		t.Errorf("measured %v, %v", took, err)
	}
	if files, err := os.ReadDir(h.Root + "/var/lib"); err == nil && len(files) > 0 {
		t.Errorf("left %v", files)
	}
	h.Data = "/proc/self" // of the kernel, where there are no files
	h.Root = ""
	f := &findings{Host: h}
	f.latency(t.Context())
	if len(f.list) != 1 || f.list[0].Status != record.StatusUnknown {
		t.Errorf("found %+v, want it unknown", f.list)
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for n := range 200 {
		took = append(took, time.Duration(200-n)*time.Millisecond)
	}
	for _, tt := range []struct {
		n    int
		want time.Duration
	}{{1, 200 * time.Millisecond}, {10, 200 * time.Millisecond}, {200, 198 * time.Millisecond}} {
		if got := percentile(took[:tt.n]); got != tt.want {
			t.Errorf("of %s = %v, want %v", strconv.Itoa(tt.n), got, tt.want)
		}
	}
}
