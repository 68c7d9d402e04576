package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// errGone marks content that has streamed past and cannot be read again.
var errGone = errors.New("content has streamed past")

// flow is content from a stream: one goroutine fills it from the bundle, and
// another sends it, at the same time unless it fits in memory. Between them are
// pieces of the memory budget, so that reading continues while the registry is
// slow to answer.
//
// The most recently sent bytes are kept, so that a broken upload can resume
// where the registry stopped: the bytes sent but not stored are those in socket
// buffers, some megabytes if the host is busy. Fewer are kept if this is the only
// upload and blobs that wait for it hold the memory.
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
	short   bool  // fill waits for memory
	stopped chan struct{}
	closed  bool
}

func newFlow(mem *memory, size int64) *flow {
	f := &flow{mem: mem, size: size, stopped: make(chan struct{})}
	f.more = sync.NewCond(&f.mu)
	return f
}

// fill reads r, of f.size bytes, to its end, or until the content is no longer
// needed. Its error is also that of Read.
func (f *flow) fill(ctx context.Context, r io.Reader) error {
	for left := f.size; ; left -= chunkSize {
		c, err := f.piece(ctx)
		if err != nil {
			return f.add(nil, 0, err)
		}
		n, err := io.ReadFull(r, c[:min(left, chunkSize)])
		end := left <= chunkSize
		if err == nil && end { // one more read compares the digest
			if _, err = r.Read(make([]byte, 1)); err == io.EOF {
				err = nil
			}
		}
		if err := f.add(c, n, err); err != nil || end {
			return err
		}
	}
}

// piece takes a piece of memory.
func (f *flow) piece(ctx context.Context) (c []byte, err error) {
	f.setShort(len(f.mem.free) == 0)
	defer f.setShort(false)
	select {
	case c = <-f.mem.free:
	case <-f.stopped:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c == nil {
		c = make([]byte, chunkSize)
	}
	return c, nil
}

func (f *flow) setShort(short bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.short = short; short {
		f.more.Broadcast()
	}
}

// add passes n bytes on, or the error of reading them. It returns an error if no
// more are needed.
func (f *flow) add(c []byte, n int, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed && c != nil:
		f.mem.free <- c
	case c != nil:
		f.chunks = append(f.chunks, c)
	}
	if err == nil && f.closed {
		return io.ErrClosedPipe
	}
	if f.err = err; err == nil { // otherwise the bytes before it are useless
		f.filled += int64(n)
	}
	f.more.Broadcast()
	return err
}

func (f *flow) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.offset == f.filled && f.offset < f.size && f.err == nil && !f.closed {
		if f.mem.alone && f.short && len(f.chunks) > 0 {
			f.release()
			f.short = false
		}
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
		f.release()
	}
	return n, nil
}

// release returns the memory of the first piece.
func (f *flow) release() {
	f.mem.free <- f.chunks[0]
	f.chunks, f.base = f.chunks[1:], f.base+chunkSize
}

// Seek supports what client.Upload needs: whence is io.SeekStart. It returns
// errGone if the bytes at offset are no longer held.
func (f *flow) Seek(offset int64, _ int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset < f.base || offset > f.filled {
		return f.offset, fmt.Errorf("byte %d: %w", offset, errGone)
	}
	f.offset = offset
	return offset, nil
}

// Close returns all memory and ends a running fill.
func (f *flow) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	close(f.stopped)
	for _, c := range f.chunks {
		f.mem.free <- c
	}
	f.chunks = nil
	f.more.Broadcast()
	return nil
}
