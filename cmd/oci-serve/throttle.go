package main

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"k0rdent-airgap/lib/registry"
)

const (
	// An address may fail maxFailures times at once, and once more for each
	// failureEvery that passes.
	maxFailures  = 10
	failureEvery = 5 * time.Second
	// maxAddresses bounds how many addresses are remembered.
	maxAddresses = 4096
)

// throttle slows down who guesses passwords, for each address apart.
type throttle struct {
	mu     sync.Mutex
	failed map[netip.Prefix]time.Time // when all failures will be forgiven
}

func newThrottle() *throttle { return &throttle{failed: make(map[netip.Prefix]time.Time)} }

// network is what counts as one address: an IPv6 host has a whole /64.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // fails for the zero address only, which is one too
	return p
}

// take counts an attempt as failed before it is made, so that many at once are
// no way around. It gives how long to wait if it may not be made, or zero.
func (t *throttle) take(from netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := network(from)
	forgiven := t.failed[at]
	if forgiven.Before(now) {
		forgiven = now
	}
	forgiven = forgiven.Add(failureEvery)
	if over := forgiven.Sub(now) - maxFailures*failureEvery; over > 0 {
		return over
	}
	if _, ok := t.failed[at]; !ok {
		t.makeRoom(now)
	}
	t.failed[at] = forgiven
	return 0
}

// makeRoom forgets addresses that have been forgiven, or else any one.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.failed) < maxAddresses {
		return
	}
	for other, forgiven := range t.failed {
		if forgiven.Before(now) {
			delete(t.failed, other)
		}
	}
	for other := range t.failed {
		if len(t.failed) < maxAddresses {
			return
		}
		delete(t.failed, other)
	}
}

// giveBack takes an attempt back that did not fail.
func (t *throttle) giveBack(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := network(from)
	if forgiven, ok := t.failed[at]; ok {
		t.failed[at] = forgiven.Add(-failureEvery)
	}
}

// tooManyError says when to try again.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return fmt.Sprintf("too many attempts; wait %v", e.wait) }

func (e *tooManyError) refusal() error {
	seconds := strconv.Itoa(int(math.Ceil(e.wait.Seconds())))
	return &registry.Refusal{
		Err:    fmt.Errorf("%w: too many failed logins from this address", registry.ErrTooMany),
		Header: http.Header{"Retry-After": {seconds}},
	}
}

// address gives the address that a request came from, the zero one if unknown.
func address(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr()
}
