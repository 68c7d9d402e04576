package main

import (
	"errors"
	"net/http"
	"net/netip"

	"k0rdent-airgap/lib/registry"
)

// realm is the challenge for clients without valid credentials.
const realm = `Basic realm="oci-serve"`

// maxLogged bounds how much of a wrong user name is logged, in bytes.
const maxLogged = 64

// guard decides which requests are allowed.
type guard struct {
	write string            // owner, loopback, auth, any or none
	read  string            // any or auth
	users *users            // nil without --htpasswd
	names func(string) bool // reports whether the registry has this host name; nil: none
	// reports are for the log; failed is called for each wrong name or password.
	reports *reports
	failed  func()
}

// allow is for registry.Options. Credentials are always checked, even if none are
// needed: a client that logs in expects to learn whether they are right.
func (g *guard) allow(r *http.Request, k registry.Kind) (string, error) {
	if k.Writes() {
		if err := g.refuseBrowser(r); err != nil {
			return "", err
		}
	}
	user, err := g.identify(r)
	if err != nil {
		return "", err
	}
	if user == "" && g.needsUser(k) {
		return "", challenge(registry.ErrUnauthorized)
	}
	if !k.Writes() {
		return user, nil
	}
	switch g.write {
	case "owner":
		return user, fromOwner(r)
	case "loopback":
		if a, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !a.Addr().Unmap().IsLoopback() {
			return user, deny("only programs on this registry's own host may push, over loopback; push there to localhost, or let users log in: oci-serve --write auth")
		}
	case "none":
		return user, registry.ErrDenied
	}
	return user, nil
}

// needsUser reports whether a request needs credentials. GET /v2/ does whenever
// anything does: docker and containers/image (skopeo, podman) send credentials
// only to a registry that asks for them there. Clients without credentials still
// read anonymously, except for docker's classic image store, which then requires
// a login.
func (g *guard) needsUser(k registry.Kind) bool {
	switch {
	case k == registry.Ping:
		return g.write == "auth" || g.read == "auth"
	case k.Writes():
		return g.write == "auth"
	}
	return g.read == "auth"
}

// identify returns the user whose credentials a request carries, "" if none.
func (g *guard) identify(r *http.Request) (string, error) {
	name, password, ok := r.BasicAuth()
	// Without credentials, containers/image answers a challenge with an empty pair.
	if !ok || g.users == nil || name == "" && password == "" {
		return "", nil
	}
	err := g.users.check(r.Context(), registry.Network(r), name, password)
	report := func(problem string) {
		g.reports.add(withoutPort(r.RemoteAddr), problem, name[:min(len(name), maxLogged)])
	}
	if many, ok := errors.AsType[*tooManyError](err); ok {
		report(": login refused for now, after too many attempts,")
		return "", many.refusal()
	}
	switch err {
	case nil:
		return name, nil
	case errWrong:
		g.failed()
		report(": wrong user name or password")
		return "", challenge(registry.ErrUnauthorized)
	}
	return "", registry.ErrUnauthorized // the client is gone
}

func challenge(err error) error {
	return &registry.Refusal{Err: err, Header: http.Header{"Www-Authenticate": {realm}}}
}

// guardRead applies --read to a page outside the registry's API.
func (g *guard) guardRead(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := g.identify(r)
		if err == nil && user == "" && g.read == "auth" {
			err = challenge(registry.ErrUnauthorized)
		}
		if err != nil {
			registry.WriteError(w, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}
