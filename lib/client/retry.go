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
	attempts   = 6               // tries of one request, about 8 s in all
	maxTotal   = 3 * time.Minute // time limit for all tries, from the first failure
	notifyFrom = 2               // the number of the failed try from which retries are reported
)

// ErrUnreachable means that the registry could not be reached at all, so that
// further images would fail as well.
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

// postponedError means that a registry asks clients to retry later than a run
// would wait.
type postponedError struct {
	err   error
	until time.Time
}

func (e *postponedError) Error() string {
	return fmt.Sprintf("%v, and asks clients to wait until %s", e.err, stamp(e.until))
}
func (e *postponedError) Unwrap() error { return e.err }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

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
	if errors.Is(err, context.Canceled) || errors.Is(err, errFull) {
		return false
	}
	if code := status(err); code != 0 {
		return busy(code)
	}
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.status == 0 || busy(e.status)
	}
	if _, ok := errors.AsType[*sourceError](err); ok { // a truncated bundle looks like a broken connection
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
	timeout, isTimeout := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return isOp && op.Op != "local error" && op.Op != "remote error" || isDNS ||
		isTimeout && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unreachable reports whether an error is that of a connection that failed or
// stayed silent, rather than of a registry that answers.
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

// last returns the error of the last try. It maps to exit code 75 if another
// run may succeed, and wraps ErrUnreachable if nothing can succeed until then.
func last(err error) error {
	switch {
	case unreachable(err):
		return cli.TryAgain(&unreachableError{err})
	case temporary(err) && !errors.Is(err, errTokenRefused):
		return cli.TryAgain(err)
	}
	return err
}

// retry runs try until it succeeds or fails for good, with growing pauses. Its
// error has a hint; see also last.
func (r *Registry) retry(ctx context.Context, try func() error) error {
	t := r.tries()
	var before error
	for {
		err := try()
		if err == nil {
			return nil
		}
		if _, silent := errors.AsType[*noAnswer](err); silent && before != nil && answerTimedOut(ctx) {
			err = before // says more than the timeout does
		}
		before = err
		if !temporary(err) || ctx.Err() != nil && !answerTimedOut(ctx) {
			return r.explain(err)
		}
		if err := t.pause(ctx, err); err != nil {
			return err
		}
	}
}

// answerTimedOut reports whether a context has ended because the time limit for
// an answer passed.
func answerTimedOut(ctx context.Context) bool {
	_, ok := errors.AsType[*noAnswer](context.Cause(ctx))
	return ok
}

// tries counts the tries of one request, or of one transfer since its last
// byte.
type tries struct {
	reg   *Registry
	n     int       // failed ones
	began time.Time // when the first one failed
}

func (r *Registry) tries() *tries { return &tries{reg: r} }

// pause waits after a failed try, longer each time and with jitter, or as long
// as the registry asks for. It returns an error, with a hint, if there must be
// no other try.
func (t *tries) pause(ctx context.Context, err error) error {
	now, r := time.Now(), t.reg
	if t.n++; t.n == 1 {
		t.began = now
		if e, silent := errors.AsType[*noAnswer](err); silent {
			t.began = now.Add(-e.after)
		}
	}
	d := r.wait << (t.n - 1)
	d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	asked := askedFor(err)
	d = max(d, asked)
	end := t.began.Add(maxTotal)
	if limit, ok := ctx.Deadline(); ok && limit.Before(end) {
		end = limit
	}
	switch {
	case asked > 0 && now.Add(asked).After(end):
		return r.explain(last(&postponedError{err, now.Add(asked)}))
	case t.n == attempts || now.Sub(t.began) > maxTotal:
		return r.explain(last(err))
	case asked > patience:
		r.notify(status(err), "%s: %v; trying again at %s, as it requests", r.Host(), err, stamp(now.Add(d)))
	case t.n >= notifyFrom:
		r.notify(status(err), "%s: %v; trying again", r.Host(), err)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		if answerTimedOut(ctx) {
			return r.explain(last(err))
		}
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// askedFor returns how long an answer asks the client to wait.
func askedFor(err error) time.Duration {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.after
	}
	if e, ok := errors.AsType[*proxyError](err); ok {
		return e.after
	}
	return 0
}

// silent reports a registry that does not answer a request.
func (r *Registry) silent(limit time.Duration) {
	if r.connected.Load() { // before that, Connect does
		r.notify("silent", "%s has not answered for %v; waiting for up to %v", r.Host(), r.base.limits.quiet, limit)
	}
}

// notify reports what the tool is waiting for, once per reason.
func (r *Registry) notify(reason any, format string, args ...any) {
	r.notified.Store(true)
	if _, known := r.noticed.LoadOrStore(reason, true); !known && r.notice != nil {
		r.notice(fmt.Sprintf(format, args...))
	}
}
