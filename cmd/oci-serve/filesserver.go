package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

// filesOnly serves files over plain HTTP to machines that know neither the
// registry's authority nor a password. It has no other content and changes
// nothing.
type filesOnly struct{ files, k0s http.Handler }

func newFilesOnly(f *files, disk *registry.Disk, counts *metrics, log *slog.Logger) *filesOnly {
	h := registry.New(disk, registry.Options{Stall: stallTime, Observe: counts.observe, Log: log})
	return &filesOnly{h.Beside(f.serve), h.Beside(f.k0s.k0s.serve)}
}

func (f *filesOnly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	name, k0s := k0sPath(r.URL.Path)
	if k0s && (name == "" && strings.HasPrefix(r.URL.Path, k0sPrefixes[0]) || spellings(name) != nil) {
		f.k0s.ServeHTTP(w, r)
		return
	}
	f.files.ServeHTTP(w, r)
}

// parseListen parses the value of --files-http, [HOST]:PORT.
func parseListen(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || strconv.FormatUint(n, 10) != port {
		return "", cli.Misuse("must be [HOST]:PORT")
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, port), nil
}

// listenFiles returns the listener of --files-http, or nil.
func listenFiles(ctx context.Context, at string) (net.Listener, error) {
	if at == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return listen(ctx, host, n)
}

// fileServer is the running server of --files-http.
type fileServer struct {
	addr string // that it listens on, "" if there is none
	stop func() // lets running transfers finish
}

// url returns the address under which this host reaches the server, or "".
func (s fileServer) url() string {
	if s.addr == "" {
		return ""
	}
	return "http://" + reach(s.addr)
}

// alternate returns the address at which the client of a request finds a path on
// the server, or "": if it listens on all addresses, the one that the client has
// used, and none on loopback if the client is elsewhere.
func (s fileServer) alternate(r *http.Request, path string) string {
	at, err := netip.ParseAddrPort(s.addr)
	if err != nil {
		return ""
	}
	used := (&url.URL{Host: r.Host}).Hostname()
	host := at.Addr().String()
	switch {
	case at.Addr().IsUnspecified():
		host = used
	case at.Addr().IsLoopback() && !ref.Loopback(used):
		host = ""
	}
	if host == "" {
		return ""
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(int(at.Port()))), Path: path}).String()
}

// startFiles starts the server of --files-http, if that is given. It stops with
// ctx as well.
func startFiles(ctx context.Context, cfg config, h http.Handler, errors *serverLog, log *slog.Logger, say func(format string, args ...any)) (fileServer, error) {
	ln, err := listenFiles(ctx, cfg.filesHTTP)
	if ln == nil || err != nil {
		return fileServer{stop: func() {}}, err
	}
	srv, open := newServer(h, nil, errors)
	served, drained := make(chan struct{}), make(chan struct{})
	go func() { // ends when ln is closed
		defer close(served)
		srv.Serve(ln)
	}()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(drained)
		<-ctx.Done()
		ln.Close()
		<-served // every connection that was accepted is counted now
		drain(srv, open, log, say)
	}()
	return fileServer{ln.Addr().String(), func() {
		cancel()
		<-drained
	}}, nil
}
