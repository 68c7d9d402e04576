// Package kube is a client for the few requests to the Kubernetes API that are
// needed to bring up, join and remove a host: readiness, nodes, and k0s's lists of
// controllers. It uses plain HTTP and JSON with the credentials of a kubeconfig that
// k0s created, since a Kubernetes client would be ten times the size of everything
// else in this program.
//
// Responses are bounded in size and time.
package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxResponse bounds the size of a response, the largest of which is a list of
	// all pods of a node, each some 10 KB.
	maxResponse = 64 << 20
	// requestTimeout bounds each request.
	requestTimeout = 15 * time.Second
)

// Client sends requests to an API server.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// Open returns a client with the server and credentials of a kubeconfig file. It
// does not connect.
func Open(path string) (*Client, error) { return OpenAt(path, netip.AddrPort{}) }

// OpenAt is like Open, for another API server of the same cluster, if server is valid.
// The server's certificate need not have its address.
func OpenAt(path string, server netip.AddrPort) (*Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(text, filepath.Dir(path), server)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// statusError is an error that the API server reports.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// absent reports whether an error means that the object or its kind does not exist.
func absent(err error) bool { return code(err) == http.StatusNotFound }

func code(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.code
	}
	return 0
}

// retryable reports whether an error may be temporary: the API server restarts or
// is busy, or a disruption budget refuses for now.
func retryable(err error) bool {
	switch code(err) {
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	_, network := errors.AsType[*url.Error](err)
	return network
}

// do sends a request and decodes the response into into, unless that is nil.
func (c *Client) do(ctx context.Context, method, path, contentType string, body, into any) error {
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(bounded, method, c.server+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return failed(resp, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// failed returns the error of a response, with the API's message if it has one.
func failed(resp *http.Response, text []byte) error {
	var status struct{ Message string }
	if json.Unmarshal(text, &status) != nil || status.Message == "" {
		status.Message = resp.Request.Method + " " + resp.Request.URL.Path + ": " + resp.Status
		if checks := failedChecks(string(text)); checks != "" {
			status.Message = "failing checks: " + checks
		}
	}
	return &statusError{resp.StatusCode, status.Message}
}

// failedChecks returns the checks that a verbose readyz marks as failed, as in
// "[-]etcd failed: reason withheld".
func failedChecks(body string) string {
	var names []string
	for line := range strings.Lines(body) {
		if rest, failed := strings.CutPrefix(line, "[-]"); failed {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, strings.TrimSpace(name))
		}
	}
	return strings.Join(names, ", ")
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, "", nil, into)
}

// Sleep waits for d or until ctx is done, and reports whether d has passed.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
