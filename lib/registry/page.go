package registry

import "slices"

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
	if string(name) <= l.after || l.ends(name) {
		return
	}
	l.names = append(l.names, string(name))
	if len(l.names) >= 4*l.limit+64 {
		l.cut()
	}
}

// ends reports whether a name is on a later page.
func (l *lowest) ends(name []byte) bool { return l.more && string(name) >= l.bound }

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
