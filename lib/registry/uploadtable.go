package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"path"
	"strings"
	"sync"
	"time"

	"k0rdent-airgap/lib/ref"
)

const (
	// tempPrefix starts the names of files in uploads/ that nobody can go on
	// with; sessions have names that do not start so.
	tempPrefix = "tmp-"
	// uploadIDLen is the length of a session's id, a UUID.
	uploadIDLen = 36
	// uploadExpiry is how long a session may lie untouched.
	uploadExpiry = 24 * time.Hour
	// sweepEvery is how often sessions are looked through for expired ones.
	sweepEvery = time.Hour
	// maxSessions bounds how many sessions there are. Of one owner's there may be
	// as many as others leave free; one more ends the one that lay idle longest.
	maxSessions = 1024
)

// Session names an upload. Only its owner can go on with it.
type Session struct {
	Repository string
	ID         string
	Owner      string // the user who opened it; "" for anyone without a name
	Client     string // what the quota counts for, if there is no owner
}

// upload is what memory knows of a session; its file knows the rest. A session
// is written by one request at a time.
type upload struct {
	busy      chan struct{} // holds a value while a request has the session
	users     int           // requests that have it or wait for it; guarded by uploadTable.mu
	used      time.Time     // when the last of them ended, by the monotonic clock
	payer     string        // whose quota it counts for
	algorithm string
	hash      hash.Hash // of the file's first hashed bytes; nil if not known
	hashed    int64
}

// uploadTable has all sessions by the path of their file.
type uploadTable struct {
	mu    sync.Mutex
	m     map[string]*upload
	quota Share
	swept time.Time
}

// join returns the state of the session in a file, locked.
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
		return nil, &bodyError{ctx.Err()} // the client has gone
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

// add puts a session in. victim is the file of one that must end for it, or "".
// The error is ErrTooMany if none can.
func (t *uploadTable) add(file, algorithm, payer string) (victim string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.quota.Acquire(payer) {
		for other, u := range t.m {
			if u.payer == payer && u.users == 0 && (victim == "" || u.used.Before(t.m[victim].used)) {
				victim = other
			}
		}
		if victim == "" {
			return "", fmt.Errorf("%w: too many unfinished uploads", ErrTooMany)
		}
		delete(t.m, victim) // its share is the new one's
	}
	t.put(file, algorithm, payer)
	return victim, nil
}

// put puts a session in whose share has been acquired. t.mu is held.
func (t *uploadTable) put(file, algorithm, payer string) {
	if t.m == nil {
		t.m = make(map[string]*upload)
	}
	t.m[file] = &upload{busy: make(chan struct{}, 1), algorithm: algorithm, hash: ref.NewHash(algorithm), payer: payer, used: time.Now()}
}

// forget takes a session out whose file has been removed.
func (t *uploadTable) forget(file string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u := t.m[file]; u != nil {
		t.quota.Release(u.payer)
		delete(t.m, file)
	}
}

// expired removes the sessions that have lain untouched for too long, if it is
// time to look for them, and returns their files.
func (t *uploadTable) expired(now time.Time) (files []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.swept) < sweepEvery {
		return nil
	}
	t.swept = now
	for file, u := range t.m {
		if u.users == 0 && now.Sub(u.used) > uploadExpiry {
			t.quota.Release(u.payer)
			delete(t.m, file)
			files = append(files, file)
		}
	}
	return files
}

// uploadPath returns the file of a session. The repository and the owner are
// part of its name, so that a session answers to them only and needs no record
// beside its file.
func uploadPath(s Session) string {
	scope := s.Repository
	if s.Owner != "" {
		scope += "\x00" + s.Owner
	}
	return path.Join(uploadsDir, fmt.Sprintf("%s-%x", s.ID, sha256.Sum256([]byte(scope)))[:uploadIDLen+17])
}

// newID makes a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// openUploads finds the sessions that a client may go on with, and removes what
// nobody can. Nobody knows any more whose quota they count for.
func (d *Disk) openUploads() error {
	return d.tree.eachFile(context.Background(), uploadsDir, func(name string, stat *fileStat) error {
		file := path.Join(uploadsDir, name)
		if strings.HasPrefix(name, tempPrefix) || stat.Nlink > 1 || !d.uploads.quota.Acquire("") {
			return d.tree.remove(file)
		}
		d.uploads.put(file, "sha256", "")
		return nil
	})
}

// removeUploads removes expired sessions, or all, while no request runs. A
// session's date is that of the host when its last byte came, so one from the
// future counts as new.
func (d *Disk) removeUploads(all bool) (removed int, err error) {
	before := d.now().Add(-uploadExpiry)
	err = d.tree.eachFile(context.Background(), uploadsDir, func(name string, stat *fileStat) error {
		if !all && stat.modified().After(before) {
			return nil
		}
		removed++
		file := path.Join(uploadsDir, name)
		d.uploads.forget(file)
		return d.tree.remove(file)
	})
	return removed, err
}
