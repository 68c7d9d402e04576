package main

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// flow is content that streams past: one goroutine fills it from the bundle
// while another sends it. Between them are pieces of the memory budget, so that
// reading continues while the registry is slow to answer.
//
// The most recently sent bytes are kept, so that a broken upload can resume
// where the registry stopped: the bytes sent but not stored are those in socket
// buffers, some megabytes if the host is busy.
type flow struct {
	mem  *memory
	size int64

	mu      sync.Mutex
	more    *sync.Cond
	chunks  [][]byte // the first begins at byte base
	base    int64
	filled  int64
	offset  int64 // of the next byte to send
	err     error // of the bundle
	stopped chan struct{}
	closed  bool
}

func newFlow(mem *memory, size int64) *flow {
	f := &flow{mem: mem, size: size, stopped: make(chan struct{})}
	f.more = sync.NewCond(&f.mu)
	return f
}

// fill reads r, of f.size bytes, to its end, or until the content is no longer
// needed.
func (f *flow) fill(ctx context.Context, r io.Reader) {
	for left := f.size; left > 0; left -= chunkSize {
		c, ok := f.piece(ctx)
		if !ok {
			return
		}
		n, err := io.ReadFull(r, c[:min(left, chunkSize)])
		if err == nil && left <= chunkSize { // one more read compares the digest
			if _, err = r.Read(make([]byte, 1)); err == io.EOF {
				err = nil
			}
		}
		if !f.add(c, n, err) {
			return
		}
	}
}

// piece takes a piece of memory. It is not ok if the content is no longer
// needed.
func (f *flow) piece(ctx context.Context) (c []byte, ok bool) {
	select {
	case c = <-f.mem.free:
	case <-f.stopped:
		return nil, false
	case <-ctx.Done():
		f.add(nil, 0, context.Cause(ctx))
		return nil, false
	}
	if c == nil {
		c = make([]byte, chunkSize)
	}
	return c, true
}

// add passes n bytes on, and reports whether more are needed.
func (f *flow) add(c []byte, n int, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c != nil {
		if f.closed {
			f.mem.free <- c
		} else {
			f.chunks = append(f.chunks, c)
		}
	}
	if err != nil {
		f.err = err // the bytes before it are useless
	} else {
		f.filled += int64(n)
	}
	f.more.Broadcast()
	return err == nil && !f.closed
}

func (f *flow) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.offset == f.filled && f.offset < f.size && f.err == nil && !f.closed {
		f.more.Wait()
	}
	switch {
	case f.closed:
		return 0, io.ErrClosedPipe
	case f.offset < f.filled:
	case f.err != nil:
		return 0, f.err
	default:
		return 0, io.EOF
	}
	at := f.offset - f.base
	from := at % chunkSize
	n := copy(p, f.chunks[at/chunkSize][from:min(chunkSize, from+f.filled-f.offset)])
	f.offset += int64(n)
	for f.offset-f.base >= f.mem.window+chunkSize {
		f.mem.free <- f.chunks[0]
		f.chunks, f.base = f.chunks[1:], f.base+chunkSize
	}
	return n, nil
}

// Seek returns errGone if the bytes at offset are no longer held.
func (f *flow) Seek(offset int64, _ int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset < f.base || offset > f.filled {
		return f.offset, fmt.Errorf("byte %d: %w", offset, errGone)
	}
	f.offset = offset
	return offset, nil
}

// release returns all memory and ends a running fill.
func (f *flow) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	close(f.stopped)
	f.mem.release(f.chunks)
	f.chunks = nil
	f.more.Broadcast()
}
