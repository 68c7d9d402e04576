package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// This file checks that a registry answers: proxies, portals and web servers
// answer every request, most of them with 200.

var (
	errPage        = errors.New("not a registry")
	errSpeaksHTTP  = errors.New("the registry speaks plain HTTP")
	errSpeaksHTTPS = errors.New("the registry speaks HTTPS")
)

// httpAfter is the head start of HTTPS if HTTP is allowed as well.
const httpAfter = 300 * time.Millisecond

// maxRoot is how much of the answer for a registry's root is read, in bytes.
const maxRoot = 4 << 10

// greeting is what a registry answers to the request for its root.
type greeting struct {
	login string // what it requires: "bearer", "basic" or ""
	named bool   // its headers say that it is a registry
}

// ping requests the registry's root (end-1). It returns the registry's scheme
// and its answer.
func (r *Registry) ping(ctx context.Context) (scheme string, g greeting, err error) {
	if r.base.scheme != "" {
		g, err = r.pingOne(ctx, r.base.scheme)
		return r.base.scheme, g, err
	}
	if !r.base.plain {
		g, err = r.pingOne(ctx, "https")
		return "https", g, err
	}
	type outcome struct {
		scheme string
		greeting
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	outcomes, running := make(chan outcome), 0
	start := func(scheme string) {
		running++
		go func() {
			g, err := r.pingOne(ctx, scheme)
			outcomes <- outcome{scheme, g, err}
		}()
	}
	defer func() { // neither outlasts this call, after which the scheme is set
		cancel()
		for range running {
			<-outcomes
		}
	}()
	start("https")
	lead := time.NewTimer(httpAfter)
	defer lead.Stop()
	failed := make(map[string]error)
	for {
		select {
		case <-lead.C:
			start("http")
		case o := <-outcomes:
			running--
			if o.err == nil {
				return o.scheme, o.greeting, nil
			}
			if failed[o.scheme] = o.err; len(failed) == 2 {
				return "", g, worse(failed["https"], failed["http"], r.plainAsked)
			}
			if o.scheme == "https" && lead.Stop() {
				lead.Reset(0)
			}
		}
	}
}

// worse returns the error for the scheme that the server speaks.
func worse(https, http error, plainAsked bool) error {
	_, refused := errors.AsType[*certificateError](https)
	switch {
	case errors.Is(http, errSpeaksHTTPS) && refused && plainAsked:
		return fmt.Errorf("%w, and %w", errSpeaksHTTPS, https)
	case errors.Is(http, errSpeaksHTTPS) || refused || status(https) != 0 || errors.Is(https, errPage):
		return https
	}
	_, silent := errors.AsType[*noAnswer](http)
	if e, both := errors.AsType[*noAnswer](https); silent && both && e.connected {
		return https
	}
	return http
}

// pingOne is ping with one scheme.
func (r *Registry) pingOne(ctx context.Context, scheme string) (g greeting, err error) {
	u := r.root()
	u.Scheme = scheme
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return g, err
	}
	resp, err := (&http.Client{Transport: r.base}).Do(req)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return g, errSpeaksHTTP
	case err != nil && strings.Contains(err.Error(), "malformed HTTP"): // net/http has no value for it
		return g, problemf(errPage, "not a registry: what answers does not speak HTTP")
	case err != nil:
		return g, plainError(err)
	}
	defer drain(resp)
	g.named = isRegistry(resp)
	if resp.StatusCode == http.StatusUnauthorized {
		for _, c := range resp.Header.Values("WWW-Authenticate") {
			scheme, _, _ := strings.Cut(c, " ")
			if scheme = strings.ToLower(scheme); scheme == "basic" || scheme == "bearer" {
				g.login = scheme
				return g, nil
			}
		}
	}
	return g, checkRoot(resp, http.StatusOK)
}

// nowhere is a digest that no content has.
var nowhere = "sha256:" + strings.Repeat("0", 64)

// disprove returns an error if a server claims to have a manifest that cannot
// exist: it answers every request alike. A registry whose first answer does not
// name it as one is asked once. Only a success counts; later requests report
// anything else that is wrong.
func (r *Registry) disprove(ctx context.Context, c *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("none", "manifests", nowhere).String(), nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	switch {
	case err != nil && answerTimedOut(ctx): // a cache may wait for its upstream
		return nil
	case err != nil:
		return ctx.Err()
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return nil
	}
	return problemf(errPage, "not a registry: it has an answer for everything, even a manifest that cannot exist%s", whose(resp))
}

// checkRoot returns an error unless resp is the wanted answer of a registry for
// its root.
func checkRoot(resp *http.Response, want int) error {
	code := resp.StatusCode
	at := ""
	if resp.Request != nil && resp.Request.Response != nil {
		at = ", redirecting to " + clip(resp.Request.URL.Redacted())
	}
	switch {
	case isRegistry(resp):
		return checkStatus(resp, want)
	case isPage(resp) && !busy(code):
		return notRegistry(resp, at)
	case code != want:
		err := checkStatus(resp, want)
		switch e, ok := errors.AsType[*statusError](err); {
		case strings.Contains(textOf(err), "HTTPS") && code == http.StatusBadRequest:
			return errSpeaksHTTPS
		case ok && e.code() == "" && !refusal(code):
			return notRegistry(resp, at)
		}
		return err
	}
	// Registries answer {}, true or nothing; anything else may be a server
	// that answers every request with its own greeting.
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxRoot))
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(raw)); text != "" && !strings.HasPrefix(text, "{") && text != "true" {
		return notRegistry(resp, at)
	}
	return nil
}

// refusal reports whether a registry may answer with this code for its root.
func refusal(code int) bool {
	return busy(code) || code == http.StatusUnauthorized || code == http.StatusForbidden
}

// isRegistry reports whether the headers say that a registry answered. Not
// every registry sends that header.
func isRegistry(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Docker-Distribution-Api-Version"), "registry/")
}

// isPage reports whether an answer is a page for a browser.
func isPage(resp *http.Response) bool {
	if isRegistry(resp) {
		return false
	}
	kind := mediaType(resp)
	return kind == "text/html" || kind == "application/xhtml+xml"
}

func mediaType(resp *http.Response) string {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// notRegistry returns an error that names what answered instead of a registry.
func notRegistry(resp *http.Response, at string) error {
	kind, status := mediaType(resp), fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	what := "with " + clip(kind)
	switch {
	case kind == "":
		what = status
	case resp.StatusCode != http.StatusOK:
		what += ", " + status
	}
	return problemf(errPage, "not a registry: it answers %s%s%s", what, at, whose(resp))
}

// whose returns a guess at what sent an answer in a registry's place, in
// parentheses, or "".
func whose(resp *http.Response) string {
	if resp.Request == nil {
		return ""
	}
	if proxy, _ := proxyOf(resp.Request); proxy != nil {
		return fmt.Sprintf(" (a page of the proxy %s?)", proxy.Host)
	}
	if isPage(resp) {
		return " (a proxy's page?)"
	}
	return ""
}
