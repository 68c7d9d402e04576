package main

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k0rdent-airgap/lib/registry"
)

// limit is how many failures are allowed at once, and how soon one more.
type limit struct {
	most  int
	every time.Duration
}

var (
	// limitName applies to a name at an address. A client with an old password
	// blocks only that user there.
	limitName = limit{10, 5 * time.Second}
	// limitAll applies to all names at an address together.
	limitAll = limit{50, time.Second}
)

// maxFailed bounds how many limits are remembered.
const maxFailed = 8192

// throttle limits password guessing.
type throttle struct {
	mu     sync.Mutex
	seed   maphash.Seed
	failed map[source]time.Time // when all failures will be forgiven
}

// source is what a limit applies to.
type source struct {
	network string // see registry.Network
	name    uint64 // a hash, so that long names take no memory; 0 for all names
}

func newThrottle() *throttle {
	return &throttle{seed: maphash.MakeSeed(), failed: make(map[source]time.Time)}
}

// sources returns what the limits hold for.
func (t *throttle) sources(from, name string) (one, all source) {
	return source{from, maphash.String(t.seed, name)}, source{from, 0}
}

// take counts an attempt as failed before it is made, so that parallel attempts
// do not evade the limit. It returns how long to wait before the attempt, or zero.
func (t *throttle) take(from, name string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, all := t.sources(from, name)
	if wait := max(t.wait(one, limitName, now), t.wait(all, limitAll, now)); wait > 0 {
		return wait
	}
	t.add(one, limitName.every, now)
	t.add(all, limitAll.every, now)
	return 0
}

// wait returns how long one more failure would be too many.
func (t *throttle) wait(s source, l limit, now time.Time) time.Duration {
	owed := max(0, t.failed[s].Sub(now)) + l.every
	return max(0, owed-time.Duration(l.most)*l.every)
}

func (t *throttle) add(s source, every time.Duration, now time.Time) {
	forgiven, known := t.failed[s]
	if !known {
		makeRoom(t.failed, maxFailed, now)
	}
	if forgiven.Before(now) {
		forgiven = now
	}
	t.failed[s] = forgiven.Add(every)
}

// makeRoom drops expired entries of a map that is full, or else any: an eighth at a
// time, so that not every new entry scans them all.
func makeRoom[K comparable](until map[K]time.Time, limit int, now time.Time) {
	if len(until) < limit {
		return
	}
	maps.DeleteFunc(until, func(_ K, end time.Time) bool { return end.Before(now) })
	for other := range until {
		if len(until) <= limit-limit/8 {
			return
		}
		delete(until, other)
	}
}

// giveBack uncounts an attempt that did not fail.
func (t *throttle) giveBack(from, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, all := t.sources(from, name)
	for s, every := range map[source]time.Duration{one: limitName.every, all: limitAll.every} {
		if forgiven, ok := t.failed[s]; ok {
			t.failed[s] = forgiven.Add(-every)
		}
	}
}

// tooManyError is the error of an attempt that was not allowed.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return fmt.Sprintf("too many attempts; wait %v", e.wait) }

func (e *tooManyError) refusal() error {
	seconds := strconv.Itoa(int(math.Ceil(e.wait.Seconds())))
	return &registry.Refusal{
		Err:    fmt.Errorf("%w: too many failed logins from this address", registry.ErrTooMany),
		Header: http.Header{"Retry-After": {seconds}},
	}
}
