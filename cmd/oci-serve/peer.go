package main

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// This file finds out which user of this host is at the other end of a TCP
// connection. docs/decisions/0001-who-may-write.md has the reasons.

var (
	errElsewhere = errors.New("the client is on another host")
	errNoOwner   = errors.New("the kernel does not report who owns the other end of the connection")
)

// peer is the other end of a connection.
type peer struct {
	remote, local netip.AddrPort
	// uid returns the user at the other end, in this process's user namespace.
	// The kernel is asked once per connection, when needed. Errors other than
	// errNoOwner may be temporary.
	uid func() (uint32, error)
}

type peerKey struct{}

// withPeer is an http.Server's ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	tcp, ok := belowTLS(c).(*net.TCPConn)
	if !ok {
		return ctx
	}
	p := peer{remote: addrPort(tcp.RemoteAddr()), local: addrPort(tcp.LocalAddr())}
	p.uid = remember(func() (uint32, error) { return p.find(tcp) })
	return context.WithValue(ctx, peerKey{}, p)
}

// remember returns a function that calls ask until it succeeds, and then returns
// that answer.
func remember(ask func() (uint32, error)) func() (uint32, error) {
	var mu sync.Mutex
	var known bool
	var uid uint32
	return func() (_ uint32, err error) {
		mu.Lock()
		defer mu.Unlock()
		if !known {
			uid, err = ask()
			known = err == nil
		}
		return uid, err
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// peerOf returns the other end of a request's connection. The zero value is on
// no known host.
func peerOf(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return p
}

// here reports whether both ends are on this host: over loopback, or from the
// address to itself, which is the source that the kernel chooses for a
// connection to one of the host's own addresses.
func (p peer) here() bool {
	return p.remote.IsValid() && (p.remote.Addr().IsLoopback() || p.remote.Addr() == p.local.Addr())
}

// find asks the kernel for the socket at the other end.
func (p peer) find(tcp *net.TCPConn) (uint32, error) {
	if !p.here() {
		return 0, errElsewhere
	}
	first, err := socketOwner(p.remote, p.local)
	if err != nil {
		return 0, err
	}
	// A socket that its process closes belongs to root from then on, and its
	// addresses may be taken by another. The answer counts only if the other end
	// is still open after it was given, and so is this one.
	again, err := socketOwner(p.remote, p.local)
	if err != nil {
		return 0, err
	}
	if again != first || !established(tcp) {
		return 0, errNoOwner
	}
	if first == overflowUID() && inUserNamespace() {
		return 0, errNoOwner // any user that has no number in here
	}
	return first, nil
}

// established reports whether the client has not closed its end yet.
func established(tcp *net.TCPConn) bool {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		open = err == nil && info.State == tcpEstablished
	})
	return err == nil && open
}

// tcpEstablished is TCP_ESTABLISHED of the kernel's net/tcp_states.h. In any
// other state the reported uid may be root's because there is no owner.
const tcpEstablished = 1

// inUserNamespace reports whether some users of the host have no number here,
// as in a unit with PrivateUsers=yes.
func inUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	all := strings.Fields(string(text))
	return err != nil || len(all) != 3 || all[0] != "0" || all[1] != "0" || all[2] != strconv.Itoa(math.MaxUint32)
}

// overflowUID returns what the kernel reports for users that have no number here.
func overflowUID() uint32 {
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	uid, parseErr := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || parseErr != nil {
		return 65534
	}
	return uint32(uid)
}
