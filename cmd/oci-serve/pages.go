package main

import (
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

// health tells whether the registry can serve. It needs no credentials and
// tells nothing else, since those who ask it have none.
func (p *pages) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := p.check(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "the storage cannot be read\n")
		return
	}
	io.WriteString(w, "ok\n")
}
