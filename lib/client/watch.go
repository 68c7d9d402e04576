package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// This file limits how long a registry may be silent.

const (
	quickAnswer = time.Minute      // for an answer without content, and for each pause in it
	longAnswer  = 10 * time.Minute // for requests with content: a registry may hash 5 GB before it answers
	quiet       = 5 * time.Second  // after which the wait is reported
)

// limits are how long one request may wait for the registry.
type limits struct{ quick, long, quiet time.Duration }

// watch is the time limit of one request. It restarts with each piece that is
// sent or received, and stops while the registry waits for us.
type watch struct {
	limit, quiet time.Duration

	mu       sync.Mutex
	answered bool
	expired  *time.Timer
	slow     *time.Timer
}

// newWatch starts a watch. It calls slow when the registry is silent, and
// expired when it was silent for too long.
func newWatch(limit, quiet time.Duration, slow, expired func()) *watch {
	return &watch{limit: limit, quiet: quiet, expired: time.AfterFunc(limit, expired), slow: time.AfterFunc(quiet, slow)}
}

// wait restarts the watch; once the answer has arrived, only for parts of the
// answer.
func (w *watch) wait(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered == answer {
		w.expired.Reset(w.limit)
		w.slow.Reset(w.quiet)
	}
}

// hold stops the watch.
func (w *watch) hold(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered = w.answered || answer; w.answered == answer {
		w.expired.Stop()
		w.slow.Stop()
	}
}

// sentBody is the body of a request.
type sentBody struct {
	io.ReadCloser
	w *watch
}

func (b sentBody) Read(p []byte) (int, error) {
	b.w.hold(false)
	defer b.w.wait(false)
	return b.ReadCloser.Read(p)
}

// answerBody is the body of an answer. It releases the resources of the
// request.
type answerBody struct {
	io.Reader
	inner io.Closer
	w     *watch
	ctx   context.Context
	stop  context.CancelCauseFunc
}

func (b *answerBody) Read(p []byte) (int, error) {
	b.w.wait(true)
	n, err := b.Reader.Read(p)
	b.w.hold(true)
	if expired, ok := errors.AsType[*noAnswer](context.Cause(b.ctx)); ok && err != nil && err != io.EOF {
		err = &noAnswer{expired.after, true}
	}
	return n, err
}

func (b *answerBody) Close() error {
	b.w.hold(true)
	err := b.inner.Close()
	b.stop(nil)
	return err
}
