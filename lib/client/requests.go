package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// This file sends single requests; callers know whether a request can be
// retried.

// do sends one request about a repository. The caller closes the answer's body
// with drain.
func (r *Registry) do(ctx context.Context, repository, method string, u *url.URL, body io.Reader, size int64, header map[string]string) (*http.Response, error) {
	c, err := r.client(ctx, repository)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	if v, ok := body.(view); ok {
		req.GetBody = v.again
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound) {
		r.served.Store(true)
	}
	if err == nil && (resp.StatusCode < http.StatusBadRequest || resp.StatusCode == http.StatusNotFound) {
		r.allowed.Store(kindOf(req), true)
	}
	return resp, plainError(err)
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
}

// getBlob opens a blob of the registry (end-2 of the distribution spec) at an
// offset.
func (r *Registry) getBlob(ctx context.Context, repository string, d v1.Hash, offset int64) (io.ReadCloser, error) {
	var header map[string]string
	if offset > 0 {
		header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", offset)}
	}
	resp, err := r.do(ctx, repository, http.MethodGet, r.url(repository, "blobs", d.String()), nil, 0, header)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		defer resp.Body.Close()
		return nil, checkStatus(resp, http.StatusOK)
	}
	// A store elsewhere may serve a blob that is itself a page.
	if isPage(resp) && resp.Header.Get("Docker-Content-Digest") == "" && resp.Request.URL.Host == r.Host() {
		defer resp.Body.Close()
		return nil, notRegistry(resp, "")
	}
	if resp.StatusCode == http.StatusOK { // the registry does not support ranges
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	return resp.Body, nil
}

// Page is what the registry's server returns for a path outside the registry
// API.
type Page struct {
	Status int
	Type   string    // its media type
	Date   time.Time // by the server's clock; zero if unknown
	Body   []byte

	Alternate string // address of the same page elsewhere, "" if none is named
}

// alternate returns the target of a Link header with the relation "alternate"
// (RFC 8288), or "".
func alternate(h http.Header) string {
	for _, value := range h.Values("Link") {
		for link := range strings.SplitSeq(value, ",") {
			target, params, found := strings.Cut(strings.TrimSpace(link), ">")
			target, begins := strings.CutPrefix(target, "<")
			if found && begins && strings.Contains(strings.ReplaceAll(params, " ", ""), `rel="alternate"`) {
				return target
			}
		}
	}
	return ""
}

// Page requests a path outside the registry API from the registry's server,
// without a login. No status is an error.
func (r *Registry) Page(ctx context.Context, path string) (p Page, err error) {
	if !r.connected.Load() {
		if err := r.Connect(ctx); err != nil {
			return p, err
		}
	}
	err = r.retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address(path).String(), nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: r.base}).Do(req)
		if err != nil {
			return plainError(err)
		}
		defer drain(resp)
		p = Page{Status: resp.StatusCode, Type: mediaType(resp), Alternate: alternate(resp.Header)}
		p.Date, _ = http.ParseTime(resp.Header.Get("Date"))
		p.Body, err = readCapped(resp.Body, maxErrorBody)
		return err
	})
	return p, err
}

// ErrLogin is wrapped by errors of Has about a file that requires a login.
var ErrLogin = errors.New("a login is required")

// Has reports whether a server, the registry's or another one with a certificate
// of the same authorities, serves a file without a login.
func (r *Registry) Has(ctx context.Context, address string) (found bool, err error) {
	err = r.retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: r.base}).Do(req)
		if err != nil {
			return plainError(err)
		}
		defer drain(resp)
		switch found = resp.StatusCode == http.StatusOK; {
		case found, resp.StatusCode == http.StatusNotFound:
			return nil
		case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
			return fmt.Errorf("%s: %w", address, ErrLogin)
		default:
			return fmt.Errorf("%s: HTTP status %d", address, resp.StatusCode)
		}
	})
	return found, err
}

// readCapped reads all of r, and fails if that is more than most bytes.
func readCapped(r io.Reader, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("registry answered more than %d bytes", most)
	}
	return raw, err
}
