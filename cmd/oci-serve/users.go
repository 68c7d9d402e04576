package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"k0rdent-airgap/lib/registry"
)

const (
	// goodFor is how long valid credentials are remembered: computing their hash
	// takes some 60 ms, and a push makes many requests.
	goodFor = 5 * time.Minute
	// maxGood bounds how many of them are remembered.
	maxGood = 1024
	// maxWaiting bounds how many requests wait for a hash at once.
	maxWaiting = 64
)

// errWrong means that there is no such user, or that the password is wrong.
var errWrong = errors.New("wrong user name or password")

// users checks names and passwords against a file, read again when it changes.
type users struct {
	file string
	log  *slog.Logger
	now  func() time.Time

	mu    sync.Mutex
	watch watch
	table *table
	good  map[[sha256.Size]byte]time.Time // until when
	key   [32]byte                        // of the digests in good

	throttle *throttle
	waiting  registry.Share // of places for requests that need a hash
	turns    turns          // an address has one hash computed at a time
	hashing  chan struct{}  // has a value for each hash that is being computed
}

// newUsers reads the file for the first time.
func newUsers(file string, log *slog.Logger) (*users, error) {
	u := &users{
		file:     file,
		log:      log,
		now:      time.Now,
		watch:    watch{files: []string{file}},
		good:     make(map[[sha256.Size]byte]time.Time),
		throttle: newThrottle(),
		waiting:  registry.Share{Limit: maxWaiting},
		turns:    turns{busy: make(map[string]chan struct{})},
		// At least two, so that one address cannot occupy all. Half of the cores
		// remain for requests that need no hash.
		hashing: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)/2)),
	}
	rand.Read(u.key[:]) // never fails
	u.watch.changed(u.now())
	return u, u.read()
}

// read reads the file. The caller holds u.mu, or is the only user of u.
func (u *users) read() error {
	t, err := readHtpasswd(u.file)
	if err != nil {
		return err
	}
	if t.open {
		u.log.Warn(u.file + ": readable by every user of this host; make it private with chmod o-r")
	}
	u.table = t
	clear(u.good)
	return nil
}

// find returns the hash to compare a password with, whether the name is known,
// and under what the answer is remembered; good is whether it is already.
func (u *users) find(name, password string) (hash []byte, known bool, mark [sha256.Size]byte, good bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if u.watch.changed(now) {
		if err := u.read(); err != nil {
			u.log.Error("keeping the old users", "error", err)
		}
	}
	if hash, known = u.table.hashes[name]; !known {
		n := maphash.String(u.throttle.seed, name)
		return u.table.decoys[n%uint64(len(u.table.decoys))], false, mark, false
	}
	// The hash is part of the mark, so a changed password invalidates it.
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write(hash)
	mac.Write([]byte(name + "\x00" + password))
	mac.Sum(mark[:0])
	return hash, true, mark, now.Before(u.good[mark])
}

// remember records that credentials are valid.
func (u *users) remember(mark [sha256.Size]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	makeRoom(u.good, maxGood, now)
	u.good[mark] = now.Add(goodFor)
}

// check reports whether a password is a user's; from is the network that the request
// came from, see [registry.Network]. The error is errWrong, a
// *tooManyError for who has failed too often or when too many wait,
// or the context's. Nobody waits for a penalty to pass: that would cost a
// goroutine and a connection each.
func (u *users) check(ctx context.Context, from, name, password string) error {
	hash, known, mark, good := u.find(name, password)
	if good {
		return nil
	}
	if wait := u.throttle.take(from, name, u.now()); wait > 0 {
		return &tooManyError{wait}
	}
	err := u.compare(ctx, from, hash, password)
	if !known && err == nil {
		err = errWrong // the decoy's owner has this password too
	}
	if err != errWrong {
		u.throttle.giveBack(from, name)
	}
	if err == nil {
		u.remember(mark)
	}
	return err
}

// compare computes a hash when it is the request's turn.
func (u *users) compare(ctx context.Context, from string, hash []byte, password string) error {
	if !u.waiting.Acquire(from, 1) {
		return &tooManyError{time.Second}
	}
	defer u.waiting.Release(from, 1)
	done, err := u.turns.take(ctx, from)
	if err != nil {
		return err
	}
	defer done()
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return errWrong
	}
	return nil
}

// turns admits one request of each address at a time, so that the next hash is
// computed for another address, if one waits.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by address; closed when its turn ends
}

// take waits for a turn, and returns the function that ends it.
func (t *turns) take(ctx context.Context, from string) (end func(), err error) {
	turn := make(chan struct{})
	for {
		t.mu.Lock()
		before, busy := t.busy[from]
		if !busy {
			t.busy[from] = turn
		}
		t.mu.Unlock()
		if !busy {
			break
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() {
		t.mu.Lock()
		delete(t.busy, from)
		t.mu.Unlock()
		close(turn)
	}, nil
}
