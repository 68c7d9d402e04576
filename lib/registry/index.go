package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// indexDelay is how long a repository must stay unchanged before its index.json is
// written.
const indexDelay = 400 * time.Millisecond

// indexer writes the index.json of changed repositories. The store never reads it.
type indexer struct {
	mu      sync.Mutex
	changed map[string]time.Time // repositories whose index is stale, and since when
	behind  atomic.Bool          // others may be stale, after an unclean stop
	failed  atomic.Bool          // an index could not be written
	wrote   atomic.Bool          // indexes have been written and not synced
	wake    chan struct{}
	writing sync.Mutex // held while indexes are written or repositories removed
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// note records that a repository has changed.
func (x *indexer) note(name string) {
	x.mu.Lock()
	if x.changed != nil { // the indexer runs
		x.changed[name] = time.Now()
	}
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// due returns the repositories that have not changed for delay, and how long to wait
// for the next one, or 0 if there is none.
func (x *indexer) due(delay time.Duration) (names []string, wait time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, since := range x.changed {
		if rest := delay - time.Since(since); rest > 0 {
			if wait == 0 || rest < wait {
				wait = rest
			}
			continue
		}
		names = append(names, name)
		delete(x.changed, name)
	}
	return names, wait
}

// start writes indexes in the background until stop. After an unclean stop any of
// them may be stale or damaged (behind). A stop waits until they are repaired.
func (x *indexer) start(d *Disk, behind bool) {
	ctx, cancel := context.WithCancel(context.Background())
	x.changed, x.wake, x.cancel = make(map[string]time.Time), make(chan struct{}, 1), cancel
	if behind {
		x.behind.Store(true)
		x.running.Go(func() {
			_, err := d.RenewIndexes(context.Background())
			x.behind.Store(err != nil)
		})
	}
	x.running.Go(func() {
		for {
			names, wait := x.due(indexDelay)
			x.writeAll(d, names)
			var timer <-chan time.Time
			if wait > 0 {
				timer = time.After(wait)
			}
			select {
			case <-ctx.Done():
				return
			case <-timer:
			case <-x.wake:
			}
		}
	})
}

// writeAll updates indexes. If that fails, as on a full disk, the next change or
// start retries.
func (x *indexer) writeAll(d *Disk, names []string) {
	for _, name := range names {
		if err := d.writeIndex(name); err != nil {
			x.failed.Store(true)
		}
	}
}

// stop writes the stale indexes and reports whether all are up to date.
func (x *indexer) stop(d *Disk) (complete bool, err error) {
	x.cancel()
	x.running.Wait()
	x.writeAll(d, slices.Collect(maps.Keys(x.changed)))
	if x.wrote.Load() {
		err = unlessStuck(unix.Syncfs(int(d.tree.top.Fd())))
	}
	return !x.behind.Load() && !x.failed.Load() && err == nil, err
}

// RenewIndexes writes each stale index.json and returns their number.
func (d *Disk) RenewIndexes(ctx context.Context) (renewed int, err error) {
	err = d.walkRepos(ctx, func(name string) error {
		same, err := d.sameIndex(name)
		if err != nil || same {
			return err
		}
		renewed++
		return d.writeIndex(name)
	})
	return renewed, errors.Join(err, ctx.Err())
}
