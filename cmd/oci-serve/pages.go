package main

import (
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"k0rdent-airgap/cmd/oci-serve/page"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/registry"
)

// pages serves the registry and the pages next to it. Paths are compared as they
// are: a mux would clean them, and redirect.
type pages struct {
	registry http.Handler
	people   http.Handler // the page at /
	files    http.Handler
	plain    plainAddress // where they are as well
	metrics  http.Handler
	check    func() error      // of the storage
	ca       *x509.Certificate // of the registry's own authority, or nil
}

// newPages returns the handler of oci-serve. certs is nil without TLS.
func newPages(f *files, plain plainAddress, disk *registry.Disk, who *guard, counts *metrics, certs certificates, log *slog.Logger) *pages {
	h := registry.New(disk, registry.Options{Allow: who.allow, Stall: stallTime, Observe: counts.observe, Log: log})
	size := &storageSize{disk: disk, log: log}
	counts.follow(h, size, certs)
	p := &pages{
		registry: h,
		files:    h.Beside(f.serve),
		plain:    plain,
		metrics:  who.guardRead(counts.handler()),
		check:    disk.Check,
	}
	if auto, ok := certs.(*autoTLS); ok {
		p.ca = auto.ca.cert
	}
	p.people = h.Beside(page.New(disk, page.Options{Usage: size.get, CA: p.ca}).Serve)
	return p
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path := r.URL.Path
	if path == filesPath || path == k0sPath {
		// Machines that know no authority find the same there (RFC 8288).
		if other := p.plain.alternate(r, path); other != "" {
			w.Header().Set("Link", "<"+other+`>; rel="alternate"`)
		}
	}
	switch {
	case path == "/healthz":
		p.small(w, r, http.HandlerFunc(p.health))
	case path == "/metrics":
		p.small(w, r, p.metrics)
	case path == "/ca.pem" && p.ca != nil:
		p.small(w, r, http.HandlerFunc(p.authority))
	case strings.HasPrefix(path, filesPath), strings.HasPrefix(path, k0sPath), strings.HasPrefix(path, vendorPath):
		p.files.ServeHTTP(w, r)
	case page.Wanted(r):
		p.people.ServeHTTP(w, r)
	default:
		p.registry.ServeHTTP(w, r)
	}
}

// notRead is the answer to a write request for a read-only page.
var notRead = &registry.Refusal{Err: registry.ErrUnsupported, Header: http.Header{"Allow": {"GET, HEAD"}}}

// small serves a short read-only page. The body of the request, if any, must
// arrive at once.
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

// health reports whether a push would succeed, and if not, why. It requires no
// credentials, since monitoring has none, and reveals nothing else.
func (p *pages) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := p.check(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, unhealthy(err)+"\n")
		return
	}
	io.WriteString(w, "ok\n")
}

// authority serves the certificate that clients must trust. It requires no
// credentials, since a client needs the certificate before it can send them
// safely.
func (p *pages) authority(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(encode(pemfile.Certificate, p.ca.Raw))
}

// unhealthy returns why a push would fail, without details for the log only.
func unhealthy(err error) string {
	if known, ok := errors.AsType[*registry.Error](err); ok {
		return known.Message
	}
	return "the storage cannot be written to; the registry's log has the cause"
}
