package main

import (
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// servers are the servers of this process, on one or more listeners each. They share
// the places for connections.
type servers struct {
	open      *conns
	all       []*http.Server
	listeners []net.Listener
	failed    chan error // of a listener
}

func newServers(withTLS bool) *servers {
	limit := maxConns
	if withTLS {
		limit = maxTLSConns
	}
	return &servers{open: newConns(limit), failed: make(chan error)}
}

// server returns a new server.
func (s *servers) server(h http.Handler, errors *serverLog) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withPeer,
		ConnState:         s.open.state,
		ErrorLog:          stdlog.New(errors, "", 0),
	}
	s.all = append(s.all, srv)
	return srv
}

// serve starts to accept connections for a server.
func (s *servers) serve(srv *http.Server, ln net.Listener) {
	s.listeners = append(s.listeners, ln)
	go func() { s.failed <- srv.Serve(ln) }()
}

// stop accepts no more connections and waits until the open ones have finished their
// requests. Those that take too long are closed, which their clients notice; uploads
// can be resumed. [http.Server.Shutdown] would drop a request that arrives at that
// moment without an answer.
func (s *servers) stop(log *slog.Logger, say func(format string, args ...any)) (err error) {
	for _, ln := range s.listeners {
		err = errors.Join(err, ln.Close())
	}
	for range s.listeners {
		<-s.failed // every connection that was accepted is counted now
	}
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	start, announced := time.Now(), false
	for n := s.open.count(); n > 0; n = s.open.count() {
		took := time.Since(start)
		if !announced && took > 10*drainTick { // by then, idle connections are closed
			announced = true
			transfers := "1 transfer"
			if n > 1 {
				transfers = fmt.Sprintf("%d transfers", n)
			}
			say("waiting for %s (%.0f s at most); ^C again ends at once", transfers, drainTime.Seconds())
		}
		if took > drainTime {
			log.Error(fmt.Sprintf("transfers still running after %v were cut", drainTime))
			break
		}
		for _, srv := range s.all {
			// Closes idle connections now, and the others after their next answer.
			srv.SetKeepAlivesEnabled(false)
		}
		<-tick.C
	}
	for _, srv := range s.all {
		err = errors.Join(err, srv.Close())
	}
	if announced {
		say("stopped")
	}
	return err
}

// inside returns a function that connects to a server within this process, so that
// no client can block the watchdog's question.
func inside(srv *http.Server) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		ours, theirs := net.Pipe()
		go srv.Serve(&single{theirs})
		return ours, nil
	}
}

// single is a listener that accepts one connection.
type single struct{ conn net.Conn }

func (l *single) Accept() (net.Conn, error) {
	conn := l.conn
	if l.conn = nil; conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return &net.UnixAddr{Name: "inside", Net: "pipe"} }
