package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/registry"
)

var (
	here  = "192.0.2.1"
	there = "192.0.2.2"
)

// testUsers are alice and bob, with a clock that stands still.
func testUsers(t *testing.T) (u *users, clock *time.Time, log *strings.Builder) {
	t.Helper()
	log = new(strings.Builder)
	u, err := newUsers(writeUsers(t, aliceLine, bobLine), slog.New(&faultHandler{log}))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	u.now = func() time.Time { return now }
	return u, &now, log
}

func TestCheck(t *testing.T) {
	u, _, _ := testUsers(t)
	for _, c := range []struct {
		name, password string
		want           error
	}{
		{"alice", "wonder land", nil},
		{"bob", "b:uilder", nil},
		{"alice", "b:uilder", errWrong},
		{"alice", "", errWrong},
		{"Alice", "wonder land", errWrong},
		{"nobody", "wonder land", errWrong}, // the decoy's password
		{"nobody", "b:uilder", errWrong},
		{"", "wonder land", errWrong},
	} {
		for range 2 { // the second time from memory, where there is any
			if err := u.check(context.Background(), here, c.name, c.password); err != c.want {
				t.Errorf("check(%q, %q) = %v, want %v", c.name, c.password, err, c.want)
			}
		}
		u.throttle = newThrottle()
	}
}

// Guessing is stopped; other users, and valid credentials, are not.
func TestGuessing(t *testing.T) {
	u, now, _ := testUsers(t)
	ctx := context.Background()
	for i := range limitName.most {
		if err := u.check(ctx, here, "alice", fmt.Sprint(i)); err != errWrong {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	err := u.check(ctx, here, "alice", "wonder land")
	if many, ok := errors.AsType[*tooManyError](err); !ok || many.wait != limitName.every {
		t.Errorf("after %d failures: %v, want a wait of %v", limitName.most, err, limitName.every)
	}
	if err := u.check(ctx, here, "bob", "b:uilder"); err != nil {
		t.Errorf("another user at that address: %v", err)
	}
	if err := u.check(ctx, here, "bob", "b:uilder"); err != nil {
		t.Errorf("who is known at that address: %v", err)
	}
	if err := u.check(ctx, there, "alice", "wonder land"); err != nil {
		t.Errorf("another address: %v", err)
	}
	*now = now.Add(limitName.every)
	if err := u.check(ctx, here, "alice", "again wrong"); err != errWrong {
		t.Errorf("after the wait: %v", err)
	}
	err = u.check(ctx, here, "alice", "and again")
	if _, many := errors.AsType[*tooManyError](err); !many {
		t.Errorf("and once more: %v", err)
	}
	*now = now.Add(time.Duration(limitName.most) * limitName.every)
	if err := u.check(ctx, here, "alice", "wonder land"); err != nil {
		t.Errorf("after some time: %v", err)
	}
}

// To try many names with one password is no way around.
func TestSpraying(t *testing.T) {
	th, now := newThrottle(), time.Now()
	for i := range limitAll.most {
		if wait := th.take(here, fmt.Sprint(i), now); wait > 0 {
			t.Fatalf("name %d has to wait %v", i, wait)
		}
	}
	if wait := th.take(here, "alice", now); wait != limitAll.every {
		t.Errorf("one name more waits %v, want %v", wait, limitAll.every)
	}
	if wait := th.take(there, "alice", now); wait > 0 {
		t.Errorf("another address waits %v", wait)
	}
}

// Requests beyond the limit are refused, and each that ends frees its place.
func TestTooManyWait(t *testing.T) {
	u, _, _ := testUsers(t)
	for range cap(u.hashing) {
		u.hashing <- struct{}{}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 2 * maxWaiting {
		if err := u.check(gone, here, "alice", "wonder land"); err != context.Canceled {
			t.Fatalf("a client that left: %v", err)
		}
	}
	for u.waiting.Acquire(here, 1) {
	}
	err := u.check(context.Background(), here, "alice", "wonder land")
	if _, many := errors.AsType[*tooManyError](err); !many {
		t.Errorf("one too many: %v", err)
	}
	for range cap(u.hashing) {
		<-u.hashing
	}
	if err := u.check(context.Background(), there, "alice", "wonder land"); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// However many hashes an address asks for, another one's turn comes next.
func TestHashesAreShared(t *testing.T) {
	u, _, _ := testUsers(t)
	u.hashing = make(chan struct{}, 2)
	ctx, cancel := context.WithCancel(context.Background())
	unlock, err := u.turns.take(ctx, here) // a hash that takes very long
	if err != nil {
		t.Fatal(err)
	}
	u.hashing <- struct{}{}
	ended := make(chan error)
	for i := range 20 {
		go func() { ended <- u.check(ctx, here, fmt.Sprint("name", i), "wrong") }()
	}
	if err := u.check(context.Background(), there, "alice", "wonder land"); err != nil {
		t.Errorf("another address: %v", err)
	}
	cancel()
	for range 20 {
		if err := <-ended; err != context.Canceled {
			t.Errorf("one that waited: %v", err)
		}
	}
	unlock()
	if len(u.turns.busy) != 0 {
		t.Errorf("%d turns are left", len(u.turns.busy))
	}
}

func TestUsersAreReadAgain(t *testing.T) {
	u, now, log := testUsers(t)
	ctx := context.Background()
	if err := u.check(ctx, here, "alice", "wonder land"); err != nil {
		t.Fatal(err)
	}
	replace := func(text string) {
		if err := os.WriteFile(u.file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		*now = now.Add(2 * watchEvery)
	}
	replace("alice:secret\n")
	if err := u.check(ctx, here, "alice", "wonder land"); err != nil || !strings.Contains(log.String(), "keeping the old users") {
		t.Errorf("with a wrong file: %v, log %q", err, log)
	}
	replace(bobLine + "\n")
	if err := u.check(ctx, here, "alice", "wonder land"); err != errWrong {
		t.Errorf("a user that was removed: %v", err)
	}
	if err := os.Chmod(u.file, 0o644); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * watchEvery)
	u.check(ctx, here, "bob", "b:uilder")
	if !strings.Contains(log.String(), "readable by every user of this host") {
		t.Errorf("log %q, want a warning", log)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	u, now, _ := testUsers(t)
	for i := range 2 * maxGood {
		u.remember([32]byte{byte(i), byte(i >> 8)})
	}
	if len(u.good) > maxGood {
		t.Errorf("%d credentials remembered, want at most %d", len(u.good), maxGood)
	}
	for i := range 2 * maxFailed {
		if wait := u.throttle.take(fmt.Sprint("address ", i), "x", *now); wait > 0 {
			t.Fatalf("address %d has to wait %v", i, wait)
		}
	}
	if len(u.throttle.failed) > maxFailed {
		t.Errorf("%d failures remembered, want at most %d", len(u.throttle.failed), maxFailed)
	}
}

func TestNetwork(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8::1:2:3:4":    "2001:db8::/64",
		"fe80::1%eth0":         "fe80::/64",
		"2001:db8:0:1::ffff:1": "2001:db8:0:1::/64",
	} {
		if got := registry.NetworkOf(netip.MustParseAddr(a)); got != want {
			t.Errorf("NetworkOf(%s) = %s, want %s", a, got, want)
		}
	}
}
