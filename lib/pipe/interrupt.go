package pipe

import (
	"context"
	"io"

	"k0rdent-airgap/lib/textfile"
)

// Interruptible returns a reader whose Read ends when ctx is done, even if r
// still waits. Data that r returns later is lost.
func Interruptible(ctx context.Context, r io.Reader) io.Reader { return interruptible{ctx, r} }

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	data, err := textfile.Until(i.ctx, func() ([]byte, error) {
		b := make([]byte, len(p)) // p belongs to the caller once we return
		n, err := i.r.Read(b)
		return b[:n], err
	})
	return copy(p, data), err
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
