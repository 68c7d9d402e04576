package main

import (
	"errors"
	"io"
	"net/http"
	"time"

	"k0rdent-airgap/lib/registry"
)

// pages puts what is beside the registry before it. Paths are compared as they
// came: a mux would clean them, and redirect.
type pages struct {
	registry http.Handler
	k0s      http.Handler
	metrics  http.Handler
	check    func() error // of the storage
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case "/healthz":
		p.small(w, r, http.HandlerFunc(p.health))
	case "/metrics":
		p.small(w, r, p.metrics)
	default:
		if _, ok := k0sPath(r.URL.Path); ok {
			p.k0s.ServeHTTP(w, r)
			return
		}
		p.registry.ServeHTTP(w, r)
	}
}

// notRead is the answer to a request that would change what can only be read.
var notRead = &registry.Refusal{Err: registry.ErrUnsupported, Header: http.Header{"Allow": {"GET, HEAD"}}}

// small serves a page that is read only and short. Whatever a client sends with
// its request must come at once.
func (p *pages) small(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTime)) // where there is a connection
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		registry.WriteError(w, notRead)
		return
	}
	h.ServeHTTP(w, r)
}

// health reports whether a push would succeed, and if not, why. It needs no
// credentials, since those who ask it have none, and tells nothing else.
func (p *pages) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := p.check(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, unhealthy(err)+"\n")
		return
	}
	io.WriteString(w, "ok\n")
}

// unhealthy returns why a push would fail, without what only the log should have.
func unhealthy(err error) string {
	if known, ok := errors.AsType[*registry.Error](err); ok {
		return known.Message
	}
	return "the storage cannot be written to; the registry's log has the cause"
}
