package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// maxPassword is the most that a password file may hold, in bytes.
const maxPassword = 64 << 10

// registry is the registry that is pushed to, with what it takes to speak to
// it. It is safe for use by several goroutines.
type registry struct {
	host   name.Registry
	prefix string // before every repository, without slashes around it; may be empty
	auth   authn.Authenticator
	scope  string // of tokens for a repository
	base   http.RoundTripper
	wait   time.Duration // before the first retry; doubled for each further one

	bearer bool // tokens are granted by repository, so each has its own client
	mu     sync.Mutex
	all    map[string]*http.Client
}

// access is what the flags say of one registry.
type access struct {
	flag         string // that names the registry
	at           string // HOST[:PORT][/PREFIX]
	username     string
	passwordFile string
	scope        string // what tokens are asked for
}

// target splits HOST[:PORT][/PREFIX], the value of a flag.
func target(flag, to string) (host, prefix string, err error) {
	host, prefix, _ = strings.Cut(strings.TrimSuffix(to, "/"), "/")
	switch {
	case strings.Contains(to, "://"):
		return "", "", cli.Hint(cli.Misuse("--%s %q: want HOST[:PORT][/PREFIX]", flag, to), "leave the scheme out; --plain-http asks for HTTP")
	case host == "":
		return "", "", cli.Misuse("--%s %q: want HOST[:PORT][/PREFIX]", flag, to)
	case prefix != "" && ref.CheckRepository(prefix) != nil:
		return "", "", cli.Misuse("--%s %q: %q is not a repository path", flag, to, prefix)
	}
	return host, prefix, nil
}

// loopback tells whether a host with or without a port is this machine, where
// nobody can listen in and HTTP does no harm.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newRegistry prepares the client; connect asks whether anybody is there.
func newRegistry(cfg *config, a access) (*registry, error) {
	host, prefix, err := target(a.flag, a.at)
	if err != nil {
		return nil, err
	}
	opts := []name.Option{name.StrictValidation}
	plain := cfg.plainHTTP || loopback(host)
	if plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(host, opts...)
	if err != nil {
		return nil, cli.Misuse("--%s %q: %w", a.flag, a.at, err)
	}
	base, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	auth, err := credentials(a, reg)
	if err != nil {
		return nil, err
	}
	return &registry{
		host: reg, prefix: prefix, auth: auth, scope: a.scope,
		base: &guard{inner: base, plain: plain},
		wait: 250 * time.Millisecond,
		all:  make(map[string]*http.Client),
	}, nil
}

// newTransport speaks HTTP/1.1 only: a blob is one long body on a connection
// of its own, where HTTP/2 adds framing and flow control and gains nothing.
func newTransport(cfg *config) (*http.Transport, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute, // a registry may hash 5 GB before it answers
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   2 * cfg.jobs,
		IdleConnTimeout:       time.Minute,
		ReadBufferSize:        16 << 10,
		WriteBufferSize:       64 << 10,
		DisableCompression:    true,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.skipVerify},
	}
	if cfg.ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(cfg.ca)
	if err != nil {
		return nil, cli.Misuse("--ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, cli.Misuse("--ca %s: no PEM certificate in it", cfg.ca)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// credentials takes --username with --password-file, else what docker's and
// podman's configuration files and credential helpers have for the host.
func credentials(a access, reg name.Registry) (authn.Authenticator, error) {
	if a.username == "" {
		auth, err := authn.DefaultKeychain.Resolve(reg)
		if err != nil {
			return nil, fmt.Errorf("credentials for %s: %w", reg, err)
		}
		return auth, nil
	}
	if a.passwordFile == "" {
		return nil, cli.Misuse("a user name needs a password file")
	}
	f, err := os.Open(a.passwordFile)
	if err != nil {
		return nil, cli.Misuse("password file: %w", err)
	}
	defer f.Close()
	secret, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return nil, cli.Misuse("password file: %w", err)
	}
	return authn.FromConfig(authn.AuthConfig{Username: a.username, Password: strings.TrimRight(string(secret), "\r\n")}), nil
}

// connect asks the registry for its kind of authentication, and whether it
// takes the credentials, so that wrong ones are told once and not by each
// image. An error that stands for exit code 75 means that nobody answered.
func (r *registry) connect(ctx context.Context) error {
	var challenge *transport.Challenge
	err := r.retry(ctx, func() (err error) {
		challenge, err = transport.Ping(ctx, r.host, r.base)
		return pingError(err)
	})
	if err != nil {
		return err
	}
	r.bearer = strings.EqualFold(challenge.Scheme, "bearer")
	// What a token for nobody is good for only its use can tell, and registries
	// that let everybody read ask for a login here all the same.
	basic := strings.EqualFold(challenge.Scheme, "basic")
	if r.auth == authn.Anonymous && (!basic || r.scope == transport.PullScope) {
		return nil
	}
	return r.retry(ctx, func() error {
		c, err := r.newClient(ctx)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.root().String(), nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return pingError(err)
		}
		defer drain(resp)
		return checkStatus(resp, http.StatusOK)
	})
}

// pingError gives the error of the scheme that matters: Ping joins those of
// HTTPS and HTTP where both were tried.
func pingError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return cli.Hint(errors.New("its certificate is signed by an unknown authority"), "give the registry's certificate authority with --ca FILE")
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return cert
	}
	if answer := answered(err); status(answer) != 0 {
		return answer
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return cli.Hint(errors.New("the registry speaks plain HTTP"), "give --plain-http if that is meant, or put TLS before it")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}

// client gives the client that may read and write a repository.
func (r *registry) client(ctx context.Context, repository string) (*http.Client, error) {
	if !r.bearer {
		repository = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.all[repository]; c != nil {
		return c, nil
	}
	var scopes []string
	switch {
	case repository != "":
		scopes = []string{"repository:" + repository + ":" + r.scope}
	case r.bearer:
		scopes = []string{transport.CatalogScope}
	}
	c, err := r.newClient(ctx, scopes...)
	if err != nil {
		return nil, err
	}
	r.all[repository] = c
	return c, nil
}

// newClient gives a client with a token for scopes, if the registry wants one.
func (r *registry) newClient(ctx context.Context, scopes ...string) (*http.Client, error) {
	t, err := transport.NewWithContext(ctx, r.host, r.auth, r.base, scopes)
	if err != nil {
		return nil, answered(err)
	}
	return &http.Client{Transport: &renewing{inner: t, root: r.root()}, CheckRedirect: sameMethod}, nil
}

// root gives the address that every registry answers (end-1).
func (r *registry) root() *url.URL {
	return &url.URL{Scheme: r.host.Scheme(), Host: r.host.RegistryStr(), Path: "/v2/"}
}

// url gives the address of something in a repository.
func (r *registry) url(repository, kind, rest string) *url.URL {
	return &url.URL{
		Scheme: r.host.Scheme(), Host: r.host.RegistryStr(),
		Path: "/v2/" + repository + "/" + kind + "/" + rest,
	}
}

// names gives the registry and the whole reference of an image in it.
func (r *registry) names(i record.Image) (host, reference string) {
	host = r.host.RegistryStr()
	return host, host + "/" + r.repository(i.Repository) + ":" + i.Tag
}

// repository gives the registry's name for a repository of the bundle.
func (r *registry) repository(name string) string {
	if r.prefix == "" {
		return name
	}
	return r.prefix + "/" + name
}
