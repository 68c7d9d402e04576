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
	limit int64 // of the bytes of one payer's sessions; 0 for none
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

// add adds a session. If victim is not "", it is the file of a session that has been
// ended to make room, and add must be called again. The error is ErrTooMany while the
// payer's other sessions are in use.
func (t *uploadTable) add(file, algorithm, payer string) (victim string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quota.Acquire(payer, 1) {
		t.put(file, algorithm, payer, 0)
		return "", nil
	}
	if victim = t.end(t.idlest(payer, 0)); victim == "" {
		return "", fmt.Errorf("%w: too many unfinished uploads", ErrTooMany)
	}
	return victim, nil
}

// grow counts n more bytes of a session. victim is that of add. The error may also be
// ErrUploadTooLarge.
func (t *uploadTable) grow(u *upload, n int64) (victim string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit > 0 {
		if u.size+n > t.limit {
			return "", fmt.Errorf("%w of %d bytes", ErrUploadTooLarge, t.limit)
		}
		if held := t.held()[u.payer]; held+n > t.limit {
			if victim = t.end(t.idlest(u.payer, 0)); victim == "" {
				err = fmt.Errorf("%w: unfinished uploads hold %d of %d bytes", ErrTooMany, held, t.limit)
			}
			return victim, err
		}
	}
	u.size += n
	return "", nil
}

// held returns the bytes of all sessions by payer. t.mu is held.
func (t *uploadTable) held() map[string]int64 {
	held := make(map[string]int64)
	for _, u := range t.m {
		held[u.payer] += u.size
	}
	return held
}

// abandoned ends an abandoned session of the payer that holds the most, and returns
// its file, or "".
func (t *uploadTable) abandoned() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.held()
	payers := slices.SortedFunc(maps.Keys(held), func(a, b string) int { return cmp.Compare(held[b], held[a]) })
	for _, payer := range payers {
		if victim := t.end(t.idlest(payer, abandonedAfter)); victim != "" {
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

// settle corrects the counted size of a session.
func (t *uploadTable) settle(u *upload, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.size = size
}

// put adds a session whose place has been acquired. t.mu is held.
func (t *uploadTable) put(file, algorithm, payer string, size int64) {
	t.m[file] = &upload{busy: make(chan struct{}, 1), algorithm: algorithm, hash: ref.NewHash(algorithm), payer: payer, size: size, used: time.Now()}
}

// end removes a session, if it exists, and returns its file. t.mu is held.
func (t *uploadTable) end(file string) string {
	if u := t.m[file]; u != nil {
		t.quota.Release(u.payer, 1)
		delete(t.m, file)
	}
	return file
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
			files = append(files, t.end(file))
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
