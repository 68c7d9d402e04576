package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// This file has what stands around the library's transport, which knows how to
// log in: guard below it, renewing above it.

// guard refuses plain HTTP to another machine unless it was asked for: the
// library above falls back to it for private addresses, and would then send
// credentials in the clear. It also keeps refused tokens from that library
// where it would send a body again that has been read; see renewing.
type guard struct {
	inner http.RoundTripper
	plain bool
}

var errPlainHTTP = errors.New("plain HTTP to another machine was not asked for")

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !g.plain && !Loopback(req.URL.Host) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errPlainHTTP
	}
	resp, err := g.inner.RoundTrip(req)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		resp.Body = struct { // an error page may have no end
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
	}
	if err == nil && resp.StatusCode == http.StatusUnauthorized && req.ContentLength > 0 && bearerToken(req) {
		drain(resp)
		return nil, errTokenRefused
	}
	return resp, err
}

// errTokenRefused stands for the answer 401 to a request with a body. The
// token has been renewed when a caller sees it, so the same may be sent again.
var errTokenRefused = errors.New("registry answered 401 Unauthorized to a new token")

// bearerToken tells whether a request carries one.
func bearerToken(req *http.Request) bool {
	return strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ")
}

// renewing renews the token that a request with a body was refused with. The
// library inside does so too, but sends the rest of the body with it: bytes
// that have been read are gone for it, whereas the caller can go back.
type renewing struct {
	inner http.RoundTripper
	root  *url.URL
}

func (t *renewing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	if !errors.Is(err, errTokenRefused) {
		return resp, err
	}
	// Refused without a body, the library fetches a token of the same scopes.
	probe, perr := http.NewRequestWithContext(req.Context(), http.MethodGet, t.root.String(), nil)
	if perr != nil {
		return nil, perr
	}
	resp, perr = t.inner.RoundTrip(probe)
	if perr != nil {
		return nil, answered(perr)
	}
	drain(resp)
	return nil, err
}

// maxRedirects is how often one request may be sent elsewhere.
const maxRedirects = 10

// sameMethod follows redirects to other stores of blobs, but not those that
// make a GET of an upload: the page they lead to, of a portal to log in at
// perhaps, would pass for success.
func sameMethod(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("registry redirected %d times, last to %s", len(via), clip(req.URL.Redacted()))
	case req.Method != via[0].Method:
		return fmt.Errorf("registry redirected a %s to %s", via[0].Method, clip(req.URL.Redacted()))
	}
	return nil
}
