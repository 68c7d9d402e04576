package client

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ref"
)

// advise is like cli.Hint, but adds no hint if it would need a name that is
// empty.
func advise(err error, format string, names ...any) error {
	for _, n := range names {
		if n == "" {
			return err
		}
	}
	return cli.Hint(err, format, names...)
}

// explain adds the remedy to an error as a hint, unless it has one.
func (r *Registry) explain(err error) error {
	if err == nil || errors.Is(err, errLogin) || cli.HintOf(err) != "" {
		return err
	}
	if e, ok := errors.AsType[*proxyError](err); ok {
		return r.explainProxy(err, e)
	}
	if errors.Is(err, errFull) {
		return cli.Hint(err, "make room on the registry's disk, then run the same command: blobs that the registry already has are skipped")
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return r.explainStatus(err, e)
	}
	switch {
	case errors.Is(err, errSpeaksHTTP):
		return advise(err, "give %s to allow that, or serve the registry over TLS", r.o.Names.PlainHTTP)
	case errors.Is(err, errSpeaksHTTPS) && !r.o.PlainHTTP:
		return cli.Hint(err, "name it as https://%s", r.Host())
	case errors.Is(err, errSpeaksHTTPS):
		return advise(err, "remove %s", r.o.Names.PlainHTTP)
	case errors.Is(err, errPage):
		if proxy, _ := proxyOf(&http.Request{URL: r.root()}); proxy != nil {
			return r.explainProxy(err, &proxyError{})
		}
		return r.adviseAddress(err)
	}
	return r.explainNetwork(err)
}

func (r *Registry) explainNetwork(err error) error {
	if e, ok := errors.AsType[*noAnswer](err); ok && e.connected {
		return advise(err, "something accepts connections at %s but does not answer: check the registry's port, or wait longer with %s", r.Host(), r.o.Names.Timeout)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return cli.Hint(err, "check the name; if it is right, add it to the site's DNS or to /etc/hosts")
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET):
		return cli.Hint(err, `is the registry running there? on its host: "systemctl status oci-serve"`)
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return cli.Hint(err, `this host has no route there: check the address, and "ip route"`)
	case unreachable(err):
		return cli.Hint(err, `check the address and firewalls, and on the registry's host "systemctl status oci-serve"`)
	}
	return err
}

func (r *Registry) adviseAddress(err error) error {
	return advise(err, "check the address and port in %s: a web server, a login portal or a proxy answers there", r.o.Names.At)
}

func (r *Registry) explainProxy(err error, e *proxyError) error {
	switch host := ref.Hostname(r.Host()); {
	case e.status != http.StatusProxyAuthRequired:
		return cli.Hint(err, "HTTP_PROXY or HTTPS_PROXY names it; for a registry inside the site set NO_PROXY=%s", host)
	case e.proxy == "":
		return advise(err, "check the address and port in %s: a proxy that requires a login answers there, or is in front of the registry", r.o.Names.At)
	default:
		return cli.Hint(err, "a registry inside the site needs no proxy: set NO_PROXY=%s; otherwise put the login in HTTP_PROXY and HTTPS_PROXY", host)
	}
}

func (r *Registry) explainStatus(err error, e *statusError) error {
	switch e.StatusCode {
	case http.StatusUnauthorized:
		if l, lerr := r.logins.of(r.prefix); lerr == nil && l.known() {
			return cli.Hint(markf(errLogin, err, "login of %q refused: %v", l.user, err), "check the user name and the password from %s", l.from)
		}
		return advise(markf(errLogin, err, "login required: %v", err), "give %s and %s, or log in with podman, skopeo or docker", r.o.Names.Username, r.o.Names.PasswordFile)
	case http.StatusForbidden:
		switch {
		case e.page:
			return r.adviseProxy(err)
		case !e.writes():
			return cli.Hint(err, "this user, or this address, may not read from the registry")
		}
		return cli.Hint(err, `this user, or this address, may not write to the registry; with oci-serve, push as root on its own host, or allow users to write with "oci-serve --write auth --htpasswd FILE"`)
	case http.StatusNotFound:
		switch {
		case e.ofRoot():
			return r.adviseAddress(err)
		case e.writes() && e.code() == "NAME_UNKNOWN":
			return cli.Hint(err, "create the repository in the registry first")
		}
	case http.StatusRequestEntityTooLarge:
		return cli.Hint(err, "raise the size limit of the proxy in front of the registry (nginx: client_max_body_size 0), or push without that proxy")
	}
	return r.explainClass(err, e)
}

// explainClass adds hints for classes of status codes without a hint of their
// own.
func (r *Registry) explainClass(err error, e *statusError) error {
	code := e.StatusCode
	switch {
	case code < http.StatusBadRequest || e.ofRoot() && !mayRefuse(code):
		return r.adviseAddress(err)
	case code == http.StatusInternalServerError:
		return cli.Hint(err, `the registry's log says why; on the host of oci-serve: "journalctl -u oci-serve"`)
	case busy(code):
		return cli.Hint(err, "the registry, or a proxy in front of it, is overloaded or under maintenance: run the same command again later")
	case e.page && code < http.StatusInternalServerError:
		return r.adviseProxy(err)
	case r.unsupported(e), code == http.StatusMethodNotAllowed && e.Request.Method == http.MethodPatch:
		method, items, _ := strings.Cut(cmp.Or(kindOf(e.Request), "PATCH blobs"), " ")
		return cli.Hint(err, "the registry, or a proxy in front of it, does not allow %s requests for %s: check its configuration", method, items)
	case code == http.StatusMethodNotAllowed && e.writes() && r.wrote.Load():
		return cli.Hint(err, "the registry does not allow this one: its repository may be read-only, or its tag locked")
	case code == http.StatusMethodNotAllowed && e.writes():
		return cli.Hint(err, "the registry is read-only: a pull-through cache, or one under maintenance")
	}
	return err
}

// adviseProxy adds a hint for a page received instead of a registry's answer.
func (r *Registry) adviseProxy(err error) error {
	return cli.Hint(err, "a proxy or web server in front of the registry refuses this: check its configuration, or use an address of %s that bypasses it", ref.Hostname(r.Host()))
}
