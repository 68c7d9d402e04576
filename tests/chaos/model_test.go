package chaos

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// span is when something happened, see call.
type span struct{ begin, end int }

// before reports whether it had ended when another began.
func (s span) before(other span) bool { return s.end < other.begin }

// inode is a file, a directory or a symbolic link.
type inode struct {
	kind   byte // 'f', 'd' or 'l'
	target string
	writes []written
	syncs  []span
}

type written struct {
	span
	offset int
	data   string
}

// entry is what a name became; a nil inode is none.
type entry struct {
	span
	*inode
}

// storageModel is what a trace did to a storage.
type storageModel struct {
	names map[string][]entry // by path below the storage; "." is the storage
	syncs []span             // of the whole file system
}

// modelOf follows a trace.
func modelOf(t *testing.T, calls []call, storage string) *storageModel {
	t.Helper()
	m := &storageModel{names: map[string][]entry{".": {{inode: &inode{kind: 'd'}}}}}
	for _, c := range calls {
		if c.ret < 0 {
			continue
		}
		s := span{c.begin, c.end}
		below := func(path string) (string, bool) {
			rest, err := filepath.Rel(storage, path)
			return rest, err == nil && filepath.IsLocal(rest)
		}
		path, ok := "", false
		switch c.name {
		case "openat", "mkdirat", "unlinkat":
			path, ok = below(at(c.args[0], c.args[1]))
		case "symlinkat":
			path, ok = below(at(c.args[1], c.args[2]))
		case "linkat", "renameat", "renameat2":
			path, ok = below(at(c.args[2], c.args[3]))
		default:
			path, ok = below(fdPath(c.args[0]))
		}
		if !ok {
			continue
		}
		switch c.name {
		case "openat":
			if strings.Contains(c.args[2], "O_TRUNC") {
				t.Fatalf("%s is truncated", path)
			}
			if strings.Contains(c.args[2], "O_CREAT") && m.now(path) == nil {
				m.set(path, s, &inode{kind: 'f'})
			}
		case "mkdirat":
			m.set(path, s, &inode{kind: 'd'})
		case "symlinkat":
			m.set(path, s, &inode{kind: 'l', target: text(c.args[0])})
		case "linkat":
			from, _ := below(at(c.args[0], c.args[1]))
			m.set(path, s, m.now(from))
		case "renameat", "renameat2":
			from, _ := below(at(c.args[0], c.args[1]))
			m.set(path, s, m.now(from))
			m.set(from, s, nil)
		case "unlinkat":
			m.set(path, s, nil)
		case "write", "pwrite64":
			file := m.now(path)
			if file == nil { // deleted meanwhile
				continue
			}
			data, offset := text(c.args[1])[:c.ret], 0
			for _, w := range file.writes {
				offset = max(offset, w.offset+len(w.data))
			}
			if c.name == "pwrite64" {
				offset = 0 // the lock and the clock, which are written as a whole
			}
			file.writes = append(file.writes, written{s, offset, data})
		case "fsync":
			if file := m.now(path); file != nil {
				file.syncs = append(file.syncs, s)
			}
		case "syncfs":
			m.syncs = append(m.syncs, s)
		case "read":
		default:
			t.Fatalf("%s of %s: not in the model", c.name, path)
		}
	}
	return m
}

func (m *storageModel) now(path string) *inode {
	if all := m.names[path]; len(all) > 0 {
		return all[len(all)-1].inode
	}
	return nil
}

func (m *storageModel) set(path string, s span, i *inode) {
	m.names[path] = append(m.names[path], entry{s, i})
}

// synced reports whether one of several syncs of what s did had ended at a line.
func (m *storageModel) synced(s span, syncs []span, line int) bool {
	for _, sync := range append(slices.Clip(syncs), m.syncs...) {
		if s.before(sync) && sync.end <= line {
			return true
		}
	}
	return false
}

// make makes the storage in dir as a loss of power at a line could leave it: what
// had been synced is there; of the rest, none with a nil random, or any part.
func (m *storageModel) make(t *testing.T, dir string, line int, random *rand.Rand) {
	t.Helper()
	pick := func(n int) int { // of n changes
		if random == nil {
			return 0
		}
		return random.IntN(n + 1)
	}
	var paths []string
	for path := range m.names {
		paths = append(paths, path)
	}
	slices.Sort(paths) // directories before what is in them
	present, files := map[string]*inode{".": m.now(".")}, make(map[*inode]string)
	for _, path := range paths {
		parent := present[filepath.Dir(path)]
		if path == "." || parent == nil {
			continue
		}
		var floor *inode
		var later []*inode
		for _, e := range m.names[path] {
			if e.begin > line {
				break
			}
			if later = append(later, e.inode); m.synced(e.span, parent.syncs, line) {
				floor, later = e.inode, nil
			}
		}
		if n := pick(len(later)); n > 0 {
			floor = later[n-1]
		}
		if floor == nil {
			continue
		}
		present[path] = floor
		var err error
		to := filepath.Join(dir, path)
		switch {
		case floor.kind == 'd':
			err = os.Mkdir(to, 0o755)
		case floor.kind == 'l':
			err = os.Symlink(floor.target, to)
		case files[floor] != "":
			err = os.Link(files[floor], to)
		default:
			files[floor] = to
			err = os.WriteFile(to, m.content(floor, line, pick), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// content returns what a file holds then; what has not been written out may be
// zeros.
func (m *storageModel) content(file *inode, line int, pick func(int) int) (data []byte) {
	put := func(w written, zeros bool) {
		data = append(data, make([]byte, max(0, w.offset+len(w.data)-len(data)))...)
		if !zeros {
			copy(data[w.offset:], w.data)
		}
	}
	var later []written
	for _, w := range file.writes {
		if m.synced(w.span, file.syncs, line) {
			put(w, false)
		} else if w.begin <= line {
			later = append(later, w)
		}
	}
	for _, w := range later[:pick(len(later))] {
		put(w, pick(3) == 3)
	}
	return data
}
