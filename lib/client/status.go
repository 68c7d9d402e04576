package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	maxErrorBody = 64 << 10 // how much of a registry's error message is read, in bytes
	maxErrorText = 200      // how much of it is shown, in bytes
	maxRest      = 1 << 30  // the largest Retry-After that is believed, in seconds
)

// ErrNotFound means that the registry has no such repository, manifest or blob.
var ErrNotFound = errors.New("not found")

// errFull marks a registry whose disk is full.
var errFull = errors.New("no space left on the registry's disk")

// statusError is an answer with an unexpected status.
type statusError struct {
	err   *transport.Error
	page  bool          // the body is a page for a browser
	after time.Duration // the answer's Retry-After
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("registry answered %d %s", e.err.StatusCode, http.StatusText(e.err.StatusCode))
	if e.page {
		text += " with a page for a browser (a proxy's?)"
	}
	for _, d := range e.err.Errors {
		text += ": " + clip(fmt.Sprintf("%s %s", d.Code, d.Message))
		break
	}
	return text
}

// Is matches ErrNotFound for status 404, and errFull for any answer caused by a
// full disk.
func (e *statusError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.err.StatusCode == http.StatusNotFound
	case errFull:
		return e.err.StatusCode == http.StatusInsufficientStorage || strings.Contains(textOf(e), "no space left on device")
	}
	return false
}

// code returns the first error code of the distribution spec in the answer.
func (e *statusError) code() string {
	for _, d := range e.err.Errors {
		return string(d.Code)
	}
	return ""
}

// method returns the request's method, or "" if it is unknown.
func (e *statusError) method() string {
	if e.err.Request == nil {
		return ""
	}
	return e.err.Request.Method
}

// writes reports whether the request was a write.
func (e *statusError) writes() bool {
	m := e.method()
	return m != http.MethodGet && m != http.MethodHead
}

// ofRoot reports whether the request was for the registry's root.
func (e *statusError) ofRoot() bool {
	return e.err.Request != nil && e.err.Request.URL.Path == "/v2/"
}

// textOf returns the complete message of an answer.
func textOf(err error) string {
	e, ok := errors.AsType[*statusError](err)
	if !ok {
		return ""
	}
	text := e.err.Error()
	for _, d := range e.err.Errors {
		text += fmt.Sprintf(" %s %v", d.Message, d.Detail)
	}
	return text
}

// clip shortens text from outside to a readable length.
func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "..."
}

// answered converts the library's error for an answer to a statusError, since
// the library's would hold the whole page that a proxy may have sent. Other
// errors are returned unchanged.
func answered(err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return err
	}
	return &statusError{err: e}
}

// checkStatus returns a statusError unless the answer has one of the wanted
// codes and is not a page for a browser.
func checkStatus(resp *http.Response, want ...int) error {
	err := transport.CheckError(resp, want...)
	if err == nil {
		if isPage(resp) {
			return notRegistry(resp, "")
		}
		return nil
	}
	e, ok := errors.AsType[*transport.Error](err)
	switch {
	case !ok:
		return err
	case isPage(resp) && resp.StatusCode < http.StatusBadRequest:
		return notRegistry(resp, "")
	}
	return &statusError{err: e, page: isPage(resp), after: retryAfter(resp.Header)}
}

// retryAfter returns how long a registry asks clients to wait: a number of
// seconds, or until a date by its own clock (RFC 9110, 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if s, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(s, 0), maxRest)) * time.Second
	}
	then, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(then.Sub(now), 0)
}

// status returns the HTTP status of an error, or 0.
func status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.err.StatusCode
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode
	}
	return 0
}
