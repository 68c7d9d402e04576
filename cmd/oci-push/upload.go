package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/client"
)

// blobKey is a blob of one repository: registries hold blobs by repository.
type blobKey struct {
	repository string
	digest     v1.Hash
}

// transfer is the result for one blob, valid once done is closed.
type transfer struct {
	key  blobKey // without a digest, if the content is hashed while it is sent
	size int64
	done chan struct{}

	lacking bool // the repository is known to lack the blob
	upload  *client.Upload
	sum     func() v1.Hash // of content that is hashed, once it has been read

	sent bool // or would be, with --plan
	err  error
}

// failed reports whether the transfer has ended with an error.
func (t *transfer) failed() bool {
	select {
	case <-t.done:
		return t.err != nil
	default:
		return false
	}
}

// missing stands for the content of a blob that must be in the registry, or be
// linked there: Read and Seek return the error.
type missing struct{ error }

func (m missing) Read([]byte) (int, error)       { return 0, m.error }
func (m missing) Seek(int64, int) (int64, error) { return 0, m.error }

// uploader uploads each blob to the registry once. Its memory grows with the
// number of distinct blobs (about 200 bytes each), not with their size.
type uploader struct {
	reg  *client.Registry
	log  *slog.Logger
	plan bool          // send nothing
	sem  chan struct{} // one slot per running upload
	wg   sync.WaitGroup
	sent atomic.Int64 // bytes of blobs done, for progress
	// abort ends the whole run: nothing works without a registry.
	abort context.CancelCauseFunc

	mu     sync.Mutex
	all    map[blobKey]*transfer
	home   map[v1.Hash]string    // a repository that has the blob
	active map[v1.Hash]*transfer // the running upload of a digest

	health *health
}

func newUploader(reg *client.Registry, cfg *config, log *slog.Logger, abort context.CancelCauseFunc) *uploader {
	return &uploader{
		reg: reg, log: log, plan: cfg.plan, sem: make(chan struct{}, cfg.jobs), abort: abort,
		all: make(map[blobKey]*transfer), home: make(map[v1.Hash]string), active: make(map[v1.Hash]*transfer),
		health: newHealth(reg),
	}
}

// claim returns the transfer of a blob and whether the caller must carry it
// out. A failed one may be claimed again: the content may have arrived again.
func (u *uploader) claim(repository string, d v1.Hash, size int64) (*transfer, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := blobKey{repository, d}
	if t := u.all[k]; t != nil && !t.failed() {
		return t, false
	}
	t := &transfer{key: k, size: size, upload: u.reg.Upload(repository, d, size), done: make(chan struct{})}
	u.all[k] = t
	// Turns are taken in the order of claims, so a transfer only waits for
	// content that was read before its own, never after.
	if u.active[d] == nil {
		u.active[d] = t
	}
	return t, true
}

// send claims a blob and starts its transfer, unless that is another's.
func (u *uploader) send(ctx context.Context, repository string, d v1.Hash, size int64, b io.ReadSeeker) *transfer {
	t, mine := u.claim(repository, d, size)
	if mine {
		u.start(ctx, t, b)
	} else {
		closeBody(b)
	}
	return t
}

// closeBody releases the resources of content that is no longer needed.
func closeBody(b io.ReadSeeker) {
	if c, ok := b.(io.Closer); ok {
		c.Close()
	}
}

// lookup returns the transfer of a blob, or nil if there is none.
func (u *uploader) lookup(repository string, d v1.Hash) *transfer {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[blobKey{repository, d}]
}

// homeOf returns a repository that has the blob, or "".
func (u *uploader) homeOf(d v1.Hash) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.home[d]
}

// addHome records that a repository has a blob, so that others can link to it.
func (u *uploader) addHome(repository string, d v1.Hash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.home[d] = cmp.Or(u.home[d], repository)
}

// finish publishes the result of a transfer.
func (u *uploader) finish(t *transfer, err error) {
	if t.err = err; err != nil && t.key.digest != (v1.Hash{}) {
		t.err = fmt.Errorf("blob %s: %w", t.key.digest, err)
	}
	u.mu.Lock()
	if err == nil {
		u.home[t.key.digest] = t.key.repository
	}
	if u.active[t.key.digest] == t {
		delete(u.active, t.key.digest)
	}
	u.mu.Unlock()
	u.consider(t.key.repository, err)
	u.sent.Add(t.size)
	u.log.Debug("blob", "repository", t.key.repository, "digest", t.key.digest.String(), "size", t.size, "sent", t.sent, "error", err)
	close(t.done)
}

// consider ends the run after an error that every further image would also
// have.
func (u *uploader) consider(repository string, err error) {
	if err := u.health.note(repository, err); err != nil {
		u.abort(err)
	}
}

// start runs a transfer in the background, once a slot is free, and closes the
// content if that can be closed.
func (u *uploader) start(ctx context.Context, t *transfer, b io.ReadSeeker) {
	u.wg.Go(func() {
		var err error
		if t.sum == nil { // a transfer waiting for its turn occupies no slot
			err = u.takeTurn(ctx, t)
		}
		if err == nil {
			select {
			case u.sem <- struct{}{}:
				err = u.upload(ctx, t, b)
				<-u.sem
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		closeBody(b)
		u.finish(t, err)
	})
}

// startHashed sends content whose digest sum returns once it has been read.
func (u *uploader) startHashed(ctx context.Context, repository string, f *flow, sum func() v1.Hash) *transfer {
	t := &transfer{key: blobKey{repository: repository}, size: f.size, upload: u.reg.Upload(repository, v1.Hash{}, f.size), sum: sum, done: make(chan struct{})}
	u.start(ctx, t, f)
	return t
}

// upload gets one blob into its repository in the cheapest way: by a link from
// another repository, not at all if it is there, or by sending its bytes.
func (u *uploader) upload(ctx context.Context, t *transfer, b io.ReadSeeker) (err error) {
	if t.sum != nil {
		t.sent = true
		t.key.digest, err = t.upload.SendHashed(ctx, b, t.sum)
		return err
	}
	if !t.lacking {
		if there, err := u.present(ctx, t); err != nil || there {
			return err
		}
	}
	t.sent = true
	if u.plan {
		return nil
	}
	return t.upload.Send(ctx, b)
}

// takeTurn waits while the same content is being uploaded to another
// repository, from which it can then be linked.
func (u *uploader) takeTurn(ctx context.Context, t *transfer) error {
	for {
		u.mu.Lock()
		other := u.active[t.key.digest]
		if other == nil || other == t {
			u.active[t.key.digest] = t
			u.mu.Unlock()
			return nil
		}
		u.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// present ensures that the repository has the blob without sending it, if
// possible.
func (u *uploader) present(ctx context.Context, t *transfer) (there bool, err error) {
	repository, d := t.key.repository, t.key.digest
	defer func() { t.lacking = err == nil }()
	if from := u.homeOf(d); from != "" {
		if u.plan {
			return true, nil
		}
		return t.upload.Mount(ctx, from)
	}
	return u.reg.HasBlob(ctx, repository, d, t.size)
}
