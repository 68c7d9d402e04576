package client

import (
	"errors"
	"io"
	"sync"
)

var errWhence = errors.New("can only seek from the start")

// holder guards a body from the HTTP client, which may still be reading a
// request's body after it has returned the response. It creates views of the
// body, of which only the latest can be read.
type holder struct {
	mu   sync.Mutex
	body io.ReadSeeker
	from int64 // its offset at first
	err  error // the first error of the body itself, io.EOF aside
	view int   // the one that may be read
}

type view struct {
	*holder
	n int
}

func (v view) Read(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n != v.view {
		return 0, io.ErrClosedPipe
	}
	n, err := v.body.Read(p)
	if err != nil && err != io.EOF && v.err == nil {
		v.err = err
	}
	return n, err
}

func (v view) Close() error { return nil }

// again returns the body from its first offset, for a request and for one that
// was redirected.
func (h *holder) again() (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view++
	if _, err := h.body.Seek(h.from, io.SeekStart); err != nil {
		return nil, err
	}
	return view{h, h.view}, nil
}

// release waits for readers of the body to finish, and blocks new ones.
func (h *holder) release() {
	h.mu.Lock()
	h.view++
	h.mu.Unlock()
}

func (h *holder) sourceError() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
