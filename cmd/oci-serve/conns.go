package main

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"

	"k0rdent-airgap/lib/registry"
)

const (
	// maxConns bounds the connections, for the memory that each takes.
	maxConns = 1024
	// connFiles is how many descriptors a connection may need: its socket, a
	// blob, and a directory on the way there. spareFiles remain for the rest.
	connFiles, spareFiles = 3, 16
)

// conns shares the connections among the addresses that they come from, so that
// one that opens as many as it can leaves the others theirs.
type conns struct {
	share registry.Share

	mu      sync.Mutex
	refused map[net.Conn]bool
	open    int
}

func newConns() *conns {
	limit := maxConns
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		limit = min(limit, max(4, (int(min(files.Cur, 1<<20))-spareFiles)/connFiles))
	}
	return &conns{share: registry.Share{Limit: limit}, refused: make(map[net.Conn]bool)}
}

// state is of http.Server.
func (c *conns) state(conn net.Conn, s http.ConnState) {
	holder, counts := holderOf(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open++
		if counts && !c.share.Acquire(holder) {
			c.refused[conn] = true
			conn.Close()
		}
	case http.StateClosed:
		c.open--
		if c.refused[conn] {
			delete(c.refused, conn)
		} else if counts {
			c.share.Release(holder)
		}
	}
}

// count returns how many connections are open.
func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// holderOf returns whose share a connection counts for. The server's own, which
// comes over no network, counts for nobody's.
func holderOf(conn net.Conn) (holder string, counts bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "", false
	}
	return registry.NetworkOf(tcp.AddrPort().Addr()), true
}

// inside is a listener that only this process can connect to. The watchdog's
// question comes through it: no client can take its place.
type inside struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newInside() *inside {
	return &inside{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *inside) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept is of net.Listener.
func (l *inside) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, http.ErrServerClosed)
	}
}

// Close is of net.Listener.
func (l *inside) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is of net.Listener.
func (l *inside) Addr() net.Addr { return &net.UnixAddr{Name: "inside", Net: "pipe"} }
