package record

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"
)

// Writer writes records in one format: JSON lines for programs, a table or a
// template for people.
// It is safe for use by several goroutines.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	format *Format
	header bool     // the table's header has been written
	pipe   *os.File // that JSON is written to, or nil
}

// NewWriter returns a writer; a nil format means JSON. If w is a pipe, it is
// marked as one that carries records; see Announced.
func NewWriter(w io.Writer, f *Format) *Writer {
	out := &Writer{w: w, format: f}
	for out.json() {
		if pipe, ok := w.(*os.File); ok {
			announce(pipe)
			out.pipe = pipe
		}
		around, ok := w.(interface{ Unwrap() io.Writer })
		if !ok {
			break
		}
		w = around.Unwrap()
	}
	return out
}

func (w *Writer) json() bool { return w.format == nil || w.format.name == formatJSON }

// Write writes one record with a single call to the underlying writer, so that
// the lines of two programs that share a pipe do not mix.
func (w *Writer) Write(r Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.json():
		line, err := Marshal(r)
		if err != nil {
			return err
		}
		return w.put(line)
	case w.format.name == formatTable:
		return w.row(r)
	default:
		return w.format.execute(w, r)
	}
}

// Pass writes a record that was read, unchanged. In the formats for people it
// writes nothing, since they show only the tool's own records.
func (w *Writer) Pass(l Line) error {
	if !w.json() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(append(bytes.Clone(l.Raw), '\n'))
}

func (w *Writer) put(line []byte) error {
	_, err := w.w.Write(line)
	return err
}

// Marshal returns the line of a record, including the newline: the kind first,
// no HTML escapes, no spaces.
func Marshal(r Record) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"kind":"` + r.Kind() + `"`)
	at := b.Len()
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	line := b.Bytes()
	if line[at+1] == '}' { // a record without fields
		return append(line[:at], '}', '\n'), nil
	}
	line[at] = ','
	return line, nil
}
