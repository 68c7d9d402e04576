package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"strings"

	"k0rdent-airgap/lib/textfile"
)

// sum is a SHA-256 sum and the file that lists it.
type sum struct{ digits, file string }

// listFiles are the names of checksum files for many files. One for a series is
// called like the whole file, with an ending; one for a part, like the part.
var (
	listFiles = []string{"SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "sha256sum.txt", "checksums.txt"}
	listEnds  = []string{".sha256", ".sha256sum", ".sha256.txt"}
)

// sumLine matches a line of sha256sum, without and with --tag.
var sumLine = regexp.MustCompile(`^\\?(?:([0-9a-fA-F]{64}) [ *](.+)|SHA256 \((.+)\) = ([0-9a-fA-F]{64}))$`)

// readSums reads the checksum files next to the parts, and checks that no part
// that they list is missing, and that they list all parts or none. They are a
// help against mistakes, not a proof: whoever can change the parts can change
// them as well.
func (s *Series) readSums() error {
	s.sums = make(map[string]sum)
	first, _ := parsePart(s.Parts[0])
	have := make(map[string]bool)
	for _, part := range s.Parts {
		have[filepath.Base(part)] = true
	}
	listed := ""
	for _, file := range s.sumFiles() {
		text, err := textfile.Read(file)
		if err != nil {
			continue // most of them do not exist
		}
		for line := range strings.Lines(string(text)) {
			m := sumLine.FindStringSubmatch(strings.TrimRight(line, " \t\n"))
			if m == nil {
				continue
			}
			name := filepath.Base(strings.ReplaceAll(m[2]+m[3], `\`, "/"))
			p, ok := parsePart(name)
			if _, known := s.sums[name]; known || !ok || !p.continues(first) || doubtful(p.counter) && !have[name] {
				continue
			}
			s.sums[name] = sum{strings.ToLower(m[1] + m[4]), file}
			listed = file
		}
	}
	if listed == "" {
		return nil
	}
	for _, part := range s.Parts {
		if _, ok := s.sums[filepath.Base(part)]; !ok {
			return &PartError{part, "not listed in " + listed + ", which lists the other parts", "remove it if it is left over from another series"}
		}
	}
	for name, of := range s.sums {
		if !have[name] {
			return &PartError{filepath.Join(filepath.Dir(s.Parts[0]), name), "missing, but " + of.file + " lists it", "copy it next to the other parts, or name the parts on all media"}
		}
	}
	return nil
}

func (s *Series) sumFiles() []string {
	var all []string
	dirs := make(map[string]bool)
	for _, part := range s.Parts {
		for _, end := range listEnds {
			all = append(all, part+end)
		}
		dir := filepath.Dir(part)
		if dirs[dir] {
			continue
		}
		dirs[dir] = true
		for _, end := range listEnds {
			all = append(all, filepath.Join(dir, filepath.Base(s.Whole)+end))
		}
		for _, name := range listFiles {
			all = append(all, filepath.Join(dir, name))
		}
	}
	return all
}

// compare returns an error if a part does not have its listed checksum.
func (s *Series) compare(index int, got [sha256.Size]byte) error {
	part := s.Parts[index]
	want, ok := s.sums[filepath.Base(part)]
	digits := hex.EncodeToString(got[:])
	if !ok || want.digits == digits {
		return nil
	}
	for name, other := range s.sums {
		if other.digits == digits {
			return &PartError{part, "has the content of " + name + ", according to " + want.file, "give the parts their own names back: identify them with sha256sum"}
		}
	}
	return &PartError{part, "checksum mismatch: want " + want.digits + " as in " + want.file + ", got " + digits, "copy this part again"}
}

// unchecked returns the series without its checksums.
func (s *Series) unchecked() *Series {
	c := *s
	c.sums = nil
	return &c
}
