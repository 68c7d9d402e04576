package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// errUntrusted means that a failed change could not be undone, so the disk's
// content is unknown.
var errUntrusted = errors.New("the disk failed; its content is not known until it is written again")

// edit is a change of one name.
type edit struct {
	name string // a path in the storage
	// already reports whether the change has been made.
	already func() (bool, error)
	// do makes the change; undo restores the previous state.
	do, undo func() error
	lock     *nameLock // of name, while it is made
}

// edit makes changes in one directory and returns once they are durable. If that
// fails, it undoes them, and the next edit of a name makes its change again,
// whatever the directory looks like.
func (d *Disk) edit(edits ...edit) error {
	if len(edits) == 0 {
		return nil
	}
	dir := path.Dir(edits[0].name)
	slices.SortFunc(edits, func(a, b edit) int { return strings.Compare(a.name, b.name) })
	edits = slices.CompactFunc(edits, func(a, b edit) bool { return a.name == b.name })
	for i := range edits { // in order, so that two callers cannot deadlock
		edits[i].lock = d.names.enter(edits[i].name)
		edits[i].lock.Lock()
		defer d.names.leave(edits[i].lock)
		defer edits[i].lock.Unlock()
	}
	dirLock := d.names.enter(dir)
	defer d.names.leave(dirLock)
	failures := dirLock.syncs.failures.Load()
	made, err := d.make(edits)
	if err == nil && len(made) > 0 {
		if err = dirLock.syncs.sync(func() error { return d.tree.syncDir(dir) }); err == nil && dirLock.syncs.failures.Load() != failures {
			err = fmt.Errorf("%s: another sync of this directory failed", dir)
		}
	}
	for _, e := range slices.Backward(made) {
		var undone error
		if err != nil {
			undone = e.undo()
		}
		d.names.end(e.lock, err, undone)
	}
	if len(made) > 0 {
		d.names.changes.Add(1)
	}
	return storageError(err)
}

// editIn is like edit, but makes the directory if necessary.
func (d *Disk) editIn(edits ...edit) error {
	if err := d.makeDir(path.Dir(edits[0].name)); err != nil {
		return err
	}
	return d.edit(edits...)
}

// make makes the edits that have not been made, and returns those that it tried.
func (d *Disk) make(edits []edit) (made []edit, err error) {
	for _, e := range edits {
		existed, err := d.tree.exists(e.name)
		if err != nil {
			return made, err
		}
		is, err := e.already()
		if err != nil {
			return made, err
		}
		if failed := d.names.begin(e.lock, existed); is && !failed {
			d.names.end(e.lock, nil, nil)
			continue
		}
		made = append(made, e)
		if err := e.do(); err != nil {
			return made, err
		}
	}
	return made, nil
}

// dirSync shares one sync of a directory among the edits that wait for it.
type dirSync struct {
	mu       sync.Mutex
	next     *syncBatch
	running  sync.Mutex
	failures atomic.Int64
}

type syncBatch struct {
	done chan struct{}
	err  error
}

// sync returns after a sync that began after the call. After a failed one the
// kernel may count lost pages as written, so edits made before it must not trust a
// later one: see failures.
func (s *dirSync) sync(fsync func() error) error {
	s.mu.Lock()
	if b := s.next; b != nil {
		s.mu.Unlock()
		<-b.done
		return b.err
	}
	b := &syncBatch{done: make(chan struct{})}
	s.next = b
	s.mu.Unlock()
	s.running.Lock()
	s.mu.Lock()
	s.next = nil // later changes wait for another
	s.mu.Unlock()
	if b.err = fsync(); b.err != nil {
		s.failures.Add(1)
	}
	s.running.Unlock()
	close(b.done)
	return b.err
}

// exists reports whether a file exists, once that is durable.
func (d *Disk) exists(name string) (there bool, err error) {
	err = d.names.read(name, func() (err error) {
		there, err = d.tree.exists(name)
		return err
	})
	return there, err
}

// makeDir makes a directory with its parents. If another request is making it,
// makeDir waits until it is durable.
func (d *Disk) makeDir(dir string) error {
	if dir == "." {
		return nil
	}
	if there, err := d.exists(dir); err == nil && there {
		return nil
	}
	if err := d.makeDir(path.Dir(dir)); err != nil {
		return err
	}
	return d.edit(d.addition(dir, func() error { return d.tree.mkdir(dir) }))
}

// link links a file into a directory, which must exist.
func (d *Disk) link(from, to string) error {
	return d.edit(d.addition(to, func() error { return d.tree.link(from, to) }))
}

// addition makes a file or a directory.
func (d *Disk) addition(name string, make func() error) edit {
	return edit{
		name:    name,
		already: func() (bool, error) { return d.tree.exists(name) },
		do: func() error {
			err := make()
			if errors.Is(err, fs.ErrExist) { // a failed edit left it, perhaps only in memory
				if err = d.tree.remove(name); err == nil {
					err = make()
				}
			}
			return err
		},
		undo: func() error { return d.tree.remove(name) },
	}
}

// removeLink removes a symbolic link, unless it points to another target meanwhile.
func (d *Disk) removeLink(name, target string) edit {
	return edit{
		name: name,
		already: func() (bool, error) {
			now, err := d.tree.readlink(name)
			return now != target, err
		},
		do:   func() error { return d.tree.remove(name) },
		undo: func() error { return d.restoreLink(name, target) },
	}
}

// linkEdit creates or replaces a symbolic link.
func (d *Disk) linkEdit(name, target string) edit {
	var old string
	return edit{
		name: name,
		already: func() (is bool, err error) {
			old, err = d.tree.readlink(name)
			return old == target, err
		},
		do: func() error { return d.setLink(name, target) },
		undo: func() error {
			if old == "" {
				return d.tree.remove(name)
			}
			return d.restoreLink(name, old)
		},
	}
}

// restoreLink undoes a change of a symbolic link. If the link has not changed, it
// makes none, for which a full disk may have no room.
func (d *Disk) restoreLink(name, target string) error {
	if now, err := d.tree.readlink(name); err == nil && now == target {
		return nil
	}
	return d.setLink(name, target)
}

// setLink replaces a symbolic link atomically, without syncing it.
func (d *Disk) setLink(name, target string) error {
	temp := path.Join(uploadsDir, tempPrefix+newID())
	if err := d.tree.symlink(target, temp); err != nil {
		return err
	}
	if err := d.tree.rename(temp, name); err != nil {
		return errors.Join(err, d.tree.remove(temp))
	}
	return nil
}
