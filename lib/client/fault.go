package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// This file decides what follows from an error: whether the request is sent
// again, and whether it concerns one item or the whole run.

// Marks of errors, for errors.Is.
var (
	errUnreachable = errors.New("registry unreachable")                 // no request can succeed
	errPostponed   = errors.New("registry asks clients to wait")        // longer than a run would
	errElsewhere   = errors.New("at a host that the registry named")    // in a header or by a redirect
	errCertificate = errors.New("certificate not accepted")             //
	errPage        = errors.New("not a registry")                       // something else answers
	errSpeaksHTTP  = errors.New("the registry speaks plain HTTP")       //
	errSpeaksHTTPS = errors.New("the registry speaks HTTPS")            //
	errFull        = errors.New("no space left on the registry's disk") //
	errLogin       = errors.New("login")                                // refused or missing
	errSource      = errors.New("of the content to send")               // sending it again would not help
)

// marked is an error with a text of its own and one of the marks.
type marked struct {
	text        string
	mark, cause error
}

func (e *marked) Error() string   { return e.text }
func (e *marked) Unwrap() []error { return []error{e.mark, e.cause} }

// markf returns an error with a mark, and with a cause unless that is nil.
func markf(mark, cause error, format string, args ...any) error {
	return &marked{fmt.Sprintf(format, args...), mark, cause}
}

// busy reports whether a status says that the server, or a proxy in front of
// it, cannot answer now.
func busy(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusInsufficientStorage, http.StatusNetworkAuthenticationRequired:
		return false
	}
	return code >= http.StatusInternalServerError
}

// temporary reports whether the same request may succeed later.
func temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, errFull) || errors.Is(err, errSource) {
		return false
	}
	if code := status(err); code != 0 {
		return busy(code)
	}
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.status == 0 || busy(e.status)
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	if isDNS && dns.IsNotFound && errors.Is(err, errElsewhere) {
		return false // the registry names a host that does not exist
	}
	op, isOp := errors.AsType[*net.OpError](err)
	timeout, isTimeout := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return isOp && op.Op != "local error" && op.Op != "remote error" || isDNS ||
		isTimeout && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errTokenRefused)
}

// unreachable reports whether an error is that of a connection that failed or
// stayed silent, rather than of a registry that answers.
func unreachable(err error) bool {
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.status == 0
	}
	op, ok := errors.AsType[*net.OpError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	_, silent := errors.AsType[*noAnswer](err)
	return !errors.Is(err, errElsewhere) && (dns || silent || ok && (op.Op == "dial" || op.Op == "proxyconnect"))
}

// Fatal reports whether every further request would fail as well: no answer,
// not a registry, a full disk, or a missing login.
func (r *Registry) Fatal(err error) bool {
	for _, mark := range []error{errElsewhere, errPostponed, errUnreachable, errPage, errFull} {
		if errors.Is(err, mark) {
			return true
		}
	}
	if e, ok := errors.AsType[*proxyError](err); ok && !temporary(e) {
		return true
	}
	e, ok := errors.AsType[*statusError](err)
	switch {
	case !ok:
		return false
	case e.StatusCode == http.StatusUnauthorized:
		l, err := r.logins.of(r.prefix)
		return err == nil && !l.known()
	case e.StatusCode == http.StatusNetworkAuthenticationRequired: // a portal's, whatever was asked
		return true
	}
	// A registry that refuses one item says so in its own words.
	return r.unsupported(e) && e.code() == ""
}

// Refused reports whether a registry to push to has refused everything so far,
// writes as well as reads, in a way that may apply to all images: the next one
// will show.
func (r *Registry) Refused(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	if ok && r.o.Push && r.unsupported(e) {
		return true
	}
	if !ok || r.wrote.Load() || !e.writes() && (!r.o.Push || r.served.Load()) {
		return false
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return true
	}
	// What is below 400 is not an answer of a registry, and a request that
	// opens an upload has no content that could be at fault.
	return e.StatusCode < http.StatusBadRequest || e.Request.Method == http.MethodPost && !busy(e.StatusCode)
}

// unsupported reports whether a registry, or a proxy in front of it, does not
// allow the method of a request for that kind of item, and has never allowed it
// before.
func (r *Registry) unsupported(e *statusError) bool {
	if e.StatusCode != http.StatusMethodNotAllowed && e.StatusCode != http.StatusNotImplemented {
		return false
	}
	kind := kindOf(e.Request)
	_, allowed := r.allowed.Load(kind)
	return kind != "" && !allowed
}

// kindOf returns what the push of every image depends on and a request is an
// example of, such as "PUT manifests", or "" for other requests: small blobs are
// not sent with PATCH, and a POST is what Refused looks at.
func kindOf(req *http.Request) string {
	for req.Response != nil { // before it was redirected
		req = req.Response.Request
	}
	switch {
	case strings.Contains(req.URL.Path, "/manifests/"):
		return req.Method + " manifests"
	case req.Method == http.MethodHead, req.Method == http.MethodPut:
		return req.Method + " blobs"
	}
	return ""
}
