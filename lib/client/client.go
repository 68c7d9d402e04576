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
// and ErrUnreachable with errors.Is. Hints name the tool's flags according to
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
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
	host     name.Registry
	prefix   string // before every repository, without slashes at its ends; may be empty
	logins   logins
	scope    string // of tokens for a repository
	base     *guard
	names    Names
	timeout  time.Duration // of the first answer
	log      *slog.Logger
	notice   func(string)
	noticed  sync.Map    // reasons that notice was called for
	notified atomic.Bool // whether any was

	connected atomic.Bool   // a first answer has arrived
	wait      time.Duration // before the first retry; doubled for each further one

	plainAsked bool // HTTP is allowed because the user asked for it

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
	site, err := ParseSite(o.Names, o.At)
	if err != nil {
		return nil, err
	}
	opts := []name.Option{name.StrictValidation}
	plain := o.PlainHTTP || ref.Loopback(site.Host)
	if plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(site.Host, opts...)
	if err != nil {
		return nil, cli.Misuse("invalid %s %q: %w", o.Names.At, o.At, err)
	}
	base, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	logins, err := newLogins(o, reg.RegistryStr())
	if err == nil {
		_, err = logins.of(site.Prefix) // a broken file is reported before anything is sent
	}
	if err != nil {
		return nil, err
	}
	r := newRegistry(reg, logins, base, plain)
	r.plainAsked = o.PlainHTTP
	r.prefix, r.scope, r.names = site.Prefix, transport.PullScope, o.Names
	r.base.agent, r.base.caFile = o.Agent, o.CAFile
	r.patient(o.Timeout)
	r.notice = o.Notice
	if o.Push {
		r.scope = transport.PushScope
	}
	if o.Log != nil {
		r.log = o.Log
	}
	return r, nil
}

func newRegistry(host name.Registry, l logins, base http.RoundTripper, plain bool) *Registry {
	r := &Registry{
		host: host, logins: l,
		base:    newGuard(base, host.RegistryStr(), plain),
		timeout: FirstAnswer,
		log:     slog.New(slog.DiscardHandler),
		wait:    250 * time.Millisecond,
		all:     make(map[string]*http.Client),
	}
	r.base.slow = r.silent
	return r
}

// patient sets how long to wait for the first answer, and extends the limit of
// later ones to at least that.
func (r *Registry) patient(first time.Duration) {
	r.timeout = cmp.Or(first, FirstAnswer)
	r.base.limits.quick = max(r.base.limits.quick, first)
	r.base.limits.long = max(r.base.limits.long, first)
}

// newTransport speaks HTTP/1.1 only: a blob is one long body on a connection
// of its own, where HTTP/2 adds framing and flow control and gains nothing.
func newTransport(o Options) (*http.Transport, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
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
	if o.CAFile == "" {
		return t, nil
	}
	authorities, _, err := pemfile.Certificates(o.CAFile)
	if err != nil {
		return nil, cli.Misuse("%s: %w", o.Names.CA, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, c := range authorities {
		pool.AddCert(c)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
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
