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

// request is a request about a repository.
type request struct {
	method string
	url    *url.URL
	header map[string]string
	body   io.ReadSeeker // nil if size is 0
	from   int64         // where the body begins
	size   int64         // of the body, from there
}

// do sends a request. The caller closes the answer's body with drain; the HTTP
// client no longer uses the request's body by then.
func (r *Registry) do(ctx context.Context, repository string, q request) (*http.Response, error) {
	c, err := r.client(ctx, repository)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url.String(), nil)
	if err != nil {
		return nil, err
	}
	held := &holder{body: q.body, from: q.from}
	defer held.release()
	if q.size > 0 { // a body of unknown length would be sent in chunks
		if req.Body, err = held.again(); err != nil {
			return nil, markf(errSource, err, "%v", err)
		}
		req.GetBody, req.ContentLength = held.again, q.size
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	if e := held.sourceError(); e != nil {
		if resp != nil {
			drain(resp)
		}
		return nil, markf(errSource, e, "%v", e)
	}
	if err != nil {
		return nil, plainError(err)
	}
	found, missing := resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNotFound
	if found || missing {
		r.served.Store(true)
	}
	if missing || resp.StatusCode < http.StatusBadRequest {
		r.allowed.Store(kindOf(req), true)
	}
	return resp, nil
}

// ask is do for an answer with one of the wanted codes, whose headers suffice.
func (r *Registry) ask(ctx context.Context, repository string, q request, want ...int) (*http.Response, error) {
	resp, err := r.do(ctx, repository, q)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	return resp, checkStatus(resp, want...)
}

// get requests an answer of at most most bytes, and reads it.
func (r *Registry) get(ctx context.Context, repository string, u *url.URL, header map[string]string, most int64) ([]byte, http.Header, error) {
	resp, err := r.do(ctx, repository, request{method: http.MethodGet, url: u, header: header})
	if err != nil {
		return nil, nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	raw, err := readCapped(resp.Body, most)
	return raw, resp.Header, err
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
}

// readCapped reads all of r, and fails if that is more than most bytes.
func readCapped(r io.Reader, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("registry answered more than %d bytes", most)
	}
	return raw, err
}

// getBlob opens a blob of the registry (end-2 of the distribution spec) at an
// offset.
func (r *Registry) getBlob(ctx context.Context, repository string, d v1.Hash, offset int64) (io.ReadCloser, error) {
	q := request{method: http.MethodGet, url: r.url(repository, "blobs", d.String())}
	if offset > 0 {
		q.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-", offset)}
	}
	resp, err := r.do(ctx, repository, q)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent:
		err = checkStatus(resp, http.StatusOK)
	// A store elsewhere may serve a blob that is itself a page.
	case isPage(resp) && resp.Header.Get("Docker-Content-Digest") == "" && resp.Request.URL.Host == r.Host():
		err = notRegistry(resp)
	case resp.StatusCode == http.StatusOK: // the registry does not support ranges
		_, err = io.CopyN(io.Discard, resp.Body, offset)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// fetch sends a request without a body to any address.
func fetch(ctx context.Context, c *http.Client, method, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	return resp, plainError(err)
}

// anonymous returns a client without a login.
func (r *Registry) anonymous() *http.Client { return &http.Client{Transport: r.base} }

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
		resp, err := fetch(ctx, r.anonymous(), http.MethodGet, r.address(path).String())
		if err != nil {
			return err
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
		resp, err := fetch(ctx, r.anonymous(), http.MethodHead, address)
		if err != nil {
			return err
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
