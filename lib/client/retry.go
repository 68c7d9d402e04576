package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"k0rdent-airgap/lib/cli"
)

const (
	attempts = 6                // tries of one request, about 8 s in all
	maxWait  = 30 * time.Second // between two tries, even if the registry asks for more
	maxTotal = 3 * time.Minute  // after which no further try is made
	tellFrom = 2                // the failed try from which on a retry is reported
)

// ErrUnreachable says that the registry could not be reached at all, so that
// going on with further images is of no use.
var ErrUnreachable = errors.New("registry unreachable")

// unreachableError is the last error of a registry that could not be reached.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string {
	_, silent := errors.AsType[*noAnswer](e.err)
	_, proxy := errors.AsType[*proxyError](e.err)
	if silent || proxy {
		return e.err.Error()
	}
	return fmt.Sprintf("%v: %v", ErrUnreachable, e.err)
}

func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// busy reports whether a status says that the server, or what stands before it,
// has no time.
func busy(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// temporary reports whether the same request may succeed later.
func temporary(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, errFull) {
		return false
	}
	if code := status(err); code != 0 {
		return busy(code) || code >= 500 && code != http.StatusNotImplemented
	}
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.status == 0 || busy(e.status)
	}
	if _, ok := errors.AsType[*sourceError](err); ok { // a bundle that is cut off ends like a connection
		return false
	}
	if errors.Is(err, errTokenRefused) {
		return true
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	if _, there := errors.AsType[*elsewhere](err); there && isDNS && dns.IsNotFound {
		return false // the registry names a host that does not exist
	}
	op, isOp := errors.AsType[*net.OpError](err)
	var timeout interface{ Timeout() bool }
	return isOp && op.Op != "local error" && op.Op != "remote error" || isDNS ||
		errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unreachable reports whether an error is of a connection that could not be
// made, or on which nothing came, rather than of a registry that answers.
func unreachable(err error) bool {
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.status == 0
	}
	if _, ok := errors.AsType[*elsewhere](err); ok {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	_, silent := errors.AsType[*noAnswer](err)
	return dns || silent || ok && (op.Op == "dial" || op.Op == "proxyconnect")
}

// last returns the error of a last try. It stands for exit code 75 where another
// run may succeed, and wraps ErrUnreachable where nothing can until then.
func last(err error) error {
	switch code := status(err); {
	case unreachable(err):
		return cli.TryAgain(&unreachableError{err})
	case code == 0 && temporary(err) && !errors.Is(err, errTokenRefused), busy(code):
		return cli.TryAgain(err)
	}
	return err
}

// retry runs try until it succeeds or fails for good, with growing pauses. Its
// error has the hint that helps; see also last.
func (r *Registry) retry(ctx context.Context, try func() error) error {
	began := time.Now()
	var before error
	for n := 1; ; n++ {
		err := try()
		if err == nil {
			return nil
		}
		if _, silent := errors.AsType[*noAnswer](err); silent && before != nil && late(ctx) {
			err = before // says more than that the time is up
		}
		before = err
		if !temporary(err) || ctx.Err() != nil && !late(ctx) {
			return r.explain(err)
		}
		if n == attempts || time.Since(began) > maxTotal {
			return r.explain(last(err))
		}
		if r.pause(ctx, n, err) != nil {
			if late(ctx) {
				return r.explain(last(err))
			}
			return ctx.Err()
		}
	}
}

// late reports whether a context has ended because the registry was given no
// more time to answer.
func late(ctx context.Context) bool {
	_, ok := errors.AsType[*noAnswer](context.Cause(ctx))
	return ok
}

// pause waits before try n+1, longer each time and never in step with other
// clients.
func (r *Registry) pause(ctx context.Context, n int, err error) error {
	if n >= tellFrom {
		r.tell(status(err), "%s: %v; trying again", r.Host(), err)
	}
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

// tell reports what the tool waits for, once for each reason.
func (r *Registry) tell(reason any, format string, args ...any) {
	r.told.Store(true)
	if _, known := r.noticed.LoadOrStore(reason, true); !known && r.notice != nil {
		r.notice(fmt.Sprintf(format, args...))
	}
}

// Hopeless reports whether an error would be met by every further request, too:
// nobody there, something that is no registry, a full disk, or a login that we
// do not have.
func (r *Registry) Hopeless(err error) bool {
	if _, ok := errors.AsType[*elsewhere](err); ok {
		return true
	}
	if e, ok := errors.AsType[*proxyError](err); ok && !temporary(e) {
		return true
	}
	if errors.Is(err, ErrUnreachable) || errors.Is(err, errPage) || errors.Is(err, errFull) {
		return true
	}
	l, lerr := r.logins.of(r.prefix)
	return status(err) == http.StatusUnauthorized && lerr == nil && !l.known()
}

// Refused reports whether the registry has refused to take anything so far, in
// a way that it may have for everything: the next image may tell.
func (r *Registry) Refused(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	if !ok || !e.writes() || r.wrote.Load() {
		return false
	}
	switch e.err.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return true
	case http.StatusNotFound, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		// What opens an upload has no content that could be at fault.
		return e.err.Request != nil && e.err.Request.Method == http.MethodPost
	}
	return false
}
