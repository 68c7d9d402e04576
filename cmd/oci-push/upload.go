package main

import (
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

// transfer is what became of one blob; it is read once done is closed.
type transfer struct {
	key  blobKey
	size int64
	done chan struct{}

	asked  bool // it is known that the repository lacks the blob
	upload *client.Upload

	sent bool // or would be, when only planning
	err  error
}

// uploader moves blobs into the registry, each once. What it keeps grows with
// the number of distinct blobs (about 200 bytes each), not with their size.
type uploader struct {
	reg  *client.Registry
	log  *slog.Logger
	plan bool          // ask, but send nothing
	sem  chan struct{} // one place for each upload under way
	wg   sync.WaitGroup
	sent atomic.Int64 // bytes of blobs dealt with, for progress
	// abort ends the whole run: nothing can be done without a registry.
	abort context.CancelCauseFunc

	mu    sync.Mutex
	all   map[blobKey]*transfer
	home  map[v1.Hash]string    // a repository that has the blob
	going map[v1.Hash]*transfer // the one upload of a digest that is under way

	health health
}

func newUploader(reg *client.Registry, cfg *config, log *slog.Logger, abort context.CancelCauseFunc) *uploader {
	return &uploader{
		reg: reg, log: log, plan: cfg.plan, sem: make(chan struct{}, cfg.jobs), abort: abort,
		all: make(map[blobKey]*transfer), home: make(map[v1.Hash]string), going: make(map[v1.Hash]*transfer),
		health: health{reg: reg},
	}
}

// claim gives the transfer of a blob and whether the caller must carry it out.
// One that failed may be claimed again: the content may have come by anew.
func (u *uploader) claim(repository string, d v1.Hash, size int64) (*transfer, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := blobKey{repository, d}
	if t := u.all[k]; t != nil {
		select {
		case <-t.done:
			if t.err == nil {
				return t, false
			}
		default:
			return t, false
		}
	}
	t := &transfer{key: k, size: size, upload: u.reg.Upload(repository, d, size), done: make(chan struct{})}
	u.all[k] = t
	// Turns are taken in the order of claims: whoever waits for another then
	// waits for content that has been read before its own, never after.
	if u.going[d] == nil {
		u.going[d] = t
	}
	return t, true
}

// lookup gives the transfer of a blob, or nil if there is none.
func (u *uploader) lookup(repository string, d v1.Hash) *transfer {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[blobKey{repository, d}]
}

// homeOf gives a repository which has the blob, or "".
func (u *uploader) homeOf(d v1.Hash) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.home[d]
}

// lend notes that a repository has blobs, so that others get them by a link.
func (u *uploader) lend(repository string, blobs []v1.Descriptor) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range blobs {
		if u.home[b.Digest] == "" {
			u.home[b.Digest] = repository
		}
	}
}

// finish makes the outcome of a transfer known.
func (u *uploader) finish(t *transfer, err error) {
	if err != nil {
		t.err = fmt.Errorf("blob %s: %w", t.key.digest, err)
	}
	u.mu.Lock()
	if err == nil {
		u.home[t.key.digest] = t.key.repository
	}
	if u.going[t.key.digest] == t {
		delete(u.going, t.key.digest)
	}
	u.mu.Unlock()
	u.consider(t.key.repository, err)
	u.sent.Add(t.size)
	u.log.Debug("blob", "repository", t.key.repository, "digest", t.key.digest.String(), "size", t.size, "sent", t.sent, "error", err)
	close(t.done)
}

// consider ends the run after an error that every further image would meet, too.
func (u *uploader) consider(repository string, err error) {
	if err := u.health.note(repository, err); err != nil {
		u.abort(err)
	}
}

// start carries a transfer out in the background, once a place is free, and
// calls release when the content is no longer needed.
func (u *uploader) start(ctx context.Context, t *transfer, b io.ReadSeeker, release func()) {
	u.wg.Go(func() {
		// Who waits for a turn takes no place from who has it.
		err := u.takeTurn(ctx, t)
		if err == nil {
			select {
			case u.sem <- struct{}{}:
				err = u.carry(ctx, t, b)
				<-u.sem
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		release()
		u.finish(t, err)
	})
}

// carry brings one blob into its repository by the cheapest way there is: a
// link from another repository, nothing if it is there, else its bytes.
func (u *uploader) carry(ctx context.Context, t *transfer, b io.ReadSeeker) error {
	if !t.asked {
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

// takeTurn waits while the same content is on its way to another repository,
// from which it can then be linked.
func (u *uploader) takeTurn(ctx context.Context, t *transfer) error {
	for {
		u.mu.Lock()
		other := u.going[t.key.digest]
		if other == nil || other == t {
			u.going[t.key.digest] = t
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

// present makes sure that the repository has the blob without sending it, if
// it can.
func (u *uploader) present(ctx context.Context, t *transfer) (there bool, err error) {
	repository, d := t.key.repository, t.key.digest
	defer func() { t.asked = err == nil }()
	if from := u.homeOf(d); from != "" {
		if u.plan {
			return true, nil
		}
		return t.upload.Mount(ctx, from)
	}
	return u.reg.HasBlob(ctx, repository, d, t.size)
}
