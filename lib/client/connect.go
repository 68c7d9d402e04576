package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"k0rdent-airgap/lib/cli"
)

// patience is how long a first answer may take before the wait is reported.
const patience = 3 * time.Second

// Connect determines the registry's scheme and kind of login, and checks the
// credentials, so that wrong ones are reported once and not for each image. It
// must be called before all other requests, and its error does not name the
// registry.
func (r *Registry) Connect(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, r.o.Timeout, &noAnswer{after: r.o.Timeout})
	defer cancel()
	slow := time.AfterFunc(patience, func() {
		if !r.notified.Load() { // the reason is enough
			r.notify("first", "waiting for the first answer of %s", r.Host())
		}
	})
	defer slow.Stop()
	err := r.connect(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = r.explain(last(context.Cause(limited)))
	}
	r.connected.Store(err == nil)
	return err
}

func (r *Registry) connect(ctx context.Context) error {
	var first greeting
	err := r.retry(ctx, func() (err error) {
		r.base.scheme, first, err = r.ping(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.bearer = first.login == "bearer"
	l, err := r.logins.of(r.prefix)
	if err != nil {
		return err
	}
	// Only its use shows what an anonymous token allows, and registries
	// that anyone may read still ask for a login here.
	if !l.known() && (first.login != "basic" || !r.o.Push) {
		if first.login != "" || first.named {
			return nil
		}
		return r.retry(ctx, func() error { return r.disprove(ctx, r.anonymous()) })
	}
	return r.retry(ctx, func() error {
		c, err := r.newClient(ctx, l)
		if err != nil {
			return err
		}
		resp, err := fetch(ctx, c, http.MethodGet, r.root().String())
		if err != nil {
			return err
		}
		defer drain(resp)
		err = checkRoot(resp)
		if err != nil || r.bearer || isRegistry(resp) {
			return err
		}
		return r.disprove(ctx, c)
	})
}

// client returns the client that may read and, if asked for, write a
// repository; without one, list them.
func (r *Registry) client(ctx context.Context, repository string) (*http.Client, error) {
	l, err := r.logins.of(r.Repository(repository))
	if err != nil {
		return nil, err
	}
	key := l.user + " " + l.from
	if r.bearer {
		key = repository
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.all[key]; c != nil {
		return c, nil
	}
	var scopes []string
	switch {
	case r.bearer && repository == "":
		scopes = []string{transport.CatalogScope}
	case r.bearer && r.o.Push:
		scopes = []string{"repository:" + r.Repository(repository) + ":" + transport.PushScope}
	case r.bearer:
		scopes = []string{"repository:" + r.Repository(repository) + ":" + transport.PullScope}
	}
	c, err := r.newClient(ctx, l, scopes...)
	if err != nil {
		return nil, err
	}
	r.all[key] = c
	return c, nil
}

// newClient returns a client with a token for scopes, if the registry requires
// one.
func (r *Registry) newClient(ctx context.Context, l login, scopes ...string) (*http.Client, error) {
	t, err := transport.NewWithContext(ctx, r.host, l.auth, r.base, scopes)
	if err != nil && strings.Contains(err.Error(), "is a private or link-local address") {
		return nil, cli.Hint(err, "the registry sends its clients to an IP address for a login; the token server must have a host name")
	}
	if err != nil {
		return nil, plainError(err)
	}
	return &http.Client{Transport: &renewing{inner: t, root: r.root()}, CheckRedirect: sameMethod}, nil
}

// plainError removes the address from an error, since the caller names the
// item, and makes the library's error for an answer ours: that would hold the
// whole page that a proxy may have sent.
func plainError(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*refusal](err); ok {
		return &statusError{refusal: e}
	}
	if err == io.EOF { // of the connection; a reader would take it for the end of the content
		return io.ErrUnexpectedEOF
	}
	return err
}

// root returns the address that every registry answers (end-1).
func (r *Registry) root() *url.URL { return r.address("/v2/") }

// url returns the address of an item in a repository.
func (r *Registry) url(repository, kind, rest string) *url.URL {
	return r.address("/v2/" + r.Repository(repository) + "/" + kind + "/" + rest)
}

func (r *Registry) address(path string) *url.URL {
	return &url.URL{Scheme: cmp.Or(r.base.scheme, r.host.Scheme()), Host: r.host.RegistryStr(), Path: path}
}
