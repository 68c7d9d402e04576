package registry

import "slices"

// maxPage is how many names a list holds at a time.
const maxPage = 10000

// lowest collects the first limit names, in lexical order, after a name. It holds
// four times as many at most.
type lowest struct {
	limit int
	after string
	names []string
	bound string // with more: names from here on belong to a later page
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
