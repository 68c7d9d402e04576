package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"k0rdent-airgap/lib/ref"

	"golang.org/x/sys/unix"
)

const (
	// tempPrefix begins the names of temporary files in uploads/; sessions have other
	// names.
	tempPrefix = "tmp-"
	// uploadIDLen is the length of a session's ID, a UUID.
	uploadIDLen = 36
	// uploadExpiry is how long a session may be idle.
	uploadExpiry = 24 * time.Hour
	// sweepEvery is how often expired sessions are removed.
	sweepEvery = time.Hour
	// maxSessions bounds the sessions. A Share divides them among payers; one more of
	// a payer ends the one that has been idle longest.
	maxSessions = 1024
	// abandonedAfter is how long a session must have been idle to be ended for its
	// space on a full disk.
	abandonedAfter = 5 * time.Minute
)

// Session names an upload. Only its owner can resume it.
type Session struct {
	Repository string
	ID         string
	Owner      string // the user who opened it; "" without one
	Client     string // whose quota it counts for, without an owner
}

// upload is the state of a session besides its file. One request writes to it at a
// time.
type upload struct {
	busy      chan struct{} // holds a value while a request has locked the session
	users     int           // requests that use it or wait for it; guarded by uploadTable.mu
	used      time.Time     // when the last of them ended
	payer     string        // whose quotas it counts for
	size      int64         // that counts for the quota, in bytes
	algorithm string
	hash      hash.Hash // of the file's first hashed bytes; nil if unknown
	hashed    int64
}

// uploadTable holds all sessions by the path of their file.
type uploadTable struct {
	mu    sync.Mutex
	m     map[string]*upload
	quota Share
	limit int64            // of the bytes of one payer's sessions; 0 for none
	held  map[string]int64 // those bytes, by payer
	swept time.Time
}

// join locks a session and returns its state.
func (t *uploadTable) join(ctx context.Context, file string) (*upload, error) {
	t.mu.Lock()
	u := t.m[file]
	if u == nil {
		t.mu.Unlock()
		return nil, ErrUploadUnknown
	}
	u.users++
	t.mu.Unlock()
	select {
	case u.busy <- struct{}{}:
		return u, nil
	case <-ctx.Done():
		t.part(u)
		return nil, &bodyError{ctx.Err()} // the client disconnected
	}
}

// leave unlocks a session.
func (t *uploadTable) leave(u *upload) {
	<-u.busy
	t.part(u)
}

func (t *uploadTable) part(u *upload) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.users--
	u.used = time.Now()
}

// add adds a session. victim is the file of one that it ended to make room, or "".
// The error is ErrTooMany if it could end none.
func (t *uploadTable) add(file, algorithm, payer string) (victim string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.quota.Acquire(payer, 1) {
		if victim = t.idlest(payer, 0); victim == "" {
			return "", fmt.Errorf("%w: too many unfinished uploads", ErrTooMany)
		}
		t.end(victim)
	}
	t.put(file, algorithm, payer, 0)
	return victim, nil
}

// grow counts n more bytes of a session. If victim is not "", it is the file of a
// session that has been ended to make room, and grow must be called again. The error
// is ErrUploadTooLarge, or ErrTooMany while the payer's other sessions are in use.
func (t *uploadTable) grow(u *upload, n int64) (victim string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.limit == 0 || t.held[u.payer]+n <= t.limit:
		t.count(u, n)
		return "", nil
	case u.size+n > t.limit:
		return "", fmt.Errorf("%w of %d bytes", ErrUploadTooLarge, t.limit)
	}
	if victim = t.idlest(u.payer, 0); victim == "" {
		return "", fmt.Errorf("%w: unfinished uploads hold %d of %d bytes", ErrTooMany, t.held[u.payer], t.limit)
	}
	t.end(victim)
	return victim, nil
}

// abandoned ends an abandoned session of the payer that holds the most, and returns
// its file, or "".
func (t *uploadTable) abandoned() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	payers := slices.SortedFunc(maps.Keys(t.held), func(a, b string) int { return cmp.Compare(t.held[b], t.held[a]) })
	for _, payer := range payers {
		if victim := t.idlest(payer, abandonedAfter); victim != "" {
			t.end(victim)
			return victim
		}
	}
	return ""
}

// idlest returns the file of the payer's session that has been idle longest, at least
// for a time, or "". t.mu is held.
func (t *uploadTable) idlest(payer string, atLeast time.Duration) (file string) {
	for other, u := range t.m {
		if u.payer == payer && u.users == 0 && time.Since(u.used) >= atLeast && (file == "" || u.used.Before(t.m[file].used)) {
			file = other
		}
	}
	return file
}

// count counts bytes of a session. t.mu is held.
func (t *uploadTable) count(u *upload, n int64) {
	u.size += n
	if t.held[u.payer] += n; t.held[u.payer] == 0 {
		delete(t.held, u.payer)
	}
}

// settle corrects the counted size of a session.
func (t *uploadTable) settle(u *upload, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(u, size-u.size)
}

// put adds a session whose place has been acquired. t.mu is held.
func (t *uploadTable) put(file, algorithm, payer string, size int64) {
	if t.m == nil {
		t.m, t.held = make(map[string]*upload), make(map[string]int64)
	}
	u := &upload{busy: make(chan struct{}, 1), algorithm: algorithm, hash: ref.NewHash(algorithm), payer: payer, used: time.Now()}
	t.m[file] = u
	t.count(u, size)
}

// end removes a session. t.mu is held.
func (t *uploadTable) end(file string) {
	if u := t.m[file]; u != nil {
		t.count(u, -u.size)
		t.quota.Release(u.payer, 1)
		delete(t.m, file)
	}
}

// forget removes a session whose file has been removed.
func (t *uploadTable) forget(file string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(file)
}

// expired removes expired sessions every sweepEvery, and returns their files.
func (t *uploadTable) expired(now time.Time) (files []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.swept) < sweepEvery {
		return nil
	}
	t.swept = now
	for file, u := range t.m {
		if u.users == 0 && now.Sub(u.used) > uploadExpiry {
			t.end(file)
			files = append(files, file)
		}
	}
	return files
}

// uploadPath returns the file of a session. A hash of repository and owner in its
// name makes the session theirs.
func uploadPath(s Session) string {
	scope := s.Repository
	if s.Owner != "" {
		scope += "\x00" + s.Owner
	}
	return path.Join(uploadsDir, fmt.Sprintf("%s-%x", s.ID, sha256.Sum256([]byte(scope)))[:uploadIDLen+17])
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// openUploads finds the sessions that clients can resume and removes other files. It
// is unknown whose quota they count for.
func (d *Disk) openUploads() error {
	return d.tree.eachEntry(context.Background(), uploadsDir, func(name string, stat *fileStat) error {
		file := path.Join(uploadsDir, name)
		temporary := strings.HasPrefix(name, tempPrefix)
		switch kind := stat.kind(); {
		case kind != unix.S_IFREG && (kind != unix.S_IFLNK || !temporary):
			return nil // not the registry's
		case temporary || stat.Nlink > 1 || !d.uploads.quota.Acquire("", 1):
			return d.tree.remove(file)
		}
		d.uploads.put(file, "sha256", "", stat.Size)
		return nil
	})
}

// removeUploads removes expired sessions, or all, while no request runs. The host's
// clock dates a session, so one from the future counts as new.
func (d *Disk) removeUploads(all bool) (removed int, err error) {
	before := d.now().Add(-uploadExpiry)
	err = d.tree.eachEntry(context.Background(), uploadsDir, func(name string, stat *fileStat) error {
		if stat.kind() != unix.S_IFREG || !all && stat.modified().After(before) {
			return nil
		}
		removed++
		file := path.Join(uploadsDir, name)
		d.uploads.forget(file)
		return d.tree.remove(file)
	})
	return removed, err
}
