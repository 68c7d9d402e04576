package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
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
	used       bool     // bytes may have come to the session
}

// Upload prepares to bring a blob of size bytes into a repository.
func (r *Registry) Upload(repository string, d v1.Hash, size int64) *Upload {
	return &Upload{reg: r, repository: repository, digest: d, size: size}
}

// Mount asks the registry to link the blob from another of its repositories
// (end-11), and tells whether the blob is there now. Where a registry cannot
// link, or the user may not read the other repository, it opens a session
// instead, which Send uses and Cancel ends, or refuses. Neither says that the
// blob is not there.
func (u *Upload) Mount(ctx context.Context, from string) (there bool, err error) {
	err = u.reg.retry(ctx, func() (err error) {
		u.session, err = u.start(ctx, from)
		return err
	})
	if code := status(err); err != nil && (temporary(err) || code < 400 || code >= 500) {
		return false, err
	}
	if err == nil && u.session == nil {
		return true, nil
	}
	if there, err = u.reg.HasBlob(ctx, u.repository, u.digest, u.size); there {
		u.Cancel(ctx)
	}
	return there, err
}

// Send sends the blob. A body is read from its start, and from where the
// registry stopped when the connection broke: of its Seek, only io.SeekStart is
// used. Errors of the body itself end the upload.
func (u *Upload) Send(ctx context.Context, body io.ReadSeeker) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		u.Cancel(ctx)
		return err
	}
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
	t := u.reg.tries()
	for offset < u.size {
		err := u.sendFrom(ctx, body, offset)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !resumable(err) {
			u.Cancel(ctx)
			return u.reg.explain(err)
		}
		u.reg.log.Debug("upload broke off", "digest", u.digest.String(), "error", err)
		if err := t.pause(ctx, err); err != nil {
			return err
		}
		next, there, rerr := u.resume(ctx)
		if rerr != nil || there {
			return rerr
		}
		if _, serr := body.Seek(next, io.SeekStart); serr != nil {
			return fmt.Errorf("upload was lost: %w: %w", serr, err)
		}
		if next > furthest {
			furthest, t = next, u.reg.tries()
		}
		offset = next
	}
	return nil
}

// resumable reports whether an upload may go on after an error. A session can be
// unknown, or stand at another byte than we think, when an answer was lost.
func resumable(err error) bool {
	if _, ok := errors.AsType[*openError](err); ok {
		return temporary(err)
	}
	code := status(err)
	return temporary(err) || code == http.StatusNotFound || code == http.StatusRequestedRangeNotSatisfiable
}

// sendFrom tries once to send the rest of a blob.
func (u *Upload) sendFrom(ctx context.Context, body io.ReadSeeker, offset int64) (err error) {
	if u.session == nil {
		if u.session, err = u.start(ctx, ""); err != nil {
			return err
		}
		u.used = false
	}
	next, err := u.patch(ctx, body, offset)
	u.used = true
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
	there, herr := u.reg.HasBlob(ctx, u.repository, u.digest, u.size)
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
	there, err = u.reg.HasBlob(ctx, u.repository, u.digest, u.size)
	return 0, there, err
}
