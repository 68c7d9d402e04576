package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

const (
	// drainTime is how long running transfers may go on after a signal.
	drainTime = 30 * time.Second
	// A client that has connected must say what it wants within headerTime, and
	// say something more within idleTime. Bodies have no limit: a slow line is
	// no fault, and keep-alive probes notice a client that is gone.
	headerTime = 20 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeader bounds a request's headers in bytes, and thereby how many tags
	// one push can name.
	maxHeader = 64 << 10
)

// serve accepts connections until ctx ends, then lets transfers finish.
func serve(ctx context.Context, cfg config, h http.Handler, out *record.Writer, log *slog.Logger) error {
	ln, err := listen(ctx, cfg.host, cfg.port)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	addr := ln.Addr().String()
	err = out.Write(record.Registry{Address: addr, URL: "http://" + reach(addr), Storage: cfg.storage, PID: os.Getpid()})
	if err == nil {
		select {
		case err := <-served: // only a fault ends it by itself
			return err
		case <-ctx.Done():
		}
	}
	return errors.Join(err, drain(srv, log))
}

// drain stops accepting and waits for running transfers. Those that take too
// long are cut, which their clients notice; uploads can be resumed.
func drain(srv *http.Server, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := srv.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	log.Error(fmt.Sprintf("transfers still running after %v were cut", drainTime))
	return srv.Close()
}

// listen binds what was asked for and not more: given an IPv4 address, Go alone
// would listen on the IPv6 ones as well.
func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		network = "tcp4"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, cli.Hint(cli.TryAgain(err), "--port names another port, 0 takes a free one")
	case errors.Is(err, syscall.EACCES):
		return nil, cli.Hint(err, "ports below 1024 are for root; --port names another")
	}
	return ln, err
}

// reach gives the address under which this host reaches a listener: one that
// listens on all addresses is reached on loopback.
func reach(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || !a.Addr().IsUnspecified() {
		return addr
	}
	loopback := netip.IPv6Loopback()
	if a.Addr().Is4() {
		loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(loopback, a.Port()).String()
}

// faultHandler writes what is logged at level error, a line each.
type faultHandler struct{ w io.Writer }

func (h *faultHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (h *faultHandler) Handle(_ context.Context, r slog.Record) error {
	line := "oci-serve: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "method", "path":
			line += " " + a.Value.String()
		case "error":
			line += ": " + a.Value.String()
		}
		return true
	})
	_, err := io.WriteString(h.w, strings.ReplaceAll(line, "\n", "; ")+"\n")
	return err
}

func (h *faultHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *faultHandler) WithGroup(string) slog.Handler      { return h }
