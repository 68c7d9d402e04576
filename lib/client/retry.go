package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"k0rdent-airgap/lib/cli"
)

const (
	attempts     = 6                // tries of one request, about 8 s in all
	maxWait      = 30 * time.Second // between two tries, even if the registry asks for more
	maxErrorBody = 64 << 10         // what is read of a registry's error message, in bytes
	maxErrorText = 200              // what is shown of it, in bytes
)

// ErrUnreachable says that the registry could not be reached at all, so that
// going on with further images is of no use.
var ErrUnreachable = errors.New("registry unreachable")

// ErrNotFound says that the registry has no such repository, manifest or blob.
var ErrNotFound = errors.New("not found")

// statusError is an answer that was not the wanted one.
type statusError struct {
	err   *transport.Error
	after time.Duration // the answer's Retry-After
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("registry answered %d %s", e.err.StatusCode, http.StatusText(e.err.StatusCode))
	for _, d := range e.err.Errors {
		text += ": " + clip(fmt.Sprintf("%s %s", d.Code, d.Message))
		break
	}
	return text
}

// Is makes an answer of 404 an ErrNotFound.
func (e *statusError) Is(target error) bool {
	return target == ErrNotFound && e.err.StatusCode == http.StatusNotFound
}

// clip keeps what a stranger wrote to a length that a person reads.
func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "..."
}

// answered gives a statusError, with a hint, for an answer that the library
// has turned into an error; its own would hold the whole page that a proxy
// may have sent. Other errors stay as they are.
func answered(err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return err
	}
	return hinted(&statusError{err: e})
}

func hinted(e *statusError) error {
	switch e.err.StatusCode {
	case http.StatusUnauthorized:
		return cli.Hint(e, "give the right --username and --password-file, or log in with a docker configuration file")
	case http.StatusForbidden:
		return cli.Hint(e, "the registry does not let this user, or this address, %s", deed(e.err.Request))
	}
	return e
}

// deed says what a request was to do.
func deed(req *http.Request) string {
	if req != nil && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		return "read"
	}
	return "write"
}

// checkStatus gives a statusError unless the answer has one of the wanted codes.
func checkStatus(resp *http.Response, want ...int) error {
	err := transport.CheckError(resp, want...)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return err
	}
	out := &statusError{err: e}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		out.after = time.Duration(s) * time.Second
	}
	return hinted(out)
}

// status gives the HTTP status that an error stands for, or 0.
func status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.err.StatusCode
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode
	}
	return 0
}

// temporary tells whether the same request may succeed later.
func temporary(err error) bool {
	switch code := status(err); {
	case code == http.StatusInsufficientStorage || code == http.StatusNotImplemented:
		return false
	case code != 0:
		return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errPlainHTTP) {
		return false
	}
	if _, ok := errors.AsType[*sourceError](err); ok { // a bundle that is cut off ends like a connection
		return false
	}
	if errors.Is(err, errTokenRefused) {
		return true
	}
	var op *net.OpError
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	return errors.As(err, &op) && op.Op != "local error" && op.Op != "remote error" ||
		errors.As(err, &dns) ||
		errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unreachable tells whether an error is of the connection's making, not of a
// registry that answers.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	return dns || ok && op.Op == "dial"
}

// last gives the error of a last try. When the registry could not be reached,
// it wraps ErrUnreachable and stands for exit code 75.
func last(err error) error {
	if unreachable(err) {
		return cli.TryAgain(fmt.Errorf("%w: %w", ErrUnreachable, err))
	}
	return err
}

// retry runs try until it succeeds or fails for good, with growing pauses; for
// the error, see last.
func (r *Registry) retry(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !temporary(err) {
			return err
		}
		if n == attempts {
			return last(err)
		}
		if err := r.pause(ctx, n, err); err != nil {
			return err
		}
	}
}

// pause waits before try n+1, longer each time and never in step with other
// clients.
func (r *Registry) pause(ctx context.Context, n int, err error) error {
	d := r.wait << (n - 1)
	d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	if e, ok := errors.AsType[*statusError](err); ok && e.after > d {
		d = e.after
	}
	t := time.NewTimer(min(d, maxWait))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
