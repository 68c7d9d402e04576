package client

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// This file decides whether an error concerns one item or the whole run.

// Fatal reports whether every further request would fail as well: no answer,
// not a registry, a full disk, or a missing login.
func (r *Registry) Fatal(err error) bool {
	if _, ok := errors.AsType[*elsewhere](err); ok {
		return true
	}
	if _, ok := errors.AsType[*postponedError](err); ok {
		return true
	}
	if e, ok := errors.AsType[*proxyError](err); ok && !temporary(e) {
		return true
	}
	if errors.Is(err, ErrUnreachable) || errors.Is(err, errPage) || errors.Is(err, errFull) {
		return true
	}
	if status(err) == http.StatusNetworkAuthenticationRequired { // a portal's, whatever was asked
		return true
	}
	if e, ok := errors.AsType[*statusError](err); ok && r.unsupported(e) {
		// A registry that refuses one item says so in its own words.
		return e.code() == ""
	}
	l, lerr := r.logins.of(r.prefix)
	return status(err) == http.StatusUnauthorized && lerr == nil && !l.known()
}

// Refused reports whether a registry to push to has refused everything so far,
// writes as well as reads, in a way that may apply to all images: the next one
// will show.
func (r *Registry) Refused(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	if ok && r.scope == transport.PushScope && r.unsupported(e) {
		return true
	}
	if !ok || r.wrote.Load() || !e.writes() && (r.scope != transport.PushScope || r.served.Load()) {
		return false
	}
	if e.err.StatusCode < http.StatusBadRequest { // not an answer of a registry
		return true
	}
	switch e.err.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return true
	case http.StatusNotFound, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		// A request that opens an upload has no content that could be
		// at fault.
		return e.method() == http.MethodPost
	}
	return false
}

// unsupported reports whether a registry, or a proxy in front of it, does not
// allow the method of a request for that kind of item, and has never allowed it
// before.
func (r *Registry) unsupported(e *statusError) bool {
	code := e.err.StatusCode
	if code != http.StatusMethodNotAllowed && code != http.StatusNotImplemented {
		return false
	}
	kind := kindOf(e.err.Request)
	_, allowed := r.allowed.Load(kind)
	return kind != "" && !allowed
}

// kindOf returns what the push of every image depends on and a request is an
// example of, such as "PUT manifests", or "" for other requests: small blobs are
// not sent with PATCH, and a POST is what Refused looks at.
func kindOf(req *http.Request) string {
	if req == nil || req.URL == nil {
		return ""
	}
	for req.Response != nil && req.Response.Request != nil { // before it was redirected
		req = req.Response.Request
	}
	switch path := req.URL.Path; {
	case strings.Contains(path, "/manifests/"):
		return req.Method + " manifests"
	case req.Method == http.MethodHead, req.Method == http.MethodPut:
		return req.Method + " blobs"
	}
	return ""
}
