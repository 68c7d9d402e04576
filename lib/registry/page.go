package registry

import (
	"slices"
	"strings"
)

// maxPage is how many names a listing holds at a time.
const maxPage = 10000

// lowest collects the first limit names, in lexical order, of those that follow
// after. Memory is that of four times as many, however many are added.
type lowest struct {
	limit int
	after string
	names []string
	bound string // with more: names from here on are on a later page
	more  bool
}

func (l *lowest) add(name []byte) {
	if string(name) <= l.after || l.more && string(name) >= l.bound {
		return
	}
	l.names = append(l.names, string(name))
	if len(l.names) >= 4*l.limit+64 {
		l.cut()
	}
}

// mayHold reports whether a name that begins with prefix can be on the page.
func (l *lowest) mayHold(prefix []byte) bool {
	return (!l.more || string(prefix) < l.bound) && (string(prefix) > l.after || strings.HasPrefix(l.after, string(prefix)))
}

func (l *lowest) cut() {
	slices.Sort(l.names)
	l.names = slices.Compact(l.names)
	if len(l.names) > l.limit {
		l.bound, l.more = l.names[l.limit], true
		clear(l.names[l.limit:])
		l.names = l.names[:l.limit]
	}
}

// done returns the names in order, and whether more follow.
func (l *lowest) done() (names []string, more bool) {
	l.cut()
	return l.names, l.more
}
