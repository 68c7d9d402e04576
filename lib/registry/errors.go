package registry

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"strconv"
)

// Error is an error that clients see: a code of distribution-spec, "Error Codes",
// and its HTTP status.
type Error struct {
	Code    string
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errors of stores and handlers, for errors.Is. Any other error is a fault of the
// server and is answered with 500.
var (
	ErrBlobUnknown         = &Error{"BLOB_UNKNOWN", http.StatusNotFound, "blob unknown to repository"}
	ErrUploadInvalid       = &Error{"BLOB_UPLOAD_INVALID", http.StatusBadRequest, "blob upload invalid"}
	ErrUploadUnknown       = &Error{"BLOB_UPLOAD_UNKNOWN", http.StatusNotFound, "blob upload unknown"}
	ErrRange               = &Error{"BLOB_UPLOAD_INVALID", http.StatusRequestedRangeNotSatisfiable, "range not satisfiable"}
	ErrDigestInvalid       = &Error{"DIGEST_INVALID", http.StatusBadRequest, "digest invalid"}
	ErrManifestBlobUnknown = &Error{"MANIFEST_BLOB_UNKNOWN", http.StatusNotFound, "manifest refers to a blob unknown to repository"}
	ErrManifestInvalid     = &Error{"MANIFEST_INVALID", http.StatusBadRequest, "manifest invalid"}
	ErrManifestTooLarge    = &Error{"MANIFEST_INVALID", http.StatusRequestEntityTooLarge, "manifest larger than " + strconv.Itoa(maxManifest) + " bytes"}
	ErrManifestUnknown     = &Error{"MANIFEST_UNKNOWN", http.StatusNotFound, "manifest unknown to repository"}
	ErrNameInvalid         = &Error{"NAME_INVALID", http.StatusBadRequest, "repository name invalid"}
	ErrNameUnknown         = &Error{"NAME_UNKNOWN", http.StatusNotFound, "repository name unknown"}
	ErrSizeInvalid         = &Error{"SIZE_INVALID", http.StatusBadRequest, "size invalid"}
	ErrTagInvalid          = &Error{"MANIFEST_INVALID", http.StatusBadRequest, "tag invalid"}
	ErrDenied              = &Error{"DENIED", http.StatusForbidden, "access denied"}
	ErrUnauthorized        = &Error{"UNAUTHORIZED", http.StatusUnauthorized, "authentication required"}
	ErrTooMany             = &Error{"TOOMANYREQUESTS", http.StatusTooManyRequests, "too many requests at once"}
	ErrUploadTooLarge      = &Error{"SIZE_INVALID", http.StatusRequestEntityTooLarge, "the upload exceeds the registry's limit"}
	ErrStalled             = &Error{"BLOB_UPLOAD_INVALID", http.StatusRequestTimeout, "the body stopped arriving"}
	ErrUnsupported         = &Error{"UNSUPPORTED", http.StatusMethodNotAllowed, "operation unsupported"}
	ErrEndpointUnknown     = &Error{"UNSUPPORTED", http.StatusNotFound, "no such endpoint"}
	ErrQueryInvalid        = &Error{"UNSUPPORTED", http.StatusBadRequest, "query invalid"}

	// Clients retry after 429, 500, 502 and 503; they report 507, 405 and 501 at once.
	ErrNoSpace        = &Error{"UNKNOWN", http.StatusInsufficientStorage, "no space left on the registry's disk"}
	ErrQuota          = &Error{"DENIED", http.StatusInsufficientStorage, "the registry's disk quota is used up"}
	ErrReadOnly       = &Error{"UNSUPPORTED", http.StatusMethodNotAllowed, "the registry's file system is read-only"}
	ErrTwoFileSystems = &Error{"UNSUPPORTED", http.StatusNotImplemented, "the registry's storage spans two file systems"}
)

// errInternal is the answer to every error that is not an *Error.
var errInternal = &Error{"UNKNOWN", http.StatusInternalServerError, "internal error; the registry's log has the cause"}

// bodyError is an error while a request body is read: the client disconnected or
// sent less than it announced.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// Refusal is an error with headers for the response, such as WWW-Authenticate.
type Refusal struct {
	Err    error
	Header http.Header
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// classify returns the error that clients see for err, and its message.
func classify(err error) (*Error, string) {
	if known, ok := errors.AsType[*Error](err); ok {
		return known, err.Error()
	}
	if _, body := errors.AsType[*bodyError](err); body {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ErrStalled, ErrStalled.Message
		}
		return ErrUploadInvalid, err.Error()
	}
	return errInternal, errInternal.Message
}

// WriteError writes the response for an error: the JSON of distribution-spec,
// "Error Codes", and the headers of a Refusal.
func WriteError(w http.ResponseWriter, err error) {
	if refused, ok := errors.AsType[*Refusal](err); ok {
		maps.Copy(w.Header(), refused.Header)
	}
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	e, message := classify(err)
	body, _ := json.Marshal(map[string][]item{"errors": {{e.Code, message}}}) // strings always encode
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	w.Write(body)
}
