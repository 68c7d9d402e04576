package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"k0rdent-airgap/lib/textfile"
)

// MaxLine is the longest line that Read accepts, in bytes. The longest record
// that the tools write, an index of many platforms, takes a few kilobytes.
const MaxLine = 1 << 20

// ErrNotRecord is wrapped by the errors for a line that is not a record.
var ErrNotRecord = errors.New("not a JSON record")

// Line is one record as it was read.
type Line struct {
	Number int    // counted from 1
	Kind   string // never empty, unless the line is no record
	Raw    []byte // without the line's end; valid until the next line is read
}

// Decode sets the fields of r, a pointer, from the record.
func (l Line) Decode(r any) error {
	if err := json.Unmarshal(l.Raw, r); err != nil {
		return fmt.Errorf("line %d: %s record: %w", l.Number, l.Kind, err)
	}
	return nil
}

// Read returns the records of r in order and stops after the first error. Blank
// lines are skipped. A line that is not one JSON object with a kind, or is
// longer than MaxLine, is an error that names the line; Raw then holds the
// line.
func Read(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		s := bufio.NewScanner(textfile.Unmarked(r))
		s.Buffer(make([]byte, 0, 4096), MaxLine)
		n := 0
		for s.Scan() {
			n++
			raw := bytes.TrimSpace(s.Bytes())
			if len(raw) == 0 {
				continue
			}
			l, err := parse(n, raw)
			if !yield(l, err) || err != nil {
				return
			}
		}
		switch err := s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Line{}, fmt.Errorf("line %d: longer than %d bytes: %w", n+1, MaxLine, ErrNotRecord))
		case err != nil:
			yield(Line{}, err)
		}
	}
}

func parse(n int, raw []byte) (Line, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if raw[0] != '{' || json.Unmarshal(raw, &head) != nil {
		return Line{Number: n, Raw: raw}, fmt.Errorf("line %d: %w", n, ErrNotRecord)
	}
	if head.Kind == "" {
		return Line{Number: n, Raw: raw}, fmt.Errorf("line %d: %w: no kind", n, ErrNotRecord)
	}
	return Line{Number: n, Kind: head.Kind, Raw: raw}, nil
}
