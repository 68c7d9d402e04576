// Package client is a client of OCI registries over HTTP: it logs in, verifies
// what it reports, retries what may succeed later, resumes broken transfers,
// and returns errors that name the culprit.
//
// New checks the settings; Connect checks that a registry answers and accepts
// the login, so that a wrong one is reported once; after that any number of
// goroutines may read (read.go, blob.go, list.go) and write (upload.go,
// manifest.go).
//
// Repositories are named relative to the registry's prefix: with the prefix
// "site", "a/b" is the registry's site/a/b, in every argument and in every
// list. Raw manifest bytes are passed on as they are.
//
// Errors map to the exit codes of lib/cli: misuse for wrong settings, try-again
// for a registry that cannot be reached or is overloaded. Test for ErrNotFound
// and errUnreachable with errors.Is. Hints name the tool's flags according to
// Names.
package client

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
)

// Names are a tool's names for the settings that errors and hints refer to. A
// hint that would need an empty one is omitted.
type Names struct {
	At, CA, PlainHTTP, Username, PasswordFile, Timeout string
}

// Options are the settings of a client.
type Options struct {
	At    string // HOST[:PORT][/PREFIX]
	Names Names

	PlainHTTP  bool   // allow HTTP to other machines; to this machine it is always allowed
	SkipVerify bool   // do not check the registry's certificate
	CAFile     string // authorities to trust besides the system's, in PEM

	// Username and PasswordFile are the credentials. Without a name they
	// come from the first of LoginFiles that has credentials for the
	// registry.
	Username     string
	PasswordFile string
	LoginFiles   []cli.LoginFile

	Push    bool          // request tokens that allow writing, too
	Jobs    int           // requests at a time, for which connections are kept open; 0 means few
	Timeout time.Duration // for the registry's first answer; 0 means FirstAnswer
	Agent   string        // User-Agent, such as "oci-push/1.2.3"

	Log    *slog.Logger // logs retries at level debug; may be nil
	Notice func(string) // receives what the tool waits for, once per text; may be nil
}

// FirstAnswer is how long Connect waits for a registry by default.
const FirstAnswer = 30 * time.Second

// Registry is a registry and a client for it. It is safe for use by several
// goroutines once Connect has returned.
type Registry struct {
	o      Options
	host   name.Registry
	prefix string // before every repository, without slashes at its ends; may be empty
	logins logins
	base   *guard

	noticed  sync.Map    // reasons that Notice was called for
	notified atomic.Bool // whether any was

	connected atomic.Bool   // a first answer has arrived
	wait      time.Duration // before the first retry; doubled for each further one

	bearer bool        // tokens are granted per repository, so each has its own client
	wrote  atomic.Bool // the registry has accepted something
	served atomic.Bool // it has shown something, or that there is nothing

	allowed sync.Map // the kinds of requests that it has not refused as such

	noReferrers atomic.Bool // the registry does not list referrers
	noting      sync.Mutex  // held while an index of referrers is changed

	mu  sync.Mutex
	all map[string]*http.Client
}

// ParseSite is like ref.ParseSite, for the setting that n.At names. Its error
// is misuse, with a hint.
func ParseSite(n Names, at string) (ref.Site, error) {
	site, err := ref.ParseSite(at)
	switch {
	case errors.Is(err, ref.ErrLogin):
		return ref.Site{}, advise(cli.Misuse("invalid %s: %w", n.At, err), "use %s and %s", n.Username, n.PasswordFile)
	case errors.Is(err, ref.ErrScheme):
		return ref.Site{}, advise(cli.Misuse("invalid %s %q: %w", n.At, at, err), "omit the scheme; %s allows HTTP", n.PlainHTTP)
	case err != nil:
		return ref.Site{}, cli.Misuse("invalid %s %q: %w", n.At, at, err)
	}
	return site, nil
}

// New prepares a client and sends nothing. Its errors are misuse, except those
// of login files, which the caller did not name.
func New(o Options) (*Registry, error) {
	if err := cli.CheckProxies(); err != nil {
		return nil, err
	}
	site, err := ParseSite(o.Names, o.At)
	if err != nil {
		return nil, err
	}
	t := newTransport(o)
	if o.CAFile != "" {
		_, text, err := pemfile.Certificates(o.CAFile)
		if err != nil {
			return nil, cli.Misuse("%s: %w", o.Names.CA, err)
		}
		t.TLSClientConfig.RootCAs = authorities(text)
	}
	r, err := newRegistry(site.Host, o.PlainHTTP || ref.Loopback(site.Host), o, t)
	if err != nil {
		return nil, cli.Misuse("invalid %s %q: %w", o.Names.At, o.At, err)
	}
	r.prefix = site.Prefix
	if r.logins, err = newLogins(o, r.Host()); err != nil {
		return nil, err
	}
	_, err = r.logins.of(site.Prefix) // a broken file is reported before anything is sent
	return r, err
}

// newRegistry is New with a transport of the caller's, and without a login.
func newRegistry(host string, plain bool, o Options, t http.RoundTripper) (*Registry, error) {
	strict := []name.Option{name.StrictValidation}
	if plain {
		strict = append(strict, name.Insecure)
	}
	at, err := name.NewRegistry(host, strict...)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		o: o, host: at, logins: logins{fixed: &anonymous},
		base: newGuard(t, at.RegistryStr(), plain, o),
		wait: 250 * time.Millisecond, all: make(map[string]*http.Client),
	}
	r.o.Timeout, r.o.Log = cmp.Or(o.Timeout, FirstAnswer), cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	r.base.slow = r.silent
	return r, nil
}

// authorities returns those of the system and those in PEM, or nil if there is
// none in that.
func authorities(text []byte) *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil
	}
	return pool
}

// newTransport speaks HTTP/1.1 only: a blob is one long body on a connection
// of its own, where HTTP/2 adds framing and flow control and gains nothing.
func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  proxyOf,
		OnProxyConnectResponse: refusedTunnel,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    2 * o.Jobs,
		IdleConnTimeout:        time.Minute,
		ReadBufferSize:         16 << 10,
		WriteBufferSize:        64 << 10,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.SkipVerify},
	}
}

// Host returns HOST[:PORT].
func (r *Registry) Host() string { return r.host.RegistryStr() }

// Prefix returns the path before every repository, which may be empty.
func (r *Registry) Prefix() string { return r.prefix }

// Repository returns the registry's own name for a repository, prefix included.
func (r *Registry) Repository(name string) string {
	return ref.Site{Prefix: r.prefix}.Repository(name)
}

// Reference returns the whole name of an image, HOST[:PORT]/REPOSITORY:TAG.
func (r *Registry) Reference(repository, tag string) string {
	return ref.Reference{Host: r.Host(), Repository: r.Repository(repository), Tag: tag}.String()
}
