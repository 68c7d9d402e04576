package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
)

var errWhence = errors.New("can only seek from the start")

// sourceError is an error of the content that is sent, not of the registry:
// there is no use in sending the same again.
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

// send is do with a body that is let go for certain before it returns.
func (r *Registry) send(ctx context.Context, repository, method string, u *url.URL, body io.Reader, size int64, header map[string]string) (*http.Response, error) {
	if body == nil || size == 0 { // a body of unknown length would be sent in chunks
		return r.do(ctx, repository, method, u, http.NoBody, 0, header)
	}
	held := &holder{body: body}
	defer held.letGo()
	resp, err := r.do(ctx, repository, method, u, held, size, header)
	if e := held.sourceError(); e != nil {
		if resp != nil {
			drain(resp)
		}
		return nil, &sourceError{e}
	}
	return resp, err
}
