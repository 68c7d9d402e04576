package hostcheck

import (
	"strings"
	"testing"

	"k0rdent-airgap/tests/clitest"
)

// seed adds files of testdata, whole and cut in half.
func seed(f *testing.F, names ...string) {
	f.Helper()
	f.Add("")
	for _, name := range names {
		text := data(f, name)
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
}

// FuzzMounts checks that mount points are absolute, and that a path is on a mount
// that contains it or on none.
func FuzzMounts(f *testing.F) {
	seed(f, "fedora20/mountinfo")
	f.Add("1 2 0:1 / /a\\040b\\134 rw - t s rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseMounts(text)
		if err != nil && all != nil {
			t.Errorf("%d mounts and %v", len(all), err)
		}
		for _, m := range all {
			if !strings.HasPrefix(m.point, "/") {
				t.Errorf("mount point %q", m.point)
			}
		}
		if m := mountOf(all, "/var/lib/k0s"); m.point != "" && !within(m.point, "/var/lib/k0s") {
			t.Errorf("/var/lib/k0s is on %q", m.point)
		}
	})
}

// FuzzRules checks that the first rule that applies decides.
func FuzzRules(f *testing.F) {
	seed(f, "debian12/fapolicyd/compiled.rules")
	f.Fuzz(func(t *testing.T, text string) {
		const path = "/var/lib/k0s/bin/runc"
		_ = executable(text, path, false)
		if !executable("allow perm=any all : dir=/var/lib/k0s/\n"+text, path, false) {
			t.Error("the first rule does not decide")
		}
		if executable("deny perm=execute all : all\n"+text, path, true) {
			t.Error("the first rule does not decide")
		}
		for name, size := range trustedFiles(text) {
			if strings.ContainsAny(name, "\n\t") {
				t.Errorf("trusts %q of %d bytes", name, size)
			}
		}
	})
}

// FuzzFirewall checks that no file of firewalld opens a port that is out of range.
func FuzzFirewall(f *testing.F) {
	seed(f, "debian12/firewalld/zones/public.xml", "debian12/firewalld/services/kube-control-plane.xml", "debian12/firewalld/services/kubelet.xml")
	f.Add(`<zone><service name="a"/></zone>`)
	f.Add(`<service><include service="a"/><port port="1-2" protocol="tcp"/></service>`)
	f.Fuzz(func(t *testing.T, text string) {
		h := &findings{Host: Host{Root: t.TempDir()}}
		for _, path := range []string{"zones/a.xml", "services/a.xml"} {
			clitest.Write(t, h.Root+"/etc/firewalld/"+path, text)
		}
		zones, err := h.zones("a")
		if err != nil {
			return
		}
		for _, z := range zones {
			if z.Target != "ACCEPT" && z.accepts(Port{1 << 40, "tcp"}) && !strings.Contains(text, "-") {
				t.Errorf("opens a port that does not exist")
			}
		}
	})
}

// FuzzTexts checks that parsers of lines return only what is in the text.
func FuzzTexts(f *testing.F) {
	seed(f, "rhel9/selinux-config", "debian12/firewalld/firewalld.conf", "debian12/modules/modules.dep")
	for _, text := range []string{
		"127.0.0.1 localhost\n", "search a.b c\nnameserver 10.0.0.1\n", "install x /bin/false\n", "/var/lib/k0s/bin/containerd.* a:b:c:s0\n",
		"A=b\x00C=d\x00", "Environment=\"A=b c\" 'D=e' F=g\\\n H=i\n", "system_u:object_r:bin_t:s0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name := range assignments(text) {
			if !strings.Contains(text, name) {
				t.Errorf("a name %q that is not in the text", name)
			}
		}
		for name := range environ(text) {
			if strings.Contains(name, "\x00") {
				t.Errorf("a name %q", name)
			}
		}
		have := make(map[string]bool)
		addModules(have, text)
		for name := range installed(text) {
			if strings.ContainsAny(name, " \n-") {
				t.Errorf("a module %q", name)
			}
		}
		env := make(map[string]string)
		unitEnviron(env, text, "Environment")
		_ = proxied(proxyOf(env), []string{"registry.site:5000", "::1"}, nil)
		_, _, _, _ = hasLocalhost(text), Nameservers(text), searched(text), hasContext(text, "/var/lib/k0s", "t")
		if of := typeOf(text); !strings.Contains(text, of) {
			t.Errorf("a type %q", of)
		}
	})
}
