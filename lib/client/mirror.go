package client

import (
	"fmt"
	"net/http"
	"time"
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
	t := newTransport(Options{})
	if len(m.CA) > 0 {
		if t.TLSClientConfig.RootCAs = authorities(m.CA); t.TLSClientConfig.RootCAs == nil {
			return nil, fmt.Errorf("mirror %s: no PEM certificate in its authority", m.Host)
		}
	}
	o := Options{Names: m.Names, CAFile: m.CAFile, Timeout: m.Timeout, Agent: m.Agent, Notice: m.Notice}
	r, err := newRegistry(m.Host, m.Scheme == "http", o, &asConfigured{m, t})
	if err != nil {
		return nil, fmt.Errorf("mirror %q: %w", m.Host, err)
	}
	r.base.scheme = m.Scheme
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
