package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"k0rdent-airgap/lib/cli"
)

// This file is the interface to systemd, see sd_listen_fds(3), sd_notify(3) and
// sd_watchdog_enabled(3). It does nothing if systemd did not start the program.

// inherited returns the sockets that systemd has opened for the service; none if
// it is to open its own.
func inherited() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	for _, ln := range all {
		if _, ok := ln.(*net.TCPListener); !ok { // nil if it is not a stream
			return nil, cli.Hint(errors.New("the socket from systemd is not a TCP socket"), "set ListenStream= of oci-serve.socket to an address with a port")
		}
	}
	return all, nil
}

// manager is the service manager that waits for word of the service.
type manager struct{ log *slog.Logger }

func (m *manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Error("cannot notify systemd", "error", err)
	}
}

// ready reports that connections are accepted.
func (m *manager) ready(url string) {
	m.tell(daemon.SdNotifyReady + "\nSTATUS=Serving on " + url)
}

// stopping reports that no more are accepted and that transfers are finishing.
func (m *manager) stopping() {
	m.tell(daemon.SdNotifyStopping + "\nSTATUS=Letting transfers finish")
}

// watch notifies a watchdog, if there is one, that the server is alive: twice
// in the time after which it would be ended, and only if ask succeeds. It
// returns when ctx ends.
func (m *manager) watch(ctx context.Context, ask func(context.Context) error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Error("watchdog", "error", err)
	}
	if limit == 0 || err != nil {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, limit/2)
		err := ask(asked)
		cancel()
		switch {
		case err == nil:
			m.tell(daemon.SdNotifyWatchdog)
		case ctx.Err() == nil:
			m.log.Error("the registry does not answer itself", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// selfAsker returns a function that checks over a connection of its own whether the
// server answers. Any answer counts, and the storage is not checked: a restart does
// not fix a disk.
func selfAsker(dial func() (net.Conn, error)) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
	}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/v2/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}
