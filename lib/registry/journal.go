package registry

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"
)

const (
	// journalFrom is the size of an index.json, in bytes, from which changes go
	// to a journal first: some 300 tags. Below, replacing the file costs no more.
	journalFrom = 64 << 10
	// foldDelay is how far an index.json may lag behind its journal.
	foldDelay = time.Second
	// maxChange bounds a line of a journal, in bytes.
	maxChange = 256 << 10
)

// change is what one request does to an index; a journal has one on each line.
// Doing a run of changes twice ends where doing it once does, so a journal may
// be replayed over an index.json that has some of it already.
type change struct {
	Repository string      `json:"repository,omitempty"` // on a journal's first line: whose it is
	Put        *Descriptor `json:"put,omitempty"`
	Tags       []string    `json:"tags,omitempty"` // to point at Put
	Untag      string      `json:"untag,omitempty"`
	Remove     Digest      `json:"remove,omitempty"`
}

// apply does a change; parts that no longer make sense do nothing.
func (ix *index) apply(c change) {
	if c.Put != nil {
		ix.putEntry(*c.Put)
		for _, tag := range c.Tags {
			ix.tag(tag, c.Put.Digest)
		}
	}
	if _, ok := ix.tags[c.Untag]; ok {
		ix.untag(c.Untag)
	}
	if ix.manifests[c.Remove] != nil {
		ix.remove(c.Remove)
	}
}

// valid tells whether a change that was read from a file can be applied.
func (c change) valid() bool {
	if c.Put == nil {
		return true
	}
	_, err := ParseDigest(string(c.Put.Digest))
	return err == nil && !slices.ContainsFunc(c.Tags, func(tag string) bool { return !ValidTag(tag) })
}

// replay applies a journal and gives the length of what it applied. It stops
// at a line that a crash cut short: nobody was told of that, and the next line
// takes its place.
func (ix *index) replay(r io.Reader) (end int64, err error) {
	in := bufio.NewReaderSize(r, maxChange)
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF || err == bufio.ErrBufferFull {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var c change
		if json.Unmarshal(line, &c) != nil || !c.valid() {
			return end, nil
		}
		ix.apply(c)
		end += int64(len(line))
	}
}

// journalPath gives the place of a repository's journal. All of them lie in
// one directory, where the next start finds those that a crash left.
func journalPath(name string) string {
	return path.Join(journalsDir, fmt.Sprintf("%x", sha256.Sum256([]byte(name))))
}

// replayJournal applies what is left of a repository's journal, if there is one.
func (d *Disk) replayJournal(name string, ix *index) (end int64, err error) {
	f, err := d.root.Open(journalPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return ix.replay(f)
}

// log appends a change to a repository's journal. r.writing is held.
func (d *Disk) log(r *repo, c change) error {
	flag := os.O_WRONLY
	if r.logged == 0 {
		c.Repository, flag = r.name, flag|os.O_CREATE
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(line) >= maxChange { // thousands of tags at once
		return d.fold(r)
	}
	f, err := d.root.OpenFile(journalPath(r.name), flag, 0o644)
	if err != nil {
		return noSpace(err)
	}
	defer f.Close()
	// At the end of what is valid, not of the file: a write that failed may have
	// left a piece of a line.
	if _, err = f.WriteAt(append(line, '\n'), r.logged); err == nil {
		err = f.Sync()
	}
	if err == nil && r.logged == 0 {
		err = d.syncDir(journalsDir)
	}
	if err != nil {
		return noSpace(err)
	}
	r.logged += int64(len(line)) + 1
	return nil
}

// folding has the repositories whose journals are to be folded soon.
type folding struct {
	mu      sync.Mutex
	timers  map[*repo]*time.Timer
	running sync.WaitGroup // one for each of timers, until it is done
}

// foldSoon has a repository's journal folded before long.
func (d *Disk) foldSoon(r *repo) {
	d.folding.mu.Lock()
	defer d.folding.mu.Unlock()
	if d.folding.timers[r] != nil {
		return
	}
	if d.folding.timers == nil {
		d.folding.timers = make(map[*repo]*time.Timer)
	}
	d.repos.enter(r.name) // keeps r, which has a user now, in memory
	d.folding.running.Add(1)
	d.folding.timers[r] = time.AfterFunc(foldDelay, func() { d.foldNow(r) })
}

// foldNow ends what foldSoon began. An error leaves the journal, which the
// next change or the next start tries to fold again.
func (d *Disk) foldNow(r *repo) error {
	defer d.folding.running.Done()
	d.folding.mu.Lock()
	delete(d.folding.timers, r)
	d.folding.mu.Unlock()
	defer d.repos.release(r)
	r.writing.Lock()
	defer r.writing.Unlock()
	return d.fold(r)
}

// foldAll folds what is waiting, and waits for what is being folded.
func (d *Disk) foldAll() (err error) {
	d.folding.mu.Lock()
	var stopped []*repo
	for r, timer := range d.folding.timers {
		if timer.Stop() {
			stopped = append(stopped, r)
		}
	}
	d.folding.mu.Unlock()
	for _, r := range stopped {
		err = errors.Join(err, d.foldNow(r))
	}
	d.folding.running.Wait()
	return err
}

// fold makes a repository's index.json say what memory says, and removes the
// journal for good before another could take its name. r.writing is held.
func (d *Disk) fold(r *repo) error {
	if err := d.replaceIndex(r); err != nil || r.logged == 0 {
		return err
	}
	if err := d.root.Remove(journalPath(r.name)); err != nil {
		return err
	}
	r.logged = 0
	return d.syncDir(journalsDir)
}

// foldLeft folds the journals that a crash left.
func (d *Disk) foldLeft() error {
	entries, err := fs.ReadDir(d.root.FS(), journalsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.foldLeftIn(path.Join(journalsDir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// foldLeftIn folds one journal. If that cannot be done, since the index.json
// that it belongs to is damaged, the journal stays where it is: the repository
// answers with that error, and the others are served.
func (d *Disk) foldLeftIn(file string) error {
	name, err := d.journalOwner(file)
	if err != nil {
		return err
	}
	if !ValidName(name) { // the first line is not complete, so nothing was acknowledged
		return d.root.Remove(file)
	}
	r, err := d.repos.acquire(d, name)
	if errors.Is(err, ErrNameUnknown) { // removed by hand
		return d.root.Remove(file)
	}
	if err != nil {
		return nil
	}
	defer d.repos.release(r)
	r.writing.Lock()
	defer r.writing.Unlock()
	return d.fold(r)
}

// journalOwner reads from a journal whose it is; "" if it does not say.
func (d *Disk) journalOwner(file string) (string, error) {
	f, err := d.root.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, maxChange).ReadSlice('\n')
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return "", err
	}
	var c change
	if json.Unmarshal(line, &c) != nil {
		return "", nil
	}
	return c.Repository, nil
}
