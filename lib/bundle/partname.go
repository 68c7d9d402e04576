package bundle

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// counter matches names whose end counts: .001, .aa, -part-aa, _part1. A single
// digit counts only after "part", since wget numbers duplicates with one.
var counter = regexp.MustCompile(`^(?:(.+?)([._-](?i:part)[._-]?)([0-9]{1,5}|[a-z]{2,7}|[A-Z]{2,7})|(.+)([._-])([0-9]{2,5}|[a-z]{2,7}|[A-Z]{2,7}))$`)

// notCounters are endings of files next to a bundle. In a series they count only
// between the other counters: after b.tgz.gy, the 181st part, comes b.tgz.gz.
var notCounters = []string{"sig", "asc", "gz", "xz", "tar", "tgz", "zst", "zip", "pub", "pem", "crt", "key", "txt", "log", "sum", "old", "bak", "tmp", "part", "json", "bundle"}

// partName is the name of a part, taken apart.
type partName struct {
	dir, whole, mark string
	counter          string // in lower case
	upper            bool   // the name has it in capitals, as old file systems store names
}

func parsePart(path string) (p partName, ok bool) {
	dir, name := filepath.Split(path)
	m := counter.FindStringSubmatch(name)
	if m == nil {
		return p, false
	}
	c := m[3] + m[6]
	counter := strings.ToLower(c)
	return partName{dir, m[1] + m[4], m[2] + m[5], counter, c != counter}, true
}

// doubtful reports whether a counter more likely is the ending of another file.
func doubtful(counter string) bool { return slices.Contains(notCounters, counter) }

func (p partName) with(counter string) string {
	if p.upper {
		counter = strings.ToUpper(counter)
	}
	return p.dir + p.whole + p.mark + counter
}

// continues reports whether p is a part of the series that begins with first,
// in whatever directory.
func (p partName) continues(first partName) bool {
	if p.whole != first.whole || p.mark != first.mark || digits(p.counter) != digits(first.counter) || p.upper != first.upper {
		return false
	}
	longer := len(p.counter) > len(first.counter) && strings.IndexByte("z9", p.counter[0]) >= 0
	unpadded := len(first.counter) == 1 && p.counter[0] != '0'
	return len(p.counter) == len(first.counter) || longer || unpadded
}

func digits(counter string) bool { return counter[0] <= '9' }

// firsts returns the counters with which a series of this kind may begin.
func firsts(like string) []string {
	if !digits(like) {
		return []string{strings.Repeat("a", min(len(like), 2)), strings.Repeat("a", len(like))}
	}
	if len(like) == 1 {
		return []string{"0", "1"}
	}
	zeros := strings.Repeat("0", len(like)-1)
	return []string{zeros + "0", zeros + "1", "1"}
}

// next returns the counters that may follow: one more or, where split(1) makes
// the counter longer to keep the order of the names (yz, zaaa; 89, 9000), that.
func next(counter string) []string {
	var all []string
	last := byte('z')
	if digits(counter) {
		last = '9'
		n, _ := strconv.Atoi(counter)
		all = append(all, fmt.Sprintf("%0*d", len(counter), n+1))
	} else if up := []byte(counter); strings.Trim(counter, "z") != "" {
		i := len(up) - 1
		for ; up[i] == 'z'; i-- {
			up[i] = 'a'
		}
		up[i]++
		all = append(all, string(up))
	}
	rest := strings.TrimLeft(counter, string(last))
	if n := len(rest); n > 1 && rest[0] == last-1 && strings.Trim(rest[1:], string(last)) == "" {
		zero := map[byte]string{'z': "a", '9': "0"}[last]
		all = append(all, counter[:len(counter)-n]+string(last)+strings.Repeat(zero, n+1))
	}
	return all
}
