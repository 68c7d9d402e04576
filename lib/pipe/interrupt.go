package pipe

import (
	"context"
	"io"
)

// Interruptible returns a reader whose Read ends when ctx is done, even if r
// still waits. Data that r returns later is lost.
func Interruptible(ctx context.Context, r io.Reader) io.Reader { return interruptible{ctx, r} }

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends with the Read or with the program
		b := make([]byte, len(p)) // p belongs to the caller once we return
		n, err := i.r.Read(b)
		done <- result{b[:n], err}
	}()
	select {
	case got := <-done:
		return copy(p, got.data), got.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}

// onRead calls then when a Read has returned.
type onRead struct {
	r    io.Reader
	then func()
}

func (o *onRead) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.then()
	return n, err
}
