package registry

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
)

// indexBudget bounds the memory, in bytes, of the indexes of repositories that
// no request uses just now.
const indexBudget = 12 << 20

// repo is a repository whose index.json is in memory. writing is held by the
// one request that changes it; mu guards the fields against readers. Requests
// that hold writing may read without mu.
type repo struct {
	name    string
	writing sync.Mutex
	mu      sync.RWMutex
	index   *index // nil: to be read
	size    int64  // of index.json, in bytes
	logged  int64  // of its journal, in bytes

	// guarded by repoCache.mu
	users int
	cost  int
	idle  *list.Element
}

// repoCache finds repositories and forgets those that were used least recently
// when their indexes exceed indexBudget.
type repoCache struct {
	mu   sync.Mutex
	m    map[string]*repo
	idle list.List // of *repo without users, the one used last in front
	cost int       // of the idle ones
}

// acquire gives a repository with its index read; release it when done. The
// error is ErrNameUnknown if it does not exist.
func (c *repoCache) acquire(d *Disk, name string) (*repo, error) {
	r := c.enter(name)
	r.mu.RLock()
	loaded := r.index != nil
	r.mu.RUnlock()
	if loaded {
		return r, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil {
		if err := d.load(r); err != nil {
			c.release(r)
			return nil, err
		}
	}
	return r, nil
}

func (c *repoCache) enter(name string) *repo {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.m[name]
	if r == nil {
		if c.m == nil {
			c.m = make(map[string]*repo)
		}
		r = &repo{name: name}
		c.m[name] = r
	}
	if r.users++; r.idle != nil {
		c.cost -= r.cost
		c.idle.Remove(r.idle)
		r.idle = nil
	}
	return r
}

func (c *repoCache) release(r *repo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.users--; r.users > 0 {
		return
	}
	if r.index == nil { // it could not be read
		delete(c.m, r.name)
		return
	}
	r.cost = r.index.cost() // nobody changes it: it has no users
	r.idle = c.idle.PushFront(r)
	c.cost += r.cost
	for c.cost > indexBudget {
		last := c.idle.Back()
		victim := c.idle.Remove(last).(*repo)
		victim.idle = nil
		c.cost -= victim.cost
		delete(c.m, victim.name)
	}
}

// load reads a repository's index.json and its journal. An index.json that is
// not there yet is empty as long as the repository exists. r.mu is held.
func (d *Disk) load(r *repo) error {
	ix, size, err := d.readIndex(r.name)
	if err != nil {
		return err
	}
	logged, err := d.replayJournal(r.name, ix)
	if err != nil {
		return err
	}
	r.index, r.size, r.logged = ix, size, logged
	return nil
}

func (d *Disk) readIndex(name string) (*index, int64, error) {
	f, err := d.root.Open(repoPath(name, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if !d.hasRepo(name) {
			return nil, 0, ErrNameUnknown
		}
		return newIndex(), 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	ix, err := parseIndex(f)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return ix, info.Size(), nil
}

// change changes a repository's index, in memory and for good: index.json is
// replaced or, where that would be much to write for a small change, the change
// is put into the journal. r.writing is held. If it fails, memory goes back to
// what the disk says; should that fail too, memory keeps the change, whose
// content is stored, rather than forget what else it knows.
func (d *Disk) change(r *repo, c change) error {
	r.mu.Lock()
	r.index.apply(c)
	r.mu.Unlock()
	var err error
	if r.logged == 0 && r.size < journalFrom {
		err = d.replaceIndex(r)
	} else if err = d.log(r, c); err == nil {
		d.foldSoon(r)
	}
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, d.load(r))
}

// replaceIndex writes a repository's index.json. r.writing is held, so nobody
// changes the index meanwhile.
func (d *Disk) replaceIndex(r *repo) error {
	return d.replaceFile(repoPath(r.name, "index.json"), func(f *os.File) error {
		if err := r.index.write(f); err != nil {
			return err
		}
		size, err := f.Seek(0, io.SeekCurrent)
		r.size = size
		return err
	})
}

// layoutText is the file that marks an OCI image layout (image-spec, image
// layout).
const layoutText = `{"imageLayoutVersion":"1.0.0"}`

// makeLayoutOnce makes a repository's layout unless it is there.
func (d *Disk) makeLayoutOnce(name, algorithm string) error {
	if _, err := d.root.Stat(repoPath(name, "oci-layout")); err == nil {
		return nil
	}
	return d.makeLayout(name, algorithm)
}

// makeLayout makes a repository's layout, or the part of it that is missing.
// Several requests may do so at once.
func (d *Disk) makeLayout(name, algorithm string) error {
	if err := d.makeDir(repoPath(name, path.Join("blobs", algorithm))); err != nil {
		return err
	}
	var empty bytes.Buffer
	if err := newIndex().write(&empty); err != nil {
		return err
	}
	if err := d.createFile(repoPath(name, "index.json"), empty.Bytes()); err != nil {
		return err
	}
	return d.createFile(repoPath(name, "oci-layout"), []byte(layoutText))
}

// createFile writes a file that appears complete, unless there is one.
func (d *Disk) createFile(name string, data []byte) error {
	if _, err := d.root.Stat(name); err == nil {
		return nil
	}
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer d.root.Remove(temp)
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.root.Link(temp, name)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return noSpace(err)
	}
	return d.syncDir(path.Dir(name))
}
