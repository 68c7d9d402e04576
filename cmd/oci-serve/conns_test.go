package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// An idle connection that makes room is closed without the alert of TLS, which would
// hold up every other connection until the client reads.
func TestNoAlertForIdleConnections(t *testing.T) {
	auto := openAuto(t, t.TempDir())
	server, raw := connected(t, "127.0.0.1", "127.0.0.1")
	idle := tls.Server(server, tlsConfig(auto))
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	shaken := make(chan error, 1)
	go func() { shaken <- idle.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	c := newConns(1)
	for _, s := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
		c.state(idle, s)
	}
	next, _ := connected(t, "127.0.0.1", "127.0.0.1")
	c.state(next, http.StateNew)
	if got, err := io.ReadAll(raw); err != nil || len(got) > 0 {
		t.Errorf("the idle client got %q, %v, want the end", got, err)
	}
}

// withFewFiles starts a child with both listeners and few open files. plain is the
// one of --files-http.
func withFewFiles(t *testing.T) (c, plain *child, places int) {
	t.Helper()
	t.Setenv("TEST_CHILD_FILES", "64")
	c = startChild(t, t.TempDir(), "--files-http", "127.0.0.1:0")
	plain = &child{t: t, url: c.record.Files}
	plain.record.Address = strings.TrimPrefix(c.record.Files, "http://")
	return c, plain, (64 - spareFiles) / connFiles
}

// Clients that are slow with their requests take places, but not all, on both
// listeners together.
func TestListenersShareConnections(t *testing.T) {
	c, plain, places := withFewFiles(t)
	var slow []net.Conn
	for _, on := range []*child{plain, c} {
		for i := range places {
			conn := hold(t, on, fmt.Sprintf("127.0.1.%d", i+1), 1)[0]
			fmt.Fprint(conn, "GET /files/ HTTP/1.1\r\nHost: localhost\r\n")
			slow = append(slow, conn)
		}
		last := hold(t, on, "127.0.1.200", 1)[0] // accepted or refused after all of these
		fmt.Fprint(last, "GET /files/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, last)
	}
	served := 0
	for _, conn := range slow {
		fmt.Fprint(conn, "Connection: close\r\n\r\n")
		if answer, err := io.ReadAll(conn); err == nil && len(answer) > 0 {
			served++
		}
	}
	if served == 0 || served > places {
		t.Errorf("%d connections at a time, want at most %d", served, places)
	}
}

// An address that opens as many connections as it can on either listener leaves
// some for others on both.
func TestListenersAreFair(t *testing.T) {
	c, plain, places := withFewFiles(t)
	for _, on := range []*child{plain, c} {
		hold(t, on, "127.0.0.2", 2*places)
	}
	c.want(http.StatusOK, "GET", "/healthz", nil)
	plain.want(http.StatusOK, "GET", "/files/", nil)
}
