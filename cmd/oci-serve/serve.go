package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

const (
	// drainTime is how long running transfers may take after a signal.
	drainTime = 30 * time.Second
	drainTick = 20 * time.Millisecond
	// A client must send the headers of a request within headerTime, and the next
	// request within idleTime.
	headerTime = 20 * time.Second
	idleTime   = 2 * time.Minute
	// stallTime is how long 64 KiB of a body may take. A whole body has no limit: a
	// layer of 5 GB takes hours over a slow line.
	stallTime = 2 * time.Minute
	// maxHeader bounds a request's headers in bytes, and thereby how many tags
	// one push can name.
	maxHeader = 64 << 10
)

// serve accepts connections until ctx ends, then lets transfers finish.
func serve(ctx context.Context, cfg config, disk *registry.Disk, out *record.Writer, log *slog.Logger, say func(format string, args ...any)) error {
	counts := newMetrics()
	reports := newReports(log)
	who := &guard{write: cfg.write, read: cfg.read, reports: reports, failed: counts.failures.Inc}
	var err error
	if cfg.htpasswd != "" {
		if who.users, err = newUsers(cfg.htpasswd, log); err != nil {
			return unreadable("--htpasswd", err)
		}
	}
	certs, ca, err := openTLS(ctx, cfg, log)
	if err != nil {
		return err
	}
	who.names = namesOfServer(cfg.host, certs)
	warnClear(cfg, log)
	var plain plainAddress
	var plainSocket net.Listener
	if at := cfg.filesHTTP; at.host != "" {
		if plainSocket, err = listen(ctx, at.host, at.port); err != nil {
			return err
		}
		defer plainSocket.Close() // also if the registry does not start
		plain = plainAddress(plainSocket.Addr().String())
	}
	sockets, err := listeners(ctx, cfg)
	if err != nil {
		return err
	}
	f := newFiles(cfg.files, cfg.k0sDir, disk)
	addr := sockets[0].Addr().String()
	where := record.Registry{Address: addr, URL: urlOf(addr, certs), Storage: cfg.storage, CA: ca, Files: plain.url(), PID: os.Getpid()}
	go reports.run(ctx)
	defer reports.flush()
	all := newServers(certs != nil)
	srv := all.server(newPages(f, plain, disk, who, counts, certs, log), &serverLog{reports, ca != ""})
	for _, ln := range sockets {
		if certs != nil {
			ln = tls.NewListener(ln, tlsConfig(certs))
		}
		all.serve(srv, ln)
	}
	if plainSocket != nil {
		all.serve(all.server(plainFiles(f, disk, counts, log), &serverLog{reports, false}), plainSocket)
	}
	if err = out.WriteAs(where, startup(cfg, where)); err == nil {
		systemd := &manager{log}
		systemd.ready(where.URL)
		go systemd.watch(ctx, selfAsker(inside(srv)))
		select {
		case err := <-all.failed: // only an error ends it
			return err
		case <-ctx.Done():
		}
		systemd.stopping()
	}
	return errors.Join(err, all.stop(log, say))
}

func urlOf(addr string, certs certificates) string {
	if certs != nil {
		return "https://" + reach(addr)
	}
	return "http://" + reach(addr)
}

// namesOfServer returns a function that reports whether a name is the server's own: in
// its certificate, or in --listen.
func namesOfServer(host string, certs certificates) func(name string) bool {
	return func(name string) bool {
		if certs == nil {
			return name == host
		}
		return certs.get().Leaf.VerifyHostname(name) == nil
	}
}

// listeners returns the sockets to serve on: those that systemd has opened, or else
// the one of --listen. If only this host may write, one on loopback is added.
func listeners(ctx context.Context, cfg config) ([]net.Listener, error) {
	sockets, err := inherited()
	if err != nil || len(sockets) > 0 {
		return sockets, err
	}
	ln, err := listen(ctx, cfg.host, cfg.port)
	if err != nil {
		return nil, err
	}
	sockets = []net.Listener{ln}
	a, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil || cfg.write != "loopback" && cfg.write != "owner" || a.Addr().IsLoopback() || a.Addr().IsUnspecified() {
		return sockets, nil
	}
	local, err := listen(ctx, "127.0.0.1", int(a.Port()))
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return append(sockets, local), nil
}

// openTLS returns the certificates that the flags select, nil for plain HTTP. ca is
// the file of the registry's own authority for clients, if it has one.
func openTLS(ctx context.Context, cfg config, log *slog.Logger) (certs certificates, ca string, err error) {
	switch {
	case cfg.tls == "auto":
		auto, err := newAutoTLS(ctx, cfg.storage, cfg.tlsNames, cfg.tlsConstrain, log)
		if err != nil {
			return nil, "", err
		}
		return auto, auto.caFile(), nil
	case cfg.tlsCert != "":
		files, err := newCertFiles(cfg.tlsCert, cfg.tlsKey, log)
		if err != nil {
			return nil, "", unreadable("--tls-cert and --tls-key", err)
		}
		if leaf := files.current.Leaf; len(namesOf(leaf)) > 0 && !leadsHere(ctx, leaf) {
			log.Warn(fmt.Sprintf("%s: the certificate is for %s, and none of these is known to be this host", cfg.tlsCert, namesOf(leaf)))
		}
		return files, "", nil
	}
	return nil, "", nil
}

// warnClear warns if passwords cross the network unencrypted.
func warnClear(cfg config, log *slog.Logger) {
	if cfg.htpasswd != "" && cfg.tls == "" && cfg.tlsCert == "" && !ref.Loopback(cfg.host) {
		log.Warn("passwords cross the network unencrypted; use --tls auto")
	}
}

// listen binds exactly the given address: for an IPv4 one, Go would also listen on
// IPv6.
func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		network = "tcp4"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, listenError(err, port)
	}
	return ln, nil
}

// reach returns the address under which this host reaches a listener: one that
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
