package registry

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// names holds a lock for each name in use. A change keeps its name locked until
// it is durable, so readers never see what a crash could undo.
type names struct {
	mu      sync.Mutex
	m       map[string]*nameLock
	suspect map[string]bool // names whose last change failed; true: it could not be undone
	changes atomic.Uint64   // counts changes and failures, for lists
}

type nameLock struct {
	sync.RWMutex
	name    string
	users   int
	editing bool    // guarded by names.mu, as is existed
	existed bool    // before the edit
	syncs   dirSync // of a directory
}

func newNames() names {
	return names{m: make(map[string]*nameLock), suspect: make(map[string]bool)}
}

func (n *names) enter(name string) *nameLock {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.m[name]
	if l == nil {
		l = &nameLock{name: name}
		n.m[name] = l
	}
	l.users++
	return l
}

func (n *names) leave(l *nameLock) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(n.m, l.name)
	}
}

// lock locks a name exclusively and returns the function that unlocks it.
func (n *names) lock(name string) (unlock func()) {
	l := n.enter(name)
	l.Lock()
	return func() { l.Unlock(); n.leave(l) }
}

// read calls f while the name does not change.
func (n *names) read(name string, f func() error) error {
	l := n.enter(name)
	defer n.leave(l)
	l.RLock()
	defer l.RUnlock()
	n.mu.Lock()
	unknown := n.suspect[name]
	n.mu.Unlock()
	if unknown {
		return fmt.Errorf("%s: %w", name, errUntrusted)
	}
	return f()
}

// pending returns the names in a directory that are being changed, and whether
// each existed before.
func (n *names) pending(dir string) map[string]bool {
	found := make(map[string]bool)
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, l := range n.m {
		if base, ok := strings.CutPrefix(name, dir+"/"); ok && l.editing && !strings.Contains(base, "/") {
			found[base] = l.existed
		}
	}
	return found
}

// failing reports whether any failed change has not been made since.
func (n *names) failing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.suspect) > 0
}

// begin records that an edit begins, and reports whether the name's last one failed.
func (n *names) begin(l *nameLock, existed bool) (failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.editing, l.existed = true, existed
	_, failed = n.suspect[l.name]
	return failed
}

// end records how an edit ended; undone is the error of undoing it.
func (n *names) end(l *nameLock, err, undone error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.editing = false
	if err == nil {
		delete(n.suspect, l.name)
	} else {
		n.suspect[l.name] = undone != nil
	}
}
