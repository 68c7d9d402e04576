package ref

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxOverrides limits the memory that a file of overrides can use.
const maxOverrides = 100_000

// Overrides are the references of entries, by name, which replace all rules.
type Overrides map[string]Reference

// ParseOverrides parses lines of an entry's name, white space and its
// repository:tag. Blank lines and lines that start with "#" are ignored. Errors name
// the line.
func ParseOverrides(r io.Reader) (Overrides, error) {
	all := Overrides{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		// An entry's name may contain blanks, a reference cannot.
		i := strings.LastIndexAny(line, " \t")
		if i < 0 {
			return nil, fmt.Errorf("line %d: must be an entry and repository:tag", n)
		}
		entry := strings.TrimPrefix(strings.TrimSpace(line[:i]), "./")
		reference, err := Parse(line[i+1:])
		if err == nil && (reference.Tag == "" || reference.Digest != "") {
			err = fmt.Errorf("%w: %q is not repository:tag", ErrInvalid, line[i+1:])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, twice := all[entry]; twice {
			return nil, fmt.Errorf("line %d: duplicate override for entry %s", n, entry)
		}
		if len(all) == maxOverrides {
			return nil, fmt.Errorf("line %d: more than %d overrides", n, maxOverrides)
		}
		all[entry] = reference
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return all, nil
}
