package client

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Mirror is a registry as configured for containerd in a hosts.toml.
type Mirror struct {
	Scheme        string // "https" or "http"; the other one is not tried
	Host          string // HOST[:PORT]
	CA            []byte // authorities to trust besides the system's, in PEM; may be empty
	CAFile        string // the file that CA was read from, for errors
	Authorization string // value of that header; may be empty

	Names   Names
	Timeout time.Duration // for its first answer; 0 means FirstAnswer
	Agent   string        // User-Agent
	Notice  func(string)  // as in Options
}

// NewMirror prepares a client that reads as containerd does: if it cannot get
// an image, neither can a pull. Repositories are named from the root of the
// registry, and docker's configuration files are ignored.
func NewMirror(m Mirror) (*Registry, error) {
	opts := []name.Option{name.StrictValidation}
	if m.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	host, err := name.NewRegistry(m.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("mirror %q: %w", m.Host, err)
	}
	base, err := newTransport(Options{})
	if err != nil {
		return nil, err
	}
	if len(m.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(m.CA) {
			return nil, fmt.Errorf("mirror %s: no PEM certificate in its authority", m.Host)
		}
		base.TLSClientConfig.RootCAs = pool
	}
	r := newRegistry(host, logins{fixed: &anonymous}, &asConfigured{m, base}, m.Scheme == "http")
	r.base.scheme, r.scope, r.names = m.Scheme, transport.PullScope, m.Names
	r.base.caFile, r.base.agent = m.CAFile, m.Agent
	r.patient(m.Timeout)
	r.notice = m.Notice
	return r, nil
}

// asConfigured sends the configured header only to the mirror, and not to a
// token server or a store of blobs.
type asConfigured struct {
	Mirror
	inner http.RoundTripper
}

func (a *asConfigured) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == a.Host && a.Authorization != "" && req.Header.Get("Authorization") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", a.Authorization)
	}
	return a.inner.RoundTrip(req)
}
