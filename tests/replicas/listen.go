package replicas

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// freePort returns a port that nobody has at an address.
func freePort(t testing.TB, address string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listens reports whether somebody listens at an IPv4 address in the process's network,
// which need not be ours. Connecting would add a failed handshake to the log.
func (p *process) listens(at string) bool {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return false
	}
	ip := a.Addr().As4()
	slices.Reverse(ip[:]) // as in /proc on a little-endian machine
	want := fmt.Sprintf(" %s:%04X 00000000:0000 0A ", strings.ToUpper(hex.EncodeToString(ip[:])), a.Port())
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.cmd.Process.Pid))
	return err == nil && strings.Contains(string(text), want)
}
