package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// This file has the requests of an upload.

// openError is the error of a request to open a session: there is no session
// that could have been lost.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// start opens an upload session (end-4a) and returns its address. With a
// repository to mount from, it requests a link to the blob instead (end-11);
// the address is nil if the registry linked it.
func (u *Upload) start(ctx context.Context, from string) (*url.URL, error) {
	at := u.reg.url(u.repository, "blobs", "uploads/")
	want := []int{http.StatusAccepted}
	if from != "" {
		at.RawQuery = url.Values{"mount": {u.digest.String()}, "from": {u.reg.Repository(from)}}.Encode()
		want = append(want, http.StatusCreated)
	}
	resp, err := u.reg.do(ctx, u.repository, http.MethodPost, at, nil, 0, nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, want...); err != nil {
		return nil, &openError{err}
	}
	if resp.StatusCode == http.StatusCreated {
		return nil, u.stored(ctx, resp)
	}
	at, err = location(resp)
	if err == nil {
		u.reg.wrote.Store(true)
	}
	return at, err
}

// stored proves that the blob is in the repository, as an answer claims.
func (u *Upload) stored(ctx context.Context, resp *http.Response) error {
	if err := u.reg.stored(ctx, u.repository, u.digest, u.size, resp.Header); err != nil {
		return err
	}
	u.reg.wrote.Store(true)
	return nil
}

// location returns the address at which the upload continues; it may be
// relative, and may change with every answer.
func location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry sent an invalid upload location: %q", resp.Header.Get("Location"))
	}
	return u, nil
}

// patch sends the bytes of the blob from offset to its end (end-5), and returns
// the address at which the upload continues.
func (u *Upload) patch(ctx context.Context, body io.ReadSeeker, offset int64) (*url.URL, error) {
	header := map[string]string{"Content-Type": "application/octet-stream"}
	// Some registries accept a range only when they need one. They need one
	// as soon as bytes of an interrupted try may still be on their way to
	// the disk: without a range, the new bytes would be appended to those.
	if offset > 0 || u.used {
		header["Content-Range"] = fmt.Sprintf("%d-%d", offset, u.size-1)
	}
	resp, err := u.reg.send(ctx, u.repository, http.MethodPatch, u.session, body, offset, u.size-offset, header)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusAccepted, http.StatusNoContent); err != nil {
		return nil, err
	}
	return location(resp)
}

// finish ends a session with the blob's digest (end-6), sending the whole blob
// with it if body is not nil.
func (u *Upload) finish(ctx context.Context, session *url.URL, body io.ReadSeeker, size int64) error {
	at := *session
	q := at.Query()
	q.Set("digest", u.digest.String())
	at.RawQuery = q.Encode()
	header := map[string]string{"Content-Type": "application/octet-stream"}
	resp, err := u.reg.send(ctx, u.repository, http.MethodPut, &at, body, 0, size, header)
	if err != nil {
		return err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusCreated, http.StatusNoContent); err != nil {
		return err
	}
	return u.stored(ctx, resp)
}

// offset returns how many bytes of the session the registry has (end-13).
func (u *Upload) offset(ctx context.Context) (int64, error) {
	resp, err := u.reg.do(ctx, u.repository, http.MethodGet, u.session, nil, 0, nil)
	if err != nil {
		return 0, err
	}
	defer drain(resp)
	if err := checkStatus(resp, http.StatusNoContent, http.StatusOK); err != nil {
		return 0, err
	}
	if at, err := location(resp); err == nil {
		u.session = at
	}
	// "0-N" is inclusive, so no bytes at all reads "0-0", as one byte does;
	// a registry then refuses the byte that is sent twice, and we ask
	// again.
	_, last, ok := strings.Cut(resp.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || n <= 0 {
		return 0, nil
	}
	return n + 1, nil
}

// cancel notifies the registry that a session will not be finished (end-14).
func (r *Registry) cancel(ctx context.Context, repository string, session *url.URL) {
	if resp, err := r.do(ctx, repository, http.MethodDelete, session, nil, 0, nil); err == nil {
		drain(resp)
	}
}
