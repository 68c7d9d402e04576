package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"k0rdent-airgap/lib/cli"
)

// Connect asks the registry for its kind of authentication, and whether it
// takes the credentials, so that wrong ones are told once and not by each
// image. It comes before all other requests, and its error does not name the
// registry. One that is ErrUnreachable means that nobody answered.
func (r *Registry) Connect(ctx context.Context) error {
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

// client gives the client that may read and, if asked for, write a repository;
// without one, list them.
func (r *Registry) client(ctx context.Context, repository string) (*http.Client, error) {
	key := repository
	if !r.bearer {
		key = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.all[key]; c != nil {
		return c, nil
	}
	var scopes []string
	switch {
	case key != "":
		scopes = []string{"repository:" + r.Repository(key) + ":" + r.scope}
	case r.bearer:
		scopes = []string{transport.CatalogScope}
	}
	c, err := r.newClient(ctx, scopes...)
	if err != nil {
		return nil, err
	}
	r.all[key] = c
	return c, nil
}

// newClient gives a client with a token for scopes, if the registry wants one.
func (r *Registry) newClient(ctx context.Context, scopes ...string) (*http.Client, error) {
	t, err := transport.NewWithContext(ctx, r.host, r.auth, r.base, scopes)
	if err != nil && strings.Contains(err.Error(), "is a private or link-local address") {
		return nil, cli.Hint(err, "the registry sends its clients to another address for a login, which only a host name may do")
	}
	if err != nil {
		return nil, answered(err)
	}
	return &http.Client{Transport: &renewing{inner: t, root: r.root()}, CheckRedirect: sameMethod}, nil
}

// root gives the address that every registry answers (end-1).
func (r *Registry) root() *url.URL { return r.address("/v2/") }

// url gives the address of something in a repository.
func (r *Registry) url(repository, kind, rest string) *url.URL {
	return r.address("/v2/" + r.Repository(repository) + "/" + kind + "/" + rest)
}

func (r *Registry) address(path string) *url.URL {
	return &url.URL{Scheme: cmp.Or(r.scheme, r.host.Scheme()), Host: r.host.RegistryStr(), Path: path}
}

// Hopeless tells whether an error would be met by every further request too:
// nobody there, or a login that we do not have.
func (r *Registry) Hopeless(err error) bool {
	return errors.Is(err, ErrUnreachable) || status(err) == http.StatusUnauthorized && r.auth == authn.Anonymous
}
