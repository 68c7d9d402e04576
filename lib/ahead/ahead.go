// Package ahead reads a source in blocks ahead of its consumer.
package ahead

import (
	"io"
	"sync"
	"sync/atomic"
)

// A Reader reads a source in a goroutine of its own, so that waiting for a disk
// or a pipe overlaps with the consumer's work, and so that Stop ends a Read even
// while the source is silent.
//
// The goroutine ends at the source's end or at Stop; a Read of the source that
// hangs then is abandoned until the process exits. Read and Next belong to one
// goroutine; the other methods may be called from any.
type Reader struct {
	full chan []byte
	free chan []byte
	end  error // why full was closed

	current []byte // unread part of block
	block   []byte
	offset  atomic.Int64
	failure atomic.Pointer[error]

	once    sync.Once
	stopped chan struct{}
	cause   error // why stopped was closed
}

// New returns a Reader of r that holds n blocks of size bytes.
func New(r io.Reader, size, n int) *Reader {
	a := &Reader{full: make(chan []byte, n), free: make(chan []byte, n), stopped: make(chan struct{})}
	for range n {
		a.free <- make([]byte, size)
	}
	go a.run(r)
	return a
}

func (a *Reader) run(r io.Reader) {
	defer close(a.full)
	for {
		var block []byte
		select {
		case block = <-a.free:
		case <-a.stopped:
			return
		}
		n, err := r.Read(block[:cap(block)])
		if n > 0 {
			a.full <- block[:n] // never blocks: full has room for all blocks
		} else {
			a.free <- block
		}
		if err != nil {
			a.end = err
			return
		}
	}
}

// Read returns the source's bytes, its error, or the cause of Stop.
func (a *Reader) Read(p []byte) (int, error) {
	if len(a.current) == 0 {
		if err := a.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.current)
	a.current = a.current[n:]
	a.offset.Add(int64(n))
	return n, nil
}

// Next returns the source's next bytes, which are valid until the next call, or
// an error as Read does.
func (a *Reader) Next() ([]byte, error) {
	if len(a.current) == 0 {
		if err := a.fetch(); err != nil {
			return nil, err
		}
	}
	block := a.current
	a.current = nil
	a.offset.Add(int64(len(block)))
	return block, nil
}

// fetch returns the spent block to the pool and waits for another.
func (a *Reader) fetch() error {
	if a.block != nil {
		a.free <- a.block
		a.block = nil
	}
	select {
	case <-a.stopped:
		return a.failed(a.cause)
	default:
	}
	select {
	case block, ok := <-a.full:
		if !ok {
			return a.failed(a.end)
		}
		a.current, a.block = block, block
		return nil
	case <-a.stopped:
		return a.failed(a.cause)
	}
}

func (a *Reader) failed(err error) error {
	if err != io.EOF {
		a.failure.Store(&err)
	}
	return err
}

// Offset returns how many bytes were returned.
func (a *Reader) Offset() int64 { return a.offset.Load() }

// Err returns the error that Read or Next has returned, unless it was io.EOF.
func (a *Reader) Err() error {
	if err := a.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Stop makes the current and every later Read fail with cause.
func (a *Reader) Stop(cause error) {
	a.once.Do(func() {
		a.cause = cause
		close(a.stopped)
	})
}
