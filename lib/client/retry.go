package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k0rdent-airgap/lib/cli"
)

const (
	attempts   = 6               // tries of one request, about 8 s in all
	maxTotal   = 3 * time.Minute // time limit for all tries, from the first failure
	notifyFrom = 2               // the number of the failed try from which retries are reported
)

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// last returns the error of the last try. It maps to exit code 75 if another
// run may succeed, and has the mark errUnreachable if nothing can succeed until
// then.
func last(err error) error {
	if unreachable(err) {
		text := err.Error()
		_, silent := errors.AsType[*noAnswer](err)
		if _, proxy := errors.AsType[*proxyError](err); !silent && !proxy {
			text = fmt.Sprintf("%v: %v", errUnreachable, err)
		}
		err = markf(errUnreachable, err, "%s", text)
	}
	if temporary(err) && !errors.Is(err, errTokenRefused) {
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
		until := stamp(now.Add(asked))
		err = markf(errPostponed, err, "%v, and asks clients to wait until %s", err, until)
		return cli.Hint(last(err), "run the same command again after %s", until)
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
	if _, known := r.noticed.LoadOrStore(reason, true); !known && r.o.Notice != nil {
		r.o.Notice(fmt.Sprintf(format, args...))
	}
}
