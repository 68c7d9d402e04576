package hostcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
)

// apart runs the test again in its own namespaces, in which it may mount and listen,
// and reports whether this is that run.
func apart(t *testing.T, flags uintptr) bool {
	t.Helper()
	const inside = "HOSTCHECK_APART"
	if os.Getenv(inside) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		t.Errorf("%v\n%s", err, out)
	} else if err != nil {
		machine.Skip(t, "no namespaces for this user: %v", err)
	} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		machine.Skip(t, "%s", out)
	}
	return false
}

// TestRealMounts mounts file systems with the options of a hardened host and reads
// the kernel's mountinfo.
func TestRealMounts(t *testing.T) {
	if !apart(t, syscall.CLONE_NEWNS) {
		return
	}
	h := testHost(t)
	h.Proc = "/proc"
	for _, dir := range []string{"/var/lib/k0s", "/opt/cni"} {
		clitest.Write(t, h.Root+dir+"/x", "")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		machine.Skip(t, "%v", err)
	}
	find := func() string {
		f := &findings{Host: h}
		f.mounts()
		var all []string
		for _, found := range f.list {
			all = append(all, found.Status+" "+found.Subject)
		}
		return strings.Join(all, ", ")
	}
	if got := find(); got != "" {
		t.Errorf("found %q before", got)
	}
	for dir, flags := range map[string]uintptr{"/var/lib/k0s": syscall.MS_NODEV, "/opt/cni": syscall.MS_NOEXEC | syscall.MS_RDONLY} {
		if err := syscall.Mount("none", h.Root+dir, "tmpfs", flags, ""); err != nil {
			t.Fatal(err)
		}
		defer syscall.Unmount(h.Root+dir, 0)
	}
	if got, want := find(), "warning /var/lib/k0s, failed /opt/cni/bin"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestWildcard queries a nameserver that resolves every name in one domain.
func TestWildcard(t *testing.T) {
	if !apart(t, syscall.CLONE_NEWNET) {
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		machine.Skip(t, "%v: %s", err, out)
	}
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(answer(buf[:n], "wild"), from)
		}
	}()
	h := testHost(t)
	for _, tt := range []struct{ resolv, want string }{
		{"nameserver 127.0.0.1\nsearch tame.site\n", ""},
		{"nameserver 127.0.0.1\nsearch tame.site wild.site\n", "warning wild.site: every name in the search domain wild.site resolves, for example to 192.0.2.7"},
		{"nameserver 127.0.0.1\n", ""},
	} {
		h.put(t, "/etc/resolv.conf", tt.resolv)
		f := &findings{Host: h}
		f.wildcard(context.WithoutCancel(t.Context()))
		got := ""
		for _, found := range f.list {
			got += found.Status + " " + found.Subject + ": " + found.Detail
		}
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%q: found %q, want %q", tt.resolv, got, tt.want)
		}
	}
}

// answer returns the response to a query (RFC 1035): an address if the name contains
// label, else NXDOMAIN.
func answer(query []byte, label string) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the last, empty label, the type and the class
	reply := append([]byte{}, query[:end]...)
	binary.BigEndian.PutUint16(reply[2:], 0x8180)
	binary.BigEndian.PutUint16(reply[10:], 0) // no additional records (EDNS)
	switch {
	case !strings.Contains(string(query), label):
		reply[3] |= 3 // NXDOMAIN
	case binary.BigEndian.Uint16(reply[end-4:]) == 1:
		binary.BigEndian.PutUint16(reply[6:], 1)
		address := netip.MustParseAddr("192.0.2.7").As4()
		reply = append(append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), address[:]...)
	}
	return reply
}
