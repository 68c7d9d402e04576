package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Mirror is a registry as a hosts.toml tells containerd of it.
type Mirror struct {
	Scheme        string // "https" or "http"; the other one is not tried
	Host          string // HOST[:PORT]
	CA            []byte // authorities to trust besides the system's, in PEM; may be empty
	Authorization string // value of that header; may be empty
}

// NewMirror prepares a client that reads as containerd will: what it cannot
// get, a pull cannot get either. Repositories are named from the root of the
// registry, and docker's configuration files are not looked at.
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
	r := newRegistry(host, authn.Anonymous, &asConfigured{m, base}, m.Scheme == "http")
	r.scheme, r.scope = m.Scheme, transport.PullScope
	return r, nil
}

// asConfigured keeps to the scheme that was configured, where the library
// above would try both, and sends the header that was.
type asConfigured struct {
	Mirror
	inner http.RoundTripper
}

var errOtherScheme = errors.New("only the scheme that is configured is spoken")

func (a *asConfigured) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != a.Host { // a token's realm, a store of blobs
		return a.inner.RoundTrip(req)
	}
	if req.URL.Scheme != a.Scheme {
		return nil, errOtherScheme
	}
	if a.Authorization != "" && req.Header.Get("Authorization") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", a.Authorization)
	}
	return a.inner.RoundTrip(req)
}
