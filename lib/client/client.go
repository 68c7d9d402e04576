// Package client speaks to an OCI registry over HTTP: it logs in, tries again
// what may succeed later, goes on where a transfer broke off, and gives errors
// that a person can act upon.
//
// New checks what the flags of a tool say; Connect asks whether anybody is
// there and whether the credentials are right, so that wrong ones are told
// once; then any number of goroutines may read (read.go, blob.go, list.go) and
// write (upload.go, PutManifest).
//
// Repositories are named as below the registry's prefix: with the prefix
// "site", "a/b" is the registry's site/a/b, in every argument and in every
// list. Raw manifest bytes are passed on as they are.
//
// Errors stand for the exit codes of lib/cli: misuse for options that are
// wrong, try-again for a registry that could not be reached. Test for
// ErrNotFound and ErrUnreachable with errors.Is.
package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pemfile"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/textfile"
)

// Options say where a registry is and how to speak to it, as the flags of a
// tool have it. Errors name the flags: --ca is called so by every tool.
type Options struct {
	At   string // HOST[:PORT][/PREFIX]
	Flag string // that At comes from, such as "--to"

	PlainHTTP  bool   // HTTP may be spoken; to this machine itself it always may
	SkipVerify bool   // do not check the registry's certificate
	CAFile     string // authorities to trust besides the system's, in PEM

	// Username and PasswordFile are the credentials. Without a name they come
	// from the configuration files and helpers of docker and podman.
	Username     string
	PasswordFile string

	Push bool // ask for tokens that are good for writing, too
	Jobs int  // requests at a time, for which connections are kept open; 0 is for few

	Log *slog.Logger // gets what was tried again, at level debug; may be nil
}

// Registry is a registry, with what it takes to speak to it. It is safe for
// use by several goroutines once Connect has returned.
type Registry struct {
	host   name.Registry
	scheme string // the one that is spoken; may be empty: what the host's name allows
	prefix string // before every repository, without slashes around it; may be empty
	auth   authn.Authenticator
	scope  string // of tokens for a repository
	base   http.RoundTripper
	log    *slog.Logger
	wait   time.Duration // before the first retry; doubled for each further one

	bearer bool // tokens are granted by repository, so each has its own client
	mu     sync.Mutex
	all    map[string]*http.Client
}

// Split parses HOST[:PORT][/PREFIX]. What it is called goes into the error,
// which is misuse.
func Split(what, at string) (host, prefix string, err error) {
	host, prefix, below := strings.Cut(strings.TrimSuffix(at, "/"), "/")
	switch {
	case strings.Contains(at, "://"):
		return "", "", cli.Hint(cli.Misuse("%s %q: want HOST[:PORT][/PREFIX]", what, at), "leave the scheme out; --plain-http asks for HTTP")
	case host == "":
		return "", "", cli.Misuse("%s %q: want HOST[:PORT][/PREFIX]", what, at)
	case below && ref.CheckRepository(prefix) != nil:
		return "", "", cli.Misuse("%s %q: %q is not a repository path", what, at, prefix)
	}
	return host, prefix, nil
}

// Loopback tells whether a host with or without a port is this machine, where
// nobody can listen in and HTTP does no harm.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// New prepares a client and sends nothing. Its errors are misuse, but for
// docker's configuration files, which are not the caller's.
func New(o Options) (*Registry, error) {
	host, prefix, err := Split(o.Flag, o.At)
	if err != nil {
		return nil, err
	}
	opts := []name.Option{name.StrictValidation}
	plain := o.PlainHTTP || Loopback(host)
	if plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(host, opts...)
	if err != nil {
		return nil, cli.Misuse("%s %q: %w", o.Flag, o.At, err)
	}
	base, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	auth, err := credentials(o, reg)
	if err != nil {
		return nil, err
	}
	r := newRegistry(reg, auth, base, plain)
	r.prefix, r.scope = prefix, transport.PullScope
	if o.Push {
		r.scope = transport.PushScope
	}
	if o.Log != nil {
		r.log = o.Log
	}
	return r, nil
}

func newRegistry(host name.Registry, auth authn.Authenticator, base http.RoundTripper, plain bool) *Registry {
	return &Registry{
		host: host, auth: auth,
		base: &guard{inner: base, plain: plain},
		log:  slog.New(slog.DiscardHandler),
		wait: 250 * time.Millisecond,
		all:  make(map[string]*http.Client),
	}
}

// newTransport speaks HTTP/1.1 only: a blob is one long body on a connection
// of its own, where HTTP/2 adds framing and flow control and gains nothing.
func newTransport(o Options) (*http.Transport, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute, // a registry may hash 5 GB before it answers
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   2 * o.Jobs,
		IdleConnTimeout:       time.Minute,
		ReadBufferSize:        16 << 10,
		WriteBufferSize:       64 << 10,
		DisableCompression:    true,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.SkipVerify},
	}
	if o.CAFile == "" {
		return t, nil
	}
	authorities, _, err := pemfile.Certificates(o.CAFile)
	if err != nil {
		return nil, cli.Misuse("--ca: %w", err)
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

// credentials takes the user with the password file, else what docker's and
// podman's configuration files and credential helpers have for the host.
func credentials(o Options, reg name.Registry) (authn.Authenticator, error) {
	if o.Username == "" {
		auth, err := authn.DefaultKeychain.Resolve(reg)
		if err != nil {
			return nil, fmt.Errorf("credentials for %s: %w", reg, err)
		}
		return auth, nil
	}
	if o.PasswordFile == "" {
		return nil, cli.Misuse("a user name needs a password file")
	}
	password, err := textfile.Password(o.PasswordFile)
	if err != nil {
		return nil, cli.Misuse("password file: %w", err)
	}
	return authn.FromConfig(authn.AuthConfig{Username: o.Username, Password: password}), nil
}

// Host gives HOST[:PORT].
func (r *Registry) Host() string { return r.host.RegistryStr() }

// Prefix returns the path before every repository, which may be empty.
func (r *Registry) Prefix() string { return r.prefix }

// Repository gives the registry's own name for a repository, prefix included.
func (r *Registry) Repository(name string) string {
	if r.prefix == "" {
		return name
	}
	return r.prefix + "/" + name
}

// Reference gives the whole name of an image, HOST[:PORT]/REPOSITORY:TAG.
func (r *Registry) Reference(repository, tag string) string {
	return r.Host() + "/" + r.Repository(repository) + ":" + tag
}
