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

// This file has the requests that an upload is made of.

// openError is the error of a request that was to open a session: there is no
// session that could have been lost.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// start opens an upload session (end-4a) and returns its address. With a
// repository to mount from it asks for the blob to be linked instead (end-11);
// the address is then nil if the registry did so.
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

// stored proves that the blob is in the repository after an answer which says so.
func (u *Upload) stored(ctx context.Context, resp *http.Response) error {
	if err := u.reg.stored(ctx, u.repository, u.digest, u.size, resp.Header); err != nil {
		return err
	}
	u.reg.wrote.Store(true)
	return nil
}

// location returns where the upload goes on; it may be relative, and may change
// with every answer.
func location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry gave no usable upload location: %q", resp.Header.Get("Location"))
	}
	return u, nil
}

// patch sends the bytes of the blob from offset to its end (end-5), and returns
// where the upload goes on.
func (u *Upload) patch(ctx context.Context, body io.ReadSeeker, offset int64) (*url.URL, error) {
	header := map[string]string{"Content-Type": "application/octet-stream"}
	// Some registries take a range only when they need one. They do as soon as
	// bytes of a try that broke may still be on their way to the disk: what has
	// no range would be appended to those.
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

// offset asks how many bytes of the session the registry has (end-13).
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
	// "0-N" counts inclusively, so nothing at all reads "0-0" like one byte
	// does; one byte sent twice is what a registry then refuses, and we ask again.
	_, last, ok := strings.Cut(resp.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || n <= 0 {
		return 0, nil
	}
	return n + 1, nil
}

// cancel tells the registry that a session will not be finished (end-14).
func (r *Registry) cancel(ctx context.Context, repository string, session *url.URL) {
	if resp, err := r.do(ctx, repository, http.MethodDelete, session, nil, 0, nil); err == nil {
		drain(resp)
	}
}
