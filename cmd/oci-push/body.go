package main

import (
	"context"
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// body is a blob's content on its way out.
type body interface {
	io.Reader
	// seek makes the next Read begin at offset. It gives errGone when those
	// bytes have passed and are no longer held.
	seek(offset int64) error
}

// errGone marks content that has streamed past and cannot be read again.
var errGone = errors.New("content has streamed past")

// sourceError is an error of the bundle, not of the registry: there is no use
// in sending the same again.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// holder stands between a body and the HTTP client, which may still be reading
// from a request's body after it has returned the answer.
type holder struct {
	mu   sync.Mutex
	body io.Reader
	err  error // the first error of the body itself, io.EOF aside
	gone bool
}

func (h *holder) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return 0, io.ErrClosedPipe
	}
	n, err := h.body.Read(p)
	if err != nil && err != io.EOF && h.err == nil {
		h.err = err
	}
	return n, err
}

// letGo returns when nobody reads from the body, and lets nobody begin.
func (h *holder) letGo() {
	h.mu.Lock()
	h.gone = true
	h.mu.Unlock()
}

func (h *holder) sourceError() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// sectionBody is content that can be read anywhere: a part of a file, or
// bytes that are held.
type sectionBody struct{ io.ReadSeeker }

func (b sectionBody) seek(offset int64) error {
	_, err := b.Seek(offset, io.SeekStart)
	return err
}

// chunkBody is content held in pieces of the memory budget.
type chunkBody struct {
	chunks [][]byte
	offset int64
	size   int64
}

func (b *chunkBody) Read(p []byte) (int, error) {
	if b.offset >= b.size {
		return 0, io.EOF
	}
	chunk := b.chunks[b.offset/chunkSize]
	from := b.offset % chunkSize
	n := copy(p, chunk[from:min(chunkSize, from+b.size-b.offset)])
	b.offset += int64(n)
	return n, nil
}

func (b *chunkBody) seek(offset int64) error {
	b.offset = offset
	return nil
}

// absentBody is the content of a blob that the archive names and lacks: it
// does no harm while the registry has the blob.
type absentBody struct{}

var errAbsent = errors.New("neither the archive nor the registry has it")

func (absentBody) Read([]byte) (int, error) { return 0, errAbsent }
func (absentBody) seek(int64) error         { return errAbsent }

// remoteBody is content that a registry has. A connection that breaks is made
// again where it broke.
type remoteBody struct {
	ctx    context.Context
	reg    *registry
	from   string // repository
	digest v1.Hash

	r      io.ReadCloser
	offset int64
	ended  bool // the last byte has been read
	tries  int  // since the last byte
}

func (b *remoteBody) Read(p []byte) (int, error) {
	for {
		n, err := b.read(p)
		if n > 0 {
			b.offset += int64(n)
			b.tries = 0
			return n, nil
		}
		if err == nil || err == io.EOF || !temporary(err) || b.tries == attempts {
			return 0, err
		}
		b.tries++
		if err := b.reg.pause(b.ctx, b.tries, err); err != nil {
			return 0, err
		}
	}
}

func (b *remoteBody) read(p []byte) (n int, err error) {
	if b.ended {
		return 0, io.EOF
	}
	if b.r == nil {
		if b.r, err = b.reg.getBlob(b.ctx, b.from, b.digest, b.offset); err != nil {
			return 0, err
		}
	}
	if n, err = b.r.Read(p); err != nil {
		b.close()
		b.ended = err == io.EOF
	}
	return n, err
}

func (b *remoteBody) close() {
	if b.r != nil {
		b.r.Close()
		b.r = nil
	}
}

func (b *remoteBody) seek(offset int64) error {
	if offset != b.offset {
		b.close()
		b.offset, b.ended = offset, false
	}
	return nil
}
