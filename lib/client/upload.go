package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
)

// wholeSize is the largest blob that is sent with the request that ends its
// upload; a larger one goes in a request of its own, which can be resumed.
const wholeSize = 4 << 20

// Upload brings one blob into a repository. It is for one goroutine.
type Upload struct {
	reg        *Registry
	repository string
	digest     v1.Hash
	size       int64
	session    *url.URL // at the registry, if one is open
}

// Upload prepares to bring a blob of size bytes into a repository.
func (r *Registry) Upload(repository string, d v1.Hash, size int64) *Upload {
	return &Upload{reg: r, repository: repository, digest: d, size: size}
}

// Mount asks the registry to link the blob from another of its repositories
// (end-11), and tells whether the blob is there now. Where a registry cannot
// link, or the user may not read the other repository, it opens a session
// instead, which Send uses and Cancel ends, or refuses: then it is asked
// whether the blob is there all the same.
func (u *Upload) Mount(ctx context.Context, from string) (there bool, err error) {
	err = u.reg.retry(ctx, func() (err error) {
		u.session, err = u.start(ctx, from)
		return err
	})
	if code := status(err); code >= 400 && code < 500 {
		return u.reg.HasBlob(ctx, u.repository, u.digest)
	}
	return err == nil && u.session == nil, err
}

// Send sends the blob. A body is read from its start, and from where the
// registry stopped when the connection broke: of its Seek, only io.SeekStart is
// used. Errors of the body itself end the upload.
func (u *Upload) Send(ctx context.Context, body io.ReadSeeker) error {
	if u.size <= wholeSize {
		return u.sendWhole(ctx, body)
	}
	if err := u.sendData(ctx, body); err != nil {
		return err
	}
	return u.seal(ctx)
}

// Cancel ends a session that will not be used; registries need not know how, so
// the answer does not matter.
func (u *Upload) Cancel(ctx context.Context) {
	if u.session != nil {
		u.reg.cancel(ctx, u.repository, u.session)
		u.session = nil
	}
}

// sendWhole sends a small blob in one request, from the start at every try.
func (u *Upload) sendWhole(ctx context.Context, body io.ReadSeeker) error {
	return u.reg.retry(ctx, func() (err error) {
		at := u.session
		u.session = nil // good for one try
		if at == nil {
			if at, err = u.start(ctx, ""); err != nil {
				return err
			}
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return &sourceError{err}
		}
		err = u.finish(ctx, at, body, u.size)
		if _, ok := errors.AsType[*sourceError](err); ok {
			u.reg.cancel(ctx, u.repository, at)
		}
		return err
	})
}

// sendData sends the bytes of a large blob, going on where the registry stopped
// when the connection breaks. It leaves the session open for seal, or none if
// the blob turned out to be there.
func (u *Upload) sendData(ctx context.Context, body io.ReadSeeker) error {
	var offset, furthest int64
	for try := 1; offset < u.size; try++ {
		err := u.sendFrom(ctx, body, offset)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !resumable(err) {
			u.Cancel(ctx)
			return err
		}
		if try >= attempts {
			if unreachable(err) {
				return cli.TryAgain(fmt.Errorf("%w: %w", ErrUnreachable, err))
			}
			return err
		}
		u.reg.log.Debug("upload broke off", "digest", u.digest.String(), "error", err)
		if werr := u.reg.pause(ctx, try, err); werr != nil {
			return werr
		}
		next, there, rerr := u.resume(ctx)
		if rerr != nil || there {
			return rerr
		}
		if _, serr := body.Seek(next, io.SeekStart); serr != nil {
			return fmt.Errorf("upload was lost: %w: %w", serr, err)
		}
		if next > furthest {
			furthest, try = next, 0
		}
		offset = next
	}
	return nil
}

// resumable tells whether an upload may go on after an error. A session can be
// unknown, or stand at another byte than we think, when an answer was lost.
func resumable(err error) bool {
	code := status(err)
	return temporary(err) || code == http.StatusNotFound || code == http.StatusRequestedRangeNotSatisfiable
}

// sendFrom tries once to send the rest of a blob.
func (u *Upload) sendFrom(ctx context.Context, body io.Reader, offset int64) (err error) {
	if u.session == nil {
		if u.session, err = u.start(ctx, ""); err != nil {
			return err
		}
	}
	next, err := u.patch(ctx, body, offset)
	if err == nil {
		u.session = next
	}
	return err
}

// seal ends the session of a blob whose bytes have all been sent, if one is
// open. A session that is unknown may have been ended by a try whose answer
// was lost.
func (u *Upload) seal(ctx context.Context) error {
	if u.session == nil {
		return nil
	}
	err := u.reg.retry(ctx, func() error { return u.finish(ctx, u.session, nil, 0) })
	if status(err) != http.StatusNotFound {
		return err
	}
	there, herr := u.reg.HasBlob(ctx, u.repository, u.digest)
	if herr == nil && !there {
		return fmt.Errorf("upload was lost: %w", err)
	}
	return herr
}

// resume finds out from which byte an upload goes on. A session that is gone
// may have been ended by a request whose answer was lost, so that the blob is
// there; else a new one starts from nothing.
func (u *Upload) resume(ctx context.Context) (next int64, there bool, err error) {
	if u.session != nil {
		err = u.reg.retry(ctx, func() (err error) {
			next, err = u.offset(ctx)
			return err
		})
		if code := status(err); code < 400 || code >= 500 {
			return next, false, err
		}
	}
	u.session = nil
	there, err = u.reg.HasBlob(ctx, u.repository, u.digest)
	return 0, there, err
}

// start opens an upload session (end-4a) and gives its address. With a
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
		return nil, err
	}
	if resp.StatusCode == http.StatusCreated {
		return nil, nil
	}
	return location(resp)
}

// location gives where the upload goes on; it may be relative, and may change
// with every answer.
func location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("registry gave no usable upload location: %q", resp.Header.Get("Location"))
	}
	return u, nil
}

// patch sends the bytes of the blob from offset to its end (end-5), and gives
// where the upload goes on.
func (u *Upload) patch(ctx context.Context, body io.Reader, offset int64) (*url.URL, error) {
	header := map[string]string{"Content-Type": "application/octet-stream"}
	if offset > 0 { // some registries take a range only when they need one
		header["Content-Range"] = fmt.Sprintf("%d-%d", offset, u.size-1)
	}
	resp, err := u.reg.send(ctx, u.repository, http.MethodPatch, u.session, body, u.size-offset, header)
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
func (u *Upload) finish(ctx context.Context, session *url.URL, body io.Reader, size int64) error {
	at := *session
	q := at.Query()
	q.Set("digest", u.digest.String())
	at.RawQuery = q.Encode()
	header := map[string]string{"Content-Type": "application/octet-stream"}
	resp, err := u.reg.send(ctx, u.repository, http.MethodPut, &at, body, size, header)
	if err != nil {
		return err
	}
	defer drain(resp)
	return checkStatus(resp, http.StatusCreated, http.StatusNoContent)
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
