package main

import (
	"crypto/tls"
	"io"
	"net/http"
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
