package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

// hostPort is the value of --files-http.
type hostPort struct {
	host string // "" without the flag
	port int
}

// parseListen parses [HOST]:PORT.
func parseListen(s string) (hostPort, error) {
	host, port, err := net.SplitHostPort(s)
	n, e := strconv.ParseUint(port, 10, 16)
	if err != nil || e != nil || strconv.FormatUint(n, 10) != port {
		return hostPort{}, cli.Misuse("must be [HOST]:PORT")
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return hostPort{host, int(n)}, nil
}

// plainFiles returns the handler of the listener of --files-http, for machines that
// know neither the registry's authority nor a password. It has no other content and
// changes nothing.
func plainFiles(f *files, disk *registry.Disk, counts *metrics, log *slog.Logger) http.Handler {
	return registry.New(disk, registry.Options{Stall: stallTime, Observe: counts.observe, Log: log}).Beside(f.serve)
}

// plainAddress is the address of the listener of --files-http, "" without the flag.
type plainAddress string

// url returns the address under which this host reaches the listener, or "".
func (a plainAddress) url() string {
	if a == "" {
		return ""
	}
	return "http://" + reach(string(a))
}

// alternate returns the address at which the client of a request finds a path on
// the listener, or "": if it listens on all addresses, the one that the client has
// used, and none on loopback if the client is elsewhere.
func (a plainAddress) alternate(r *http.Request, path string) string {
	at, err := netip.ParseAddrPort(string(a))
	if err != nil {
		return ""
	}
	used := withoutPort(r.Host)
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
