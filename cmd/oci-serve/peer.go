package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	// The kernel is asked once a connection, when it first matters. An error
	// other than errNoOwner may pass.
	uid func() (uint32, error)
}

type peerKey struct{}

// withPeer is an http.Server's ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return ctx
	}
	p := peer{remote: addrPort(tcp.RemoteAddr()), local: addrPort(tcp.LocalAddr())}
	p.uid = remember(func() (uint32, error) { return p.find(tcp) })
	return context.WithValue(ctx, peerKey{}, p)
}

// remember asks until there is an answer, and returns that from then on.
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
// other state the uid that is reported may be root's for want of an owner.
const tcpEstablished = 1

// socketOwner returns the owner of the established socket whose own address is
// at and whose peer is to.
func socketOwner(at, to netip.AddrPort) (uint32, error) {
	uid, err := diagOwner(at, to)
	if noDiag(err) || err == unix.ENOENT && noDiag(diagPing(to, at)) {
		return procOwner("/proc/net/tcp", at, to)
	}
	if err == unix.ENOENT { // it has closed
		err = errNoOwner
	}
	return uid, err
}

// diagPing asks for this end of the connection, which there is for certain. The
// kernel answers ENOENT for no such socket and for no module tcp_diag alike.
func diagPing(at, to netip.AddrPort) error {
	_, err := diagOwner(at, to)
	if err == unix.ENOENT {
		err = unix.EPROTONOSUPPORT
	}
	return err
}

func noDiag(err error) bool {
	return err == unix.EPROTONOSUPPORT || err == unix.EAFNOSUPPORT || err == unix.EOPNOTSUPP || err == unix.EPERM || err == unix.EACCES
}

// Sizes and values of the kernel's linux/inet_diag.h and linux/sock_diag.h.
const (
	sockDiagByFamily = 20
	diagRequestSize  = 56
	diagAnswerSize   = 72
	anyCookie        = 1<<32 - 1
)

// diagOwner asks for one socket over netlink, which takes the same time however
// many sockets there are.
func diagOwner(at, to netip.AddrPort) (uint32, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return 0, err
	}
	if err := unix.Sendto(fd, diagRequest(at, to), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, err
	}
	return diagAnswer(answer[:n])
}

// diagRequest is a nlmsghdr and an inet_diag_req_v2.
func diagRequest(at, to netip.AddrPort) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+diagRequestSize)
	native, network := binary.NativeEndian, binary.BigEndian
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	req := b[unix.NLMSG_HDRLEN:]
	req[0], req[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if at.Addr().Is4() {
		req[0] = unix.AF_INET
	}
	native.PutUint32(req[4:], 1<<tcpEstablished)
	network.PutUint16(req[8:], at.Port())
	network.PutUint16(req[10:], to.Port())
	copy(req[12:28], at.Addr().AsSlice())
	copy(req[28:44], to.Addr().AsSlice())
	native.PutUint32(req[48:], anyCookie)
	native.PutUint32(req[52:], anyCookie)
	return b
}

// diagAnswer reads the owner from a nlmsghdr and an inet_diag_msg.
func diagAnswer(b []byte) (uint32, error) {
	native := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN+4 {
		return 0, io.ErrUnexpectedEOF
	}
	kind, msg := native.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:]
	if kind == unix.NLMSG_ERROR {
		return 0, unix.Errno(-int32(native.Uint32(msg)))
	}
	if kind != sockDiagByFamily || len(msg) < diagAnswerSize {
		return 0, io.ErrUnexpectedEOF
	}
	uid, inode := native.Uint32(msg[64:]), native.Uint32(msg[68:])
	// Where there is no such connection, the answer may be a socket that listens.
	if msg[1] != tcpEstablished || inode == 0 {
		return 0, errNoOwner
	}
	return uid, nil
}

// procOwner looks the socket up in the tables of /proc/net: base, and base6,
// which has an IPv6 socket's IPv4 connections as well.
func procOwner(base string, at, to netip.AddrPort) (uint32, error) {
	var wanted []string
	if at.Addr().Is4() {
		wanted = []string{base, procAddress(at, false) + " " + procAddress(to, false)}
	}
	wanted = append(wanted, base+"6", procAddress(at, true)+" "+procAddress(to, true))
	for ; len(wanted) > 0; wanted = wanted[2:] {
		uid, err := tableOwner(wanted[0], wanted[1])
		if err == nil || !errors.Is(err, errNoOwner) && !errors.Is(err, os.ErrNotExist) {
			return uid, err
		}
	}
	return 0, errNoOwner
}

func tableOwner(file, addresses string) (uint32, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl, local_address, rem_address, st, three with colons, uid, timeout, inode
		field := strings.Fields(lines.Text())
		if len(field) < 10 || field[1]+" "+field[2] != addresses || field[3] != fmt.Sprintf("%02X", tcpEstablished) || field[9] == "0" {
			continue
		}
		uid, err := strconv.ParseUint(field[7], 10, 32)
		return uint32(uid), err
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoOwner
}

// procAddress spells an address as /proc/net does: words of the host's byte
// order, in hexadecimal.
func procAddress(a netip.AddrPort, six bool) string {
	ip := a.Addr().AsSlice()
	if six {
		full := a.Addr().As16()
		ip = full[:]
	}
	swapped := make([]byte, len(ip))
	for i := 0; i < len(ip); i += 4 {
		binary.BigEndian.PutUint32(swapped[i:], binary.NativeEndian.Uint32(ip[i:]))
	}
	return fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(swapped)), a.Port())
}

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
