package main

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"

	"k0rdent-airgap/lib/registry"
)

const (
	// maxConns bounds the connections by their memory: 18 kB each, and twice that
	// with TLS.
	maxConns, maxTLSConns = 2048, 1024
	// connFiles is how many descriptors a connection may need: its socket, a blob,
	// and a directory of its path. spareFiles remain for everything else.
	connFiles, spareFiles = 3, 16
)

// conns shares the connections among the client addresses, so that one that opens
// as many as it can leaves some for the others. When there is no room, the
// connection that has been idle longest is closed.
type conns struct {
	share registry.Share

	mu   sync.Mutex
	open map[net.Conn]*list.Element // in idle; nil for one that is busy or not counted
	out  map[net.Conn]bool          // closed by this side and no longer counted
	idle list.List                  // of net.Conn, the one that has been idle longest in front
}

func newConns(limit int) *conns {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		limit = min(limit, max(4, (int(min(files.Cur, 1<<20))-spareFiles)/connFiles))
	}
	return &conns{share: registry.Share{Limit: limit}, open: make(map[net.Conn]*list.Element), out: make(map[net.Conn]bool)}
}

// state is the ConnState of an http.Server.
func (c *conns) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.open[conn]; e != nil {
		c.idle.Remove(e)
	}
	c.open[conn] = nil
	holder, counts := holderOf(conn)
	switch {
	case s == http.StateClosed:
		delete(c.open, conn)
		if c.out[conn] {
			delete(c.out, conn)
		} else if counts {
			c.share.Release(holder, 1)
		}
	case !counts || c.out[conn]:
	case s == http.StateIdle:
		c.open[conn] = c.idle.PushBack(conn)
	case s == http.StateNew && !c.admit(holder):
		c.out[conn] = true
		cut(conn)
	}
}

// admit acquires a place for a connection. c.mu is held.
func (c *conns) admit(holder string) bool {
	for !c.share.Acquire(holder, 1) {
		e := c.idle.Front()
		if e == nil {
			return false
		}
		conn := c.idle.Remove(e).(net.Conn)
		c.open[conn], c.out[conn] = nil, true
		other, _ := holderOf(conn)
		c.share.Release(other, 1)
		cut(conn)
	}
	return true
}

// count returns how many connections are open.
func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// holderOf returns whose share a connection counts against. The server's own
// connection does not come over a network and is not counted.
func holderOf(conn net.Conn) (holder string, counts bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "", false
	}
	return registry.NetworkOf(tcp.AddrPort().Addr()), true
}

// cut closes a connection at once: the alert with which TLS closes one would wait up
// to five seconds for a client that does not read.
func cut(conn net.Conn) { belowTLS(conn).Close() }

// belowTLS returns the connection over which TLS runs, or conn itself without TLS.
func belowTLS(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}
