package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// socketOwner returns the owner of the established socket whose own address is
// at and whose peer is to.
func socketOwner(at, to netip.AddrPort) (uint32, error) {
	uid, err := diagOwner(at, to)
	if noDiag(err) {
		return procOwner(at, to)
	}
	if err != unix.ENOENT {
		return uid, err
	}
	// The kernel answers ENOENT for a missing socket and for a missing module tcp_diag
	// alike. This end of the connection certainly exists.
	if _, err := diagOwner(to, at); err == unix.ENOENT {
		return procOwner(at, to)
	}
	return 0, errNoOwner // it has closed
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

// diagOwner asks for one socket over netlink, which takes constant time.
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
	// If there is no such connection, the answer may be a listening socket.
	if msg[1] != tcpEstablished || inode == 0 {
		return 0, errNoOwner
	}
	return uid, nil
}

// procOwner looks the socket up in the tables of /proc/net: tcp, and tcp6, which has
// an IPv6 socket's IPv4 connections as well.
func procOwner(at, to netip.AddrPort) (uint32, error) {
	for _, table := range []struct {
		file string
		six  bool
	}{{"/proc/net/tcp", false}, {"/proc/net/tcp6", true}} {
		uid, err := tableOwner(table.file, procAddress(at, table.six)+" "+procAddress(to, table.six))
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
