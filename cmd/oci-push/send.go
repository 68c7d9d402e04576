package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"k0rdent-airgap/lib/cli"
)

// wholeSize is the largest blob that is sent with the request that ends its
// upload; a larger one goes in a request of its own, which can be resumed.
const wholeSize = 4 << 20

// sendWhole sends a small blob in one request, from the start at every try.
func (u *uploader) sendWhole(ctx context.Context, t *transfer, b body) error {
	repository, d := t.key.repository, t.key.digest
	return u.reg.retry(ctx, func() (err error) {
		at := t.session
		t.session = nil // good for one try
		if at == nil {
			if at, err = u.reg.startUpload(ctx, repository, d, ""); err != nil {
				return err
			}
		}
		if err := b.seek(0); err != nil {
			return &sourceError{err}
		}
		err = u.reg.finishUpload(ctx, repository, at, d, b, t.size)
		if _, ok := errors.AsType[*sourceError](err); ok {
			u.reg.cancelUpload(ctx, repository, at)
		}
		return err
	})
}

// sendData sends the bytes of a large blob, going on where the registry stopped
// when the connection breaks. It leaves the session open for seal, or none if
// the blob turned out to be there.
func (u *uploader) sendData(ctx context.Context, t *transfer, b body) error {
	var offset, furthest int64
	for try := 1; offset < t.size; try++ {
		err := u.sendFrom(ctx, t, b, offset)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !resumable(err) {
			if t.session != nil {
				u.reg.cancelUpload(ctx, t.key.repository, t.session)
			}
			return err
		}
		if try >= attempts {
			if unreachable(err) {
				return cli.TryAgain(fmt.Errorf("%w: %w", errUnreachable, err))
			}
			return err
		}
		u.log.Debug("upload broke off", "digest", t.key.digest.String(), "error", err)
		if werr := u.reg.pause(ctx, try, err); werr != nil {
			return werr
		}
		next, there, rerr := u.resume(ctx, t)
		if rerr != nil || there {
			return rerr
		}
		if serr := b.seek(next); serr != nil {
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
func (u *uploader) sendFrom(ctx context.Context, t *transfer, b body, offset int64) (err error) {
	repository := t.key.repository
	if t.session == nil {
		if t.session, err = u.reg.startUpload(ctx, repository, t.key.digest, ""); err != nil {
			return err
		}
	}
	next, err := u.reg.patchUpload(ctx, repository, t.session, b, offset, t.size)
	if err == nil {
		t.session = next
	}
	return err
}

// seal ends the session of a blob whose bytes have all been sent, if one is
// open. A session that is unknown may have been ended by a try whose answer
// was lost.
func (u *uploader) seal(ctx context.Context, t *transfer) error {
	if t.session == nil || u.plan {
		return nil
	}
	repository, d := t.key.repository, t.key.digest
	err := u.reg.retry(ctx, func() error { return u.reg.finishUpload(ctx, repository, t.session, d, nil, 0) })
	if status(err) != http.StatusNotFound {
		return err
	}
	there, herr := u.reg.hasBlob(ctx, repository, d)
	if herr == nil && !there {
		return fmt.Errorf("upload was lost: %w", err)
	}
	return herr
}

// resume finds out from which byte an upload goes on. A session that is gone
// may have been ended by a request whose answer was lost, so that the blob is
// there; else a new one starts from nothing.
func (u *uploader) resume(ctx context.Context, t *transfer) (next int64, there bool, err error) {
	repository := t.key.repository
	if t.session != nil {
		err = u.reg.retry(ctx, func() error {
			n, at, err := u.reg.uploadOffset(ctx, repository, t.session)
			if err == nil {
				next, t.session = n, at
			}
			return err
		})
		if code := status(err); code < 400 || code >= 500 {
			return next, false, err
		}
	}
	t.session = nil
	err = u.reg.retry(ctx, func() (err error) {
		there, err = u.reg.hasBlob(ctx, repository, t.key.digest)
		return err
	})
	return 0, there, err
}
