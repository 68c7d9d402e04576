package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"
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
	// maxHashes bounds how many sessions keep the state of their hash in memory.
	// A session beyond them reads its file again when it goes on.
	maxHashes = 1024
)

// upload is what memory knows of a session; its file knows the rest. A session
// is written by one request at a time.
type upload struct {
	busy      chan struct{} // holds a value while a request has the session
	users     int           // requests that have it or wait for it; guarded by uploadTable.mu
	algorithm string
	hash      hash.Hash // of the file's first hashed bytes; nil if not known
	hashed    int64
}

// uploadTable finds sessions by the path of their file.
type uploadTable struct {
	mu    sync.Mutex
	m     map[string]*upload
	swept time.Time
}

// join gives the state of the session in a file, locked.
func (t *uploadTable) join(ctx context.Context, file string) (*upload, error) {
	t.mu.Lock()
	u := t.m[file]
	if u == nil {
		u = t.add(file, "sha256")
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
}

// add puts a new session in. t.mu is held.
func (t *uploadTable) add(file, algorithm string) *upload {
	if t.m == nil {
		t.m = make(map[string]*upload)
	}
	for other, u := range t.m {
		if len(t.m) < maxHashes {
			break
		}
		if u.users == 0 {
			delete(t.m, other)
		}
	}
	u := &upload{busy: make(chan struct{}, 1), algorithm: algorithm, hash: newHash(algorithm)}
	t.m[file] = u
	return u
}

// forget takes a session out whose file has been removed.
func (t *uploadTable) forget(file string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, file)
}

// sweepDue tells whether it is time to look for expired sessions, and notes
// that it is being done.
func (t *uploadTable) sweepDue(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := now.Sub(t.swept) > sweepEvery
	if due {
		t.swept = now
	}
	return due
}

// uploadPath gives the file of a session. The repository is part of its name,
// so that a session answers under its own repository only and needs no record
// beside its file.
func uploadPath(name, id string) string {
	return path.Join(uploadsDir, fmt.Sprintf("%s-%x", id, sha256.Sum256([]byte(name)))[:uploadIDLen+17])
}

// newID makes a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// tempFile makes a file in uploads/ that the next start would remove.
func (d *Disk) tempFile() (*os.File, string, error) {
	name := path.Join(uploadsDir, tempPrefix+newID())
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	return f, name, noSpace(err)
}

// sweepUploads removes expired sessions and, at the start, files that nobody
// can go on with.
func (d *Disk) sweepUploads(now time.Time, start bool) error {
	d.uploads.sweepDue(now)
	entries, err := fs.ReadDir(d.root.FS(), uploadsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone since
		}
		temp := strings.HasPrefix(e.Name(), tempPrefix)
		if start && (temp || committed(info)) || !temp && now.Sub(info.ModTime()) > uploadExpiry {
			file := path.Join(uploadsDir, e.Name())
			if err := d.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			d.uploads.forget(file)
		}
	}
	return nil
}
