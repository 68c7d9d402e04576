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
)

// RunDir is where a running k0s has its sockets and its processes' ids.
const RunDir = "/run/k0s"

// Status is what a running k0s tells of itself.
type Status struct {
	Version   string
	Pid       int
	Role      string // controller, worker, controller+worker or server
	Workloads bool   // pods run on this node
}

// Running asks the k0s whose run directory this is. The result is nil if none
// runs there.
func Running(ctx context.Context, runDir string) (*Status, error) {
	socket := filepath.Join(runDir, "status.sock")
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://k0s/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED): // the latter: k0s was killed
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("running k0s: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("running k0s: %s answers %s", socket, resp.Status)
	}
	s := new(Status)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxOutput)).Decode(s); err != nil {
		return nil, fmt.Errorf("running k0s: %s: %w", socket, err)
	}
	return s, nil
}
