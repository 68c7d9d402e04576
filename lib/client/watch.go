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
	quickAnswer = time.Minute      // that a question may take, and each pause of its answer
	longAnswer  = 10 * time.Minute // that content may take: a registry may hash 5 GB before it answers
	quiet       = 5 * time.Second  // after which a person is told
)

// limits are how long one request may wait for the registry.
type limits struct{ quick, long, quiet time.Duration }

// watch is the time that the registry has for one request. It begins anew with
// each piece that is sent or received, and stands still while the registry waits
// for us.
type watch struct {
	limit, quiet time.Duration

	mu       sync.Mutex
	answered bool
	late     *time.Timer
	slow     *time.Timer
}

// newWatch begins to wait. It calls slow when the registry is silent, and late
// when it was for too long.
func newWatch(limit, quiet time.Duration, slow, late func()) *watch {
	return &watch{limit: limit, quiet: quiet, late: time.AfterFunc(limit, late), slow: time.AfterFunc(quiet, slow)}
}

// wait begins anew; after the answer has come only for what is part of it.
func (w *watch) wait(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered == answer {
		w.late.Reset(w.limit)
		w.slow.Reset(w.quiet)
	}
}

// hold stands still.
func (w *watch) hold(answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered = w.answered || answer; w.answered == answer {
		w.late.Stop()
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

// answerBody is the body of an answer. It ends what belongs to the request.
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
	if late, ok := errors.AsType[*noAnswer](context.Cause(b.ctx)); ok && err != nil && err != io.EOF {
		err = &noAnswer{late.after, true}
	}
	return n, err
}

func (b *answerBody) Close() error {
	b.w.hold(true)
	err := b.inner.Close()
	b.stop(nil)
	return err
}
