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

// refusal is what the library makes of an answer.
type refusal = transport.Error

// statusError is an answer with an unexpected status.
type statusError struct {
	*refusal
	page  bool          // the body is a page for a browser
	after time.Duration // the answer's Retry-After
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("registry answered %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if e.page {
		text += " with a page for a browser (a proxy's?)"
	}
	if len(e.Errors) > 0 {
		text += ": " + clip(fmt.Sprintf("%s %s", e.Errors[0].Code, e.Errors[0].Message))
	}
	return text
}

// Is matches ErrNotFound for status 404, and errFull for any answer caused by a
// full disk.
func (e *statusError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound
	case errFull:
		return e.StatusCode == http.StatusInsufficientStorage || strings.Contains(e.text(), "no space left on device")
	}
	return false
}

// code returns the first error code of the distribution spec in the answer.
func (e *statusError) code() string {
	if len(e.Errors) == 0 {
		return ""
	}
	return string(e.Errors[0].Code)
}

// writes reports whether the request was a write.
func (e *statusError) writes() bool {
	return e.Request.Method != http.MethodGet && e.Request.Method != http.MethodHead
}

// ofRoot reports whether the request was for the registry's root.
func (e *statusError) ofRoot() bool { return e.Request.URL.Path == "/v2/" }

// text returns the complete message of the answer.
func (e *statusError) text() string {
	text := e.refusal.Error()
	for _, d := range e.Errors {
		text += fmt.Sprintf(" %s %v", d.Message, d.Detail)
	}
	return text
}

// status returns the HTTP status of an error, or 0.
func status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.StatusCode
	}
	return 0
}

// clip shortens text from outside to a readable length.
func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "..."
}

// checkStatus returns a statusError unless the answer has one of the wanted
// codes and is not a page for a browser.
func checkStatus(resp *http.Response, want ...int) error {
	err := transport.CheckError(resp, want...)
	if isPage(resp) && (err == nil || resp.StatusCode < http.StatusBadRequest) {
		return notRegistry(resp)
	}
	if e, ok := errors.AsType[*refusal](err); ok {
		return &statusError{refusal: e, page: isPage(resp), after: retryAfter(resp.Header)}
	}
	return err
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
