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
	table  bool
	screen *Screen   // nil unless w is a terminal
	aside  io.Writer // gets the sentences too; nil if nothing does
	header bool      // the table's header has been written
	pipe   *os.File  // that JSON is written to, or nil
}

// Screen is a terminal that records are written to.
type Screen struct {
	Width func() int               // in cells, at this moment
	Mark  func(word string) string // returns a word with its colour, if it has one
}

// NewWriter returns a writer; a nil format means JSON. If w is a pipe, it is
// marked as one that carries records; see Announced.
func NewWriter(w io.Writer, f *Format) *Writer {
	out := &Writer{w: w, format: f, table: f != nil && f.name == formatTable}
	if around, ok := w.(interface{ Unwrap() io.Writer }); ok {
		w = around.Unwrap()
	}
	if pipe, ok := w.(*os.File); ok && out.json() {
		announce(pipe)
		out.pipe = pipe
	}
	return out
}

// NewScreenWriter returns a writer to a terminal, for which the automatic format
// is the table.
func NewScreenWriter(w io.Writer, f *Format, s Screen) *Writer {
	return &Writer{w: w, format: f, screen: &s, table: f.name == formatTable || f.name == formatAuto}
}

// Aside makes the writer repeat summaries and sentences to aside, for a person
// who does not see the output.
func (w *Writer) Aside(aside io.Writer) { w.aside = aside }

func (w *Writer) json() bool { return !w.table && w.format.JSON() }

// Write writes one record with a single call to the underlying writer, so that
// the lines of two programs that share a pipe do not mix.
func (w *Writer) Write(r Record) error { return w.WriteAs(r, r) }

// WriteAs is like Write, but in the table shown takes the place of r: a record
// with less in it, a Sentence, or nil for nothing.
func (w *Writer) WriteAs(r Record, shown any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repeat(sentence(shown))
	switch {
	case w.table && shown == nil:
		return nil
	case w.table:
		return w.row(shown)
	case w.json():
		line, err := Marshal(r)
		if err != nil {
			return err
		}
		return w.put(line)
	default:
		return w.format.execute(w, r)
	}
}

// repeat writes a sentence to aside.
func (w *Writer) repeat(text string) {
	if w.aside != nil && text != "" {
		// Nobody may be watching any more, which does not affect the records.
		_, _ = io.WriteString(w.aside, text+"\n")
	}
}

// Pass writes a record that was read, unchanged. The formats for people show
// only the tool's own records, but on a terminal also the notices of others.
func (w *Writer) Pass(l Line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	if w.screen != nil || w.aside != nil {
		text = sentence(notice(l))
	}
	w.repeat(text)
	switch {
	case w.json():
		return w.put(append(bytes.Clone(l.Raw), '\n'))
	case w.table && w.screen != nil && text != "":
		return w.row(Sentence(text))
	}
	return nil
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
