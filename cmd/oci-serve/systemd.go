package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"k0rdent-airgap/lib/cli"
)

// This file is what the program says to systemd, and takes from it, where that
// has started it: see sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3).
// Elsewhere nothing here does anything.

// inherited returns the sockets that systemd has opened for the service; none if
// it is to open its own.
func inherited() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	for _, ln := range all {
		if _, ok := ln.(*net.TCPListener); !ok { // nil for what is no stream
			return nil, cli.Hint(errors.New("a socket of systemd's is no TCP socket"), "ListenStream= of oci-serve.socket wants an address with a port")
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

// ready says that connections are accepted.
func (m *manager) ready(url string) {
	m.tell(daemon.SdNotifyReady + "\nSTATUS=Serving on " + url)
}

// stopping says that no more are, and that running transfers end.
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

// selfAsker returns a function that asks the server, over a connection of its
// own, whether it is there. Whatever it answers will do, and the storage is not
// looked at: a restart fixes no disk.
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
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
		return err
	}
}

// maxAnswer is more than the answer of /v2/, in bytes.
const maxAnswer = 4 << 10
