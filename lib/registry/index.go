package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// indexDelay is how long after the last change a large index.json is written.
	// One below indexSmall bytes is written before the answer.
	indexDelay = 400 * time.Millisecond
	indexSmall = 16 << 10
	// annotationTag holds the tag of an entry in index.json (image-spec, annotations).
	annotationTag = "org.opencontainers.image.ref.name"
	// layoutText is the file that marks an OCI image layout (image-spec, image layout).
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// indexer writes the index.json of repositories that have changed. It is made
// from the tags and manifests for other programs; the store never reads it.
type indexer struct {
	mu      sync.Mutex
	m       map[string]*staleIndex
	writing sync.Mutex     // one large one at a time, for the memory that it takes
	running sync.WaitGroup // one for each timer, and one while all are renewed
	closing chan struct{}
	// unsynced says that an index may not be on disk yet. None of them is synced
	// before the storage is closed: after a crash all are compared.
	unsynced atomic.Bool
}

// staleIndex is a repository whose index.json is behind.
type staleIndex struct {
	writing sync.Mutex
	changes int // under way
	again   bool
	timer   *time.Timer
}

// stalePath is the file that notes, for the next start, that a repository's
// index.json is behind. "+" is in no name.
func stalePath(name string) string {
	return path.Join(staleDir, strings.ReplaceAll(name, "/", "+"))
}

// changing notes that a repository is being changed. Call the function that it
// returns when that is over.
func (x *indexer) changing(d *Disk, name string) (done func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, added := x.entry(name)
	if added {
		// Not synced: it is for a start after a kill. Nor is it needed for anything
		// but the index, so that a failure stops nothing.
		if f, err := d.tree.root.OpenFile(stalePath(name), os.O_WRONLY|os.O_CREATE, 0o644); err == nil {
			f.Close()
		}
	}
	s.changes++
	return func() { x.changed(d, name, s) }
}

// changed has an index written: at once, if that takes no time and nobody else is
// changing the repository, or else before long.
func (x *indexer) changed(d *Disk, name string, s *staleIndex) {
	x.mu.Lock()
	s.changes--
	s.again = true
	last := s.changes == 0
	x.mu.Unlock()
	if info, err := d.tree.root.Stat(repoPath(name, "index.json")); last && (err != nil || info.Size() < indexSmall) {
		if x.write(d, name, s) == nil {
			return
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m[name] == s {
		x.schedule(d, name, s)
	}
}

// schedule has an index written when nothing has changed for indexDelay. x.mu is
// held.
func (x *indexer) schedule(d *Disk, name string, s *staleIndex) {
	if s.timer != nil && s.timer.Stop() {
		x.running.Done()
	}
	x.running.Add(1)
	s.timer = time.AfterFunc(indexDelay, func() {
		defer x.running.Done()
		x.writing.Lock()
		defer x.writing.Unlock()
		x.write(d, name, s)
	})
}

// write updates an index. If that fails, as on a full disk, the next
// change or the next start tries again.
func (x *indexer) write(d *Disk, name string, s *staleIndex) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	x.mu.Lock()
	done := !s.again && x.m[name] != s // another request did it
	s.again = false
	x.mu.Unlock()
	if done {
		return nil
	}
	x.unsynced.Store(true)
	err := d.writeIndex(name)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil || s.changes > 0 || s.again || x.m[name] != s {
		return err
	}
	if s.timer != nil && s.timer.Stop() {
		x.running.Done()
	}
	delete(x.m, name)
	return d.tree.remove(stalePath(name))
}

// stop writes what is behind and waits for what is being written.
func (x *indexer) stop(d *Disk) (err error) {
	x.mu.Lock()
	if x.closing != nil {
		close(x.closing)
	}
	behind := make(map[string]*staleIndex)
	for name, s := range x.m {
		if s.timer == nil || s.timer.Stop() {
			behind[name] = s
			if s.timer != nil {
				x.running.Done()
			}
		}
	}
	x.mu.Unlock()
	x.running.Wait()
	for name, s := range behind {
		err = errors.Join(err, x.write(d, name, s))
	}
	if x.unsynced.Load() && err == nil {
		err = unix.Syncfs(int(d.top.Fd()))
	}
	return unlessStuck(err)
}

// renewStale writes the indexes that a process which was killed left behind.
// After a crash of the host it is unknown which they are, so all are compared, in
// the background.
func (d *Disk) renewStale() error {
	d.indexes.closing = make(chan struct{})
	err := d.tree.eachName(staleDir, func(entry []byte, _ byte) error {
		name := strings.ReplaceAll(string(entry), "+", "/")
		if ValidName(name) {
			if err := unlessStuck(d.indexes.renew(d, name)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err == nil && d.clock.behind() {
		d.indexes.running.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				select {
				case <-d.indexes.closing:
					cancel()
				case <-ctx.Done():
				}
			}()
			if _, err := d.RenewIndexes(ctx); err == nil { // or the next start tries again
				d.clock.caughtUp()
			}
		})
	}
	return err
}

// RenewIndexes writes each index.json that does not say what its repository
// holds, and returns how many those were.
func (d *Disk) RenewIndexes(ctx context.Context) (renewed int, err error) {
	err = d.walkRepos(ctx, func(name string) error {
		same, err := d.sameIndex(ctx, name)
		if err != nil || same {
			return err
		}
		renewed++
		return d.indexes.renew(d, name)
	})
	return renewed, err
}

// entry returns the note about a stale index and whether it is new. x.mu is held.
func (x *indexer) entry(name string) (s *staleIndex, added bool) {
	if x.m == nil {
		x.m = make(map[string]*staleIndex)
	}
	s = x.m[name]
	if added = s == nil; added {
		s = new(staleIndex)
		x.m[name] = s
	}
	return s, added
}

// renew writes an outdated index, though the repository has not changed.
func (x *indexer) renew(d *Disk, name string) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.Lock()
	s, _ := x.entry(name)
	s.again = true
	x.mu.Unlock()
	return x.write(d, name, s)
}
