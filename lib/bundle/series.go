package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrPart: a part of a series is missing, damaged, or not what it should be. The
// error is a PartError.
var ErrPart = errors.New("wrong part")

// A PartError means that a series cannot be read because of one of its parts.
type PartError struct {
	Part    string // its path
	Problem string
	Remedy  string // what to do about it, as a sentence, or ""
}

func (e *PartError) Error() string { return e.Part + ": " + e.Problem }

// Hint returns the remedy.
func (e *PartError) Hint() string { return e.Remedy }

// Unwrap returns ErrPart, for errors.Is.
func (e *PartError) Unwrap() error { return ErrPart }

// A Series is a file that was cut into parts, as by split(1), whose names differ
// only in a counter at their end.
type Series struct {
	Whole string   // the file's own path; its signature is next to it
	Parts []string // in order, at least one

	sums  map[string]sum // of the checksum file beside them, by base name
	infos []os.FileInfo  // of the parts, once checked
	size  int64          // of the whole
}

// FindSeries returns the series that path names: by any of its parts, if the
// first one is next to it, or by all of them, with the list separator between
// absolute paths. It returns nil if path names a file that is not a part. An
// error about the parts is a PartError; they have not been opened.
func FindSeries(path string) (*Series, error) {
	info, err := os.Stat(path)
	if err != nil {
		if all := splitList(path, filepath.ListSeparator, filepath.IsAbs); len(all) > 1 {
			return JoinSeries(all)
		}
		return nil, nil // the caller meets the error again
	}
	p, ok := parsePart(path)
	if !ok || !info.Mode().IsRegular() {
		return nil, nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, nil // a directory that only lets names through
	}
	names, typed := make(map[string]bool), filepath.Base(path)
	for _, e := range entries {
		names[e.Name()] = true
	}
	for name := range names { // a file system may ignore the case
		if q, ok := parsePart(p.dir + name); ok && !names[typed] && strings.EqualFold(name, typed) {
			p = q
		}
	}
	for _, counter := range firsts(p.counter) {
		first := p
		first.counter = counter
		if _, ok := parsePart(first.with(counter)); !ok || !names[filepath.Base(first.with(counter))] || !p.continues(first) {
			continue
		}
		var all []string
		for name := range names {
			if q, ok := parsePart(p.dir + name); ok && q.continues(first) {
				all = append(all, p.dir+name)
			}
		}
		s, err := newSeries(first, all)
		if doubtful(p.counter) && (err != nil || !slices.Contains(s.Parts, path)) {
			return nil, nil
		}
		return s, err
	}
	return nil, nil
}

// splitList splits a list of absolute paths, which may contain its separator.
func splitList(list string, separator byte, isAbs func(string) bool) []string {
	var all []string
	start := 0
	for i := range len(list) {
		if list[i] == separator && isAbs(list[i+1:]) {
			all = append(all, list[start:i])
			start = i + 1
		}
	}
	return append(all, list[start:])
}

// JoinSeries returns the series of these parts, which may be in any order and in
// several directories. It returns nil if they are not parts of one file.
func JoinSeries(paths []string) (*Series, error) {
	var all []partName
	for _, path := range paths {
		p, ok := parsePart(path)
		if !ok {
			return nil, nil
		}
		all = append(all, p)
	}
	first := slices.MinFunc(all, func(a, b partName) int {
		if len(a.counter) != len(b.counter) && digits(a.counter) {
			return len(a.counter) - len(b.counter)
		}
		return strings.Compare(a.counter, b.counter)
	})
	for _, p := range all {
		if !p.continues(first) || doubtful(first.counter) {
			return nil, nil
		}
	}
	if begins := firsts(first.counter); !slices.Contains(begins, first.counter) {
		want := begins[len(begins)-1]
		if digits(first.counter) {
			want = begins[1]
		}
		return nil, missing(first.with(want), first.with(first.counter))
	}
	return newSeries(first, paths)
}

// newSeries orders the parts and looks for gaps.
func newSeries(first partName, paths []string) (*Series, error) {
	at := make(map[string]string) // path by counter
	for _, path := range paths {
		p, _ := parsePart(path)
		if other, twice := at[p.counter]; twice && other != path {
			return nil, &PartError{path, "the same part as " + other, "name one of them"}
		}
		at[p.counter] = path
	}
	s := &Series{Whole: filepath.Join(filepath.Dir(at[first.counter]), first.whole)}
	if !filepath.IsAbs(at[first.counter]) {
		s.Whole = first.dir + first.whole
	}
	counter := first.counter
	for found := true; found; {
		s.Parts = append(s.Parts, at[counter])
		delete(at, counter)
		found = false
		for _, candidate := range next(counter) {
			if _, there := at[candidate]; there && !found {
				counter, found = candidate, true
			}
		}
	}
	maps.DeleteFunc(at, func(counter, _ string) bool { return doubtful(counter) })
	if len(at) > 0 {
		var later []string
		for _, path := range at {
			later = append(later, path)
		}
		slices.Sort(later)
		if want := next(counter); len(want) > 0 {
			return nil, missing(first.with(want[0]), later[0])
		}
		return nil, missing("the part after "+s.Parts[len(s.Parts)-1], later[0])
	}
	return s, nil
}

func missing(part, other string) error {
	return &PartError{part, "missing, but " + filepath.Base(other) + " exists", "copy it next to the other parts, or name the parts on all media"}
}

// Path returns the path that names the series: that of the first part or, if it
// does not find the others next to it, those of all parts.
func (s *Series) Path() string {
	found, err := FindSeries(s.Parts[0])
	if err == nil && found != nil && slices.Equal(found.Parts, s.Parts) {
		return s.Parts[0]
	}
	return strings.Join(s.Parts, string(filepath.ListSeparator))
}

// FirstPart returns the path of the first part of a series of which path is one, by
// its name, or "".
func FirstPart(path string) string {
	p, ok := parsePart(path)
	if !ok {
		return ""
	}
	version := digits(p.counter) && len(p.counter) < 3 && len(p.mark) == 1 // as in v1.22
	if doubtful(p.counter) || version {
		return ""
	}
	return p.with(firsts(p.counter)[1])
}

// Whole returns the path of the whole file if path names a series, or else path.
func Whole(path string) string {
	if s, err := FindSeries(path); s != nil && err == nil {
		return s.Whole
	}
	return path
}

// stat checks the parts before they are read, and adds up their sizes.
func (s *Series) stat() error {
	s.size, s.infos = 0, nil
	for _, path := range s.Parts {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return &PartError{path, "missing", "copy it next to the other parts"}
		case err != nil:
			return err
		case info.IsDir():
			return &PartError{path, "is a directory, but its name is that of a part", "remove it, or put the part in its place"}
		case !info.Mode().IsRegular():
			return &PartError{path, "not a regular file", "join the parts in a pipe: cat ... | ... -"}
		case info.Size() == 0:
			return &PartError{path, "the part is empty", "copy it again"}
		}
		s.size += info.Size()
		s.infos = append(s.infos, info)
	}
	return nil
}

// Odd returns a remark on a part whose size shows that it is incomplete or out
// of its place, or "": split(1) makes all parts equal but the last, which is
// shorter.
func (s *Series) Odd() string {
	if s.infos == nil && s.stat() != nil {
		return ""
	}
	for i, info := range s.infos {
		first := s.infos[0].Size()
		if last := i == len(s.infos)-1; info.Size() == first || last && info.Size() < first {
			continue
		}
		return fmt.Sprintf("%s has %d bytes, and the first part %d: it is incomplete, swapped, or left over from another series", s.Parts[i], info.Size(), first)
	}
	return ""
}

// Head returns a part other than the first that begins like a bundle, or "".
func (s *Series) Head() string {
	for _, path := range s.Parts[1:] {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		head := make([]byte, sniffLen)
		n, _ := io.ReadFull(f, head)
		f.Close()
		if FormatOf(head[:n]) != "" {
			return path
		}
	}
	return ""
}
