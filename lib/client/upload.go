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

// wholeSize is the largest blob that is sent in the request that ends its
// upload; a larger one is sent in a separate request, which can be resumed.
const wholeSize = 4 << 20

// Upload uploads one blob to a repository. It must be used by one goroutine at
// a time.
type Upload struct {
	reg        *Registry
	repository string
	digest     v1.Hash
	size       int64
	session    *url.URL // at the registry, if one is open
	used       bool     // the session may have received bytes
}

// Upload prepares the upload of a blob of size bytes to a repository.
func (r *Registry) Upload(repository string, d v1.Hash, size int64) *Upload {
	return &Upload{reg: r, repository: repository, digest: d, size: size}
}

// Mount asks the registry to link the blob from another of its repositories
// (end-11), and reports whether the repository now has the blob. If the
// registry cannot link it, or the user may not read the other repository, the
// registry opens a session, which Send uses and Cancel ends, or refuses.
// Neither means that the blob is missing.
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

// SendHashed is Send for a blob whose digest is known once body has been read,
// from sum. The upload was prepared without one.
func (u *Upload) SendHashed(ctx context.Context, body io.ReadSeeker, sum func() v1.Hash) (v1.Hash, error) {
	if err := u.sendData(ctx, body); err != nil {
		return v1.Hash{}, err
	}
	u.digest = sum()
	return u.digest, u.seal(ctx)
}

// Cancel ends a session that will not be used (end-14); registries need not
// support that, so the answer is ignored.
func (u *Upload) Cancel(ctx context.Context) {
	if u.session != nil {
		u.cancel(ctx, u.session)
		u.session = nil
	}
}

func (u *Upload) cancel(ctx context.Context, session *url.URL) {
	if resp, err := u.reg.do(ctx, u.repository, request{method: http.MethodDelete, url: session}); err == nil {
		drain(resp)
	}
}

// sendWhole sends a small blob in one request, which starts over at every try.
func (u *Upload) sendWhole(ctx context.Context, body io.ReadSeeker) error {
	return u.reg.retry(ctx, func() (err error) {
		at := u.session
		u.session = nil // usable for one try
		if at == nil {
			if at, err = u.start(ctx, ""); err != nil {
				return err
			}
		}
		err = u.finish(ctx, at, body, u.size)
		if errors.Is(err, errSource) {
			u.cancel(ctx, at)
		}
		return err
	})
}

// sendData sends the bytes of a large blob, and resumes where the registry
// stopped if the connection breaks. It leaves the session open for seal, or no
// session if the registry already has the blob.
func (u *Upload) sendData(ctx context.Context, body io.ReadSeeker) error {
	var offset, furthest int64
	t := u.reg.tries()
	for offset < u.size {
		if err := u.open(ctx); err != nil {
			return err
		}
		session, err := u.patch(ctx, body, offset)
		u.used = true
		if err == nil {
			u.session = session
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		// If an answer was lost, the session may be unknown or at an
		// unexpected offset.
		if code := status(err); !temporary(err) && code != http.StatusNotFound && code != http.StatusRequestedRangeNotSatisfiable {
			u.Cancel(ctx)
			return u.reg.explain(err)
		}
		u.reg.o.Log.Debug("upload broke off", "digest", u.digest.String(), "error", err)
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

// open opens a session, unless one is open.
func (u *Upload) open(ctx context.Context) error {
	if u.session != nil {
		return nil
	}
	u.used = false
	return u.reg.retry(ctx, func() (err error) {
		u.session, err = u.start(ctx, "")
		return err
	})
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

// resume returns the offset at which an upload continues. A lost session may
// have been ended by a request whose answer was lost, so that the registry has
// the blob; otherwise a new one starts at 0.
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
	if u.digest == (v1.Hash{}) {
		return 0, false, nil
	}
	there, err = u.reg.HasBlob(ctx, u.repository, u.digest, u.size)
	return 0, there, err
}
