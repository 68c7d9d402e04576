package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"k0rdent-airgap/lib/cli"
)

// This file checks that a registry answers: proxies, portals and web servers
// answer every request, most of them with 200.

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
	outcomes := make(chan outcome, 2)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait() // neither outlasts this call, after which the scheme is set
	defer cancel()
	start := func(scheme string) {
		running.Go(func() {
			g, err := r.pingOne(ctx, scheme)
			outcomes <- outcome{scheme, g, err}
		})
	}
	start("https")
	lead := time.NewTimer(httpAfter)
	defer lead.Stop()
	failed := make(map[string]error)
	for {
		select {
		case <-lead.C:
			start("http")
		case o := <-outcomes:
			if o.err == nil {
				return o.scheme, o.greeting, nil
			}
			if failed[o.scheme] = o.err; len(failed) == 2 {
				return "", g, r.worse(failed["https"], failed["http"])
			}
			if o.scheme == "https" && lead.Stop() {
				lead.Reset(0)
			}
		}
	}
}

// worse returns the error for the scheme that the server speaks.
func (r *Registry) worse(https, http error) error {
	certificate := errors.Is(https, errCertificate)
	switch {
	case errors.Is(http, errSpeaksHTTPS) && certificate && r.o.PlainHTTP:
		return advise(markf(errSpeaksHTTPS, https, "%v, and %v", errSpeaksHTTPS, https), "remove %s, and %s", r.o.Names.PlainHTTP, cli.HintOf(https))
	case errors.Is(http, errSpeaksHTTPS) || certificate || status(https) != 0 || errors.Is(https, errPage):
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
	resp, err := fetch(ctx, r.anonymous(), http.MethodGet, u.String())
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return g, errSpeaksHTTP
	case err != nil && strings.Contains(err.Error(), "malformed HTTP"): // net/http has no value for it
		return g, markf(errPage, nil, "not a registry: what answers does not speak HTTP")
	case err != nil:
		return g, err
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
	return g, checkRoot(resp)
}

// nowhere is a digest that no content has.
var nowhere = "sha256:" + strings.Repeat("0", 64)

// disprove returns an error if a server claims to have a manifest that cannot
// exist: it answers every request alike. A registry whose first answer does not
// name it as one is asked once. Only a success counts; later requests report
// anything else that is wrong.
func (r *Registry) disprove(ctx context.Context, c *http.Client) error {
	resp, err := fetch(ctx, c, http.MethodGet, r.url("none", "manifests", nowhere).String())
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
	return markf(errPage, nil, "not a registry: it has an answer for everything, even a manifest that cannot exist%s", whose(resp))
}

// checkRoot returns an error unless resp is the answer of a registry for its
// root.
func checkRoot(resp *http.Response) error {
	code := resp.StatusCode
	switch {
	case isRegistry(resp):
		return checkStatus(resp, http.StatusOK)
	case isPage(resp) && !busy(code):
		return notRegistry(resp)
	case code != http.StatusOK:
		err := checkStatus(resp, http.StatusOK)
		switch e, ok := errors.AsType[*statusError](err); {
		case !ok:
			return err
		case code == http.StatusBadRequest && strings.Contains(e.text(), "HTTPS"):
			return errSpeaksHTTPS
		case e.code() == "" && !mayRefuse(code):
			return notRegistry(resp)
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
		return notRegistry(resp)
	}
	return nil
}

// mayRefuse reports whether a registry may answer with this code for its root.
func mayRefuse(code int) bool {
	return busy(code) || code == http.StatusUnauthorized || code == http.StatusForbidden
}

// isRegistry reports whether the headers say that a registry answered. Not
// every registry sends that header.
func isRegistry(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Docker-Distribution-Api-Version"), "registry/")
}

// isPage reports whether an answer is a page for a browser.
func isPage(resp *http.Response) bool {
	kind := mediaType(resp)
	return !isRegistry(resp) && (kind == "text/html" || kind == "application/xhtml+xml")
}

func mediaType(resp *http.Response) string {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// notRegistry returns an error that names what answered instead of a registry.
func notRegistry(resp *http.Response) error {
	kind, status := mediaType(resp), fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	what := "with " + clip(kind)
	switch {
	case kind == "":
		what = status
	case resp.StatusCode != http.StatusOK:
		what += ", " + status
	}
	if resp.Request.Response != nil {
		what += ", redirecting to " + clip(resp.Request.URL.Redacted())
	}
	return markf(errPage, nil, "not a registry: it answers %s%s", what, whose(resp))
}

// whose returns a guess at what sent an answer in a registry's place, in
// parentheses, or "".
func whose(resp *http.Response) string {
	if proxy, _ := proxyOf(resp.Request); proxy != nil {
		return fmt.Sprintf(" (a page of the proxy %s?)", proxy.Host)
	}
	if isPage(resp) {
		return " (a proxy's page?)"
	}
	return ""
}
