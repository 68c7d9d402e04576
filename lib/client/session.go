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
	resp, err := u.reg.ask(ctx, u.repository, request{method: http.MethodPost, url: at}, want...)
	if err != nil {
		return nil, err
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

// location returns the address at which the upload continues; it may be
// relative, and may change with every answer.
func location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry sent an invalid upload location: %q", resp.Header.Get("Location"))
	}
	return u, nil
}

// octets are the headers of a request with bytes of a blob.
func octets() map[string]string {
	return map[string]string{"Content-Type": "application/octet-stream"}
}

// patch sends the bytes of the blob from offset to its end (end-5), and returns
// the address at which the upload continues.
func (u *Upload) patch(ctx context.Context, body io.ReadSeeker, offset int64) (*url.URL, error) {
	q := request{method: http.MethodPatch, url: u.session, header: octets(), body: body, from: offset, size: u.size - offset}
	// Some registries accept a range only when they need one. They need one
	// as soon as bytes of an interrupted try may still be on their way to
	// the disk: without a range, the new bytes would be appended to those.
	if offset > 0 || u.used {
		q.header["Content-Range"] = fmt.Sprintf("%d-%d", offset, u.size-1)
	}
	resp, err := u.reg.ask(ctx, u.repository, q, http.StatusAccepted, http.StatusNoContent)
	if err != nil {
		return nil, err
	}
	return location(resp)
}

// finish ends a session with the blob's digest (end-6), sending size bytes of
// the blob with it.
func (u *Upload) finish(ctx context.Context, session *url.URL, body io.ReadSeeker, size int64) error {
	at := *session
	q := at.Query()
	q.Set("digest", u.digest.String())
	at.RawQuery = q.Encode()
	resp, err := u.reg.ask(ctx, u.repository, request{method: http.MethodPut, url: &at, header: octets(), body: body, size: size},
		http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	return u.stored(ctx, resp)
}

// offset returns how many bytes of the session the registry has (end-13).
func (u *Upload) offset(ctx context.Context) (int64, error) {
	resp, err := u.reg.ask(ctx, u.repository, request{method: http.MethodGet, url: u.session}, http.StatusNoContent, http.StatusOK)
	if err != nil {
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
