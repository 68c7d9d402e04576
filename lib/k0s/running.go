package k0s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

// RunDir is where a running k0s keeps its sockets and process ids.
const RunDir = "/run/k0s"

// Status is what a running k0s reports about itself (k0sproject/k0s,
// pkg/component/status/client.go).
type Status struct {
	Version    string
	Role       string // controller, worker, controller+worker or server
	Workloads  bool   // pods run on this node
	SingleNode bool
	K0sVars    struct{ AdminKubeConfigPath, KubeletAuthConfigPath string }
}

// ErrSilent means that k0s is running but does not answer, as while it starts.
var ErrSilent = errors.New("k0s is running but does not answer")

// Status returns the status of the running k0s, as the binary reports it, or nil if
// none is running, according to the socket in runDir.
func (b Binary) Status(ctx context.Context, runDir string, limit time.Duration) (*Status, error) {
	out, err := b.run(ctx, limit, nil, "status", "-o", "json")
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, ErrSilent
	case err != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) && !listens(ctx, runDir):
		return nil, nil
	case err != nil:
		return nil, err
	}
	s := new(Status)
	if err := json.Unmarshal([]byte(out), s); err != nil {
		return nil, fmt.Errorf("k0s status: %w", err)
	}
	return s, nil
}

// listens reports whether a k0s may have the status socket: not if it does not
// exist or nothing listens on it, as after k0s was killed.
func listens(ctx context.Context, runDir string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(runDir, statusSocket))
	if err == nil {
		conn.Close()
	}
	return !absent(err)
}

const statusSocket = "status.sock"

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Running returns the status of the k0s with this run directory, without a binary,
// or nil if none is running.
func Running(ctx context.Context, runDir string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	socket := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(runDir, statusSocket))
	}}
	s := new(Status)
	err := getJSON(ctx, socket, "http://k0s/status", s)
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("running k0s: %w", err)
	}
	return s, nil
}

// getJSON sends one request and decodes the response.
func getJSON(ctx context.Context, t *http.Transport, url string, into any) error {
	t.DisableKeepAlives = true
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxOutput)).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}
