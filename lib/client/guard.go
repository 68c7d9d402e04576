package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"k0rdent-airgap/lib/ref"
)

// This file wraps the library's transport, which handles logins: guard is below
// it, renewing above it.

// guard refuses plain HTTP to another machine unless the user allowed it: the
// library above falls back to it for private addresses, and would then send
// credentials in the clear. It also hides refused tokens from that library if
// it would resend a body that has been read; see renewing. It limits how long
// an answer may take, and makes errors name the culprit.
type guard struct {
	inner  http.RoundTripper
	host   string // of the registry
	scheme string // the only one for that host; empty until known
	plain  bool
	o      Options
	limits limits
	slow   func(limit time.Duration) // called when an answer takes long
}

func newGuard(inner http.RoundTripper, host string, plain bool, o Options) *guard {
	return &guard{
		inner: inner, host: host, plain: plain, o: o, slow: func(time.Duration) {},
		limits: limits{max(quickAnswer, o.Timeout), max(longAnswer, o.Timeout), quiet},
	}
}

var (
	errPlainHTTP   = errors.New("plain HTTP to another machine is not allowed")
	errOtherScheme = errors.New("the registry uses another scheme")
)

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.refuse(req.URL); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	limit := g.limits.quick
	if req.Method == http.MethodPut || req.ContentLength > 0 {
		limit = g.limits.long
	}
	ctx, stop := context.WithCancelCause(req.Context())
	w := newWatch(limit, g.limits.quiet, func() { g.slow(limit) }, func() { stop(&noAnswer{after: limit}) })
	var connected atomic.Bool
	req = req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) { connected.Store(connected.Load() || err == nil) },
		GotConn:     func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	if again := req.GetBody; req.Body != nil && again != nil {
		req.Body = sentBody{req.Body, w}
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return sentBody{body, w}, err
		}
	}
	if g.o.Agent != "" {
		req.Header.Set("User-Agent", g.o.Agent)
	}
	resp, err := g.inner.RoundTrip(req)
	w.hold(true)
	if err == nil {
		err = proxyAnswer(req, resp)
	}
	if err != nil {
		if expired, ok := errors.AsType[*noAnswer](context.Cause(ctx)); ok {
			err = g.blame(req, &noAnswer{expired.after, connected.Load()})
		} else if ctx.Err() == nil { // not cancelled by the caller
			err = g.blame(req, err)
		}
		stop(nil)
		return nil, err
	}
	body := io.Reader(resp.Body)
	if resp.StatusCode >= http.StatusBadRequest { // an error page may be endless
		body = io.LimitReader(body, maxErrorBody)
	}
	resp.Body = &answerBody{body, resp.Body, w, ctx, stop}
	if resp.StatusCode == http.StatusUnauthorized && req.ContentLength > 0 && bearerToken(req) {
		drain(resp)
		return nil, errTokenRefused
	}
	return resp, nil
}

// refuse returns an error for an address that must not be contacted.
func (g *guard) refuse(u *url.URL) error {
	switch {
	case g.scheme != "" && u.Host == g.host && u.Scheme != g.scheme:
		return errOtherScheme
	case u.Scheme == "http" && !g.plain && !ref.Loopback(u.Host):
		return errPlainHTTP
	}
	return nil
}

// errTokenRefused is the answer 401 to a request with a body. The token has
// been renewed when a caller sees it, so the request may be sent again.
var errTokenRefused = errors.New("registry answered 401 Unauthorized to a new token")

// bearerToken reports whether a request carries one.
func bearerToken(req *http.Request) bool {
	return strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ")
}

// renewing renews a token after a request with a body was refused. The library
// inside does so too, but then sends only the rest of the body: it cannot
// recover the bytes that were read, whereas the caller can seek.
type renewing struct {
	inner http.RoundTripper
	root  *url.URL
}

func (t *renewing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	if !errors.Is(err, errTokenRefused) {
		return resp, err
	}
	// If a request without a body is refused, the library fetches a token
	// for the same scopes.
	probe, perr := http.NewRequestWithContext(req.Context(), http.MethodGet, t.root.String(), nil)
	if perr != nil {
		return nil, perr
	}
	resp, perr = t.inner.RoundTrip(probe)
	if perr != nil {
		return nil, plainError(perr)
	}
	drain(resp)
	return nil, err
}

// maxRedirects is how often one request may be redirected.
const maxRedirects = 10

// sameMethod follows redirects to other stores of blobs, but not those that
// turn an upload into a GET: the page they lead to, perhaps of a login portal,
// would look like success.
func sameMethod(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("registry redirected %d times, last to %s", len(via), clip(req.URL.Redacted()))
	case req.Method != via[0].Method:
		return fmt.Errorf("registry redirected a %s to %s", via[0].Method, clip(req.URL.Redacted()))
	}
	return nil
}
