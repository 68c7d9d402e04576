package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is one column of a table. Rows are written as they arrive, so the
// width is fixed in advance; a longer cell shifts the rest of its line, except
// on a terminal.
type column struct {
	title string
	width int
	right bool // aligned
	// On a terminal, the first column takes what the others leave, and a column
	// is dropped if that is less than room.
	room int
}

// note is the title of the column whose text may be longer than its line. On a
// terminal it continues on the next one.
const note = "NOTE"

// mostName is how wide the first column gets on a terminal.
const mostName = 64

// noteRoom is how many cells on a terminal a note needs to start on the line of
// its record.
const noteRoom = 30

// noteIndent is the indent of a note on lines of its own.
const noteIndent = 4

var columns = []column{
	{title: "REFERENCE", width: 56},
	{title: "PATH", width: 52},
	{title: "STEP", width: 13},
	{title: "SUBJECT", width: 45},
	{title: "TYPE", width: 8, room: 24},
	{title: "VERSION", width: 14, room: 18},
	{title: "PLATFORM", width: 11, room: 18},
	{title: "SIZE", width: 8, right: true, room: 24},
	{title: "STATUS", width: 9, room: 8},
	{title: "SECONDS", width: 7, right: true, room: 10},
	{title: "PLATFORMS", width: 24, room: 40},
	{title: note},
}

// layout returns the columns of a table in width cells, or of their usual width
// if that is 0.
func layout(titles []string, width int) []column {
	var cols []column
	for _, title := range titles {
		i := slices.IndexFunc(columns, func(c column) bool { return c.title == title })
		cols = append(cols, columns[i])
	}
	if width == 0 {
		if len(cols) > 0 && cols[len(cols)-1].title != note {
			cols = append(cols, column{title: note})
		}
		return cols
	}
	for {
		rest, narrow := width, 0
		for _, c := range cols[1:] {
			rest -= c.width + 2
		}
		for i, c := range cols {
			if i > 0 && rest < c.room && c.room > cols[narrow].room {
				narrow = i
			}
		}
		if narrow == 0 {
			if cols[len(cols)-1].title != note { // which takes the rest
				cols[0].width = max(1, min(rest, mostName))
			}
			return cols
		}
		cols = slices.Delete(cols, narrow, narrow+1)
	}
}

// row writes a record as a row of the table, or as a sentence.
func (w *Writer) row(shown any) error {
	text := sentence(shown)
	if _, summary := shown.(Summary); summary && text == "" {
		return nil
	}
	if text != "" {
		if w.screen == nil {
			return w.put([]byte(text + "\n"))
		}
		const indent = 2
		text = Wrap(text, w.screen.Width()-indent, indent)
		if word, rest, ok := strings.Cut(text, ":"); ok {
			text = w.screen.Mark(word) + ":" + rest
		}
		return w.put([]byte(text + "\n"))
	}
	if len(w.format.titles) == 0 {
		return nil // the tool answers in sentences
	}
	width := 0
	if w.screen != nil {
		width = w.screen.Width()
	}
	cols := layout(w.format.titles, width)
	if !w.header {
		w.header = true
		titles := make(map[string]string)
		for _, c := range cols {
			titles[c.title] = c.title
		}
		text = w.line(cols, titles, width)
	}
	have := cells(shown)
	for title, cell := range have {
		have[title] = printable(cell)
	}
	if first := cols[0].title; have[first] == "" { // of another kind than the table's
		name := cmp.Or(have["REFERENCE"], have["PATH"])
		have[first] = "  " + name
		if r, ok := shown.(Record); ok && first == "STEP" {
			have[first] = "  " + r.Kind()
			if w.screen != nil {
				name = Elide(name, width-noteIndent-1)
			}
			have[note] = strings.TrimSuffix(name+": "+have[note], ": ")
		}
	}
	return w.put([]byte(text + w.line(cols, have, width)))
}

// line returns one line of a table. On a terminal it has at most width cells,
// and a note has as many lines as it needs.
func (w *Writer) line(cols []column, cells map[string]string, width int) string {
	var row []string
	used := -2
	for i, c := range cols {
		cell := cells[c.title]
		switch {
		case width == 0:
			cell = cmp.Or(cell, "-")
		case c.title == note:
			continue
		case i > 0 || cols[len(cols)-1].title != note:
			cell = Elide(cell, c.width)
		default: // a name that may be longer than its column: a status follows
			cell = Elide(cell, max(c.width, width-11))
		}
		n := utf8.RuneCountInString(cell)
		pad := strings.Repeat(" ", max(0, c.width-n))
		if c.title == "STATUS" && w.screen != nil {
			cell = w.screen.Mark(cell)
		}
		if c.right {
			row = append(row, pad+cell)
		} else {
			row = append(row, cell+pad)
		}
		used += max(n, c.width) + 2
	}
	text := strings.Join(row, "  ")
	short := strings.TrimRight(text, " ") + "\n"
	switch more := cells[note]; {
	case width == 0 || more == "" || cols[len(cols)-1].title != note:
		return short
	case width-used-2 >= noteRoom && longest(more) <= width-used-2:
		return text + "  " + Wrap(more, width-used-2, used+2) + "\n"
	case more == note: // the header
		return short
	default:
		return short + strings.Repeat(" ", noteIndent) + Wrap(more, width-noteIndent, noteIndent) + "\n"
	}
}

// longest returns the length of a text's longest word.
func longest(text string) (n int) {
	for word := range strings.FieldsSeq(text) {
		n = max(n, utf8.RuneCountInString(word))
	}
	return n
}

// cells returns what a record has for the columns of a table.
func cells(shown any) map[string]string {
	switch r := shown.(type) {
	case Image:
		short := r
		short.Reference = "" // without the registry, which is the same in every row
		name := short.Name()
		if r.Repository == "" {
			name = cmp.Or(r.Reference, r.Entry, r.Bundle)
		}
		return map[string]string{
			"REFERENCE": name, "TYPE": r.Type, "SIZE": Bytes(r.Size), "STATUS": r.Status,
			"PLATFORMS": strings.Join(r.Platforms, ","), note: cmp.Or(r.Error, r.Warning),
		}
	case Skipped:
		return map[string]string{
			"REFERENCE": r.Entry, "TYPE": "skipped", "SIZE": Bytes(r.Size), "STATUS": cmp.Or(r.Status, StatusSkipped), note: r.Reason,
		}
	case Repository:
		tags := fmt.Sprintf("%d tags", r.Tags)
		if r.Tags == 1 {
			tags = "1 tag"
		}
		shared := ""
		if r.SharedBytes > 0 {
			shared = Bytes(r.SharedBytes) + " shared"
		}
		return map[string]string{"REFERENCE": r.Repository, "TYPE": tags, "SIZE": Bytes(r.Size), "PLATFORMS": shared}
	case Blob:
		return map[string]string{"REFERENCE": "  " + r.Digest, "TYPE": "blob", "SIZE": Bytes(r.Size), note: r.MediaType}
	case File:
		return map[string]string{
			"REFERENCE": r.Name, "TYPE": r.Kind(),
			"PATH": r.Path, "VERSION": r.Version, "PLATFORM": r.Platform, "SIZE": Bytes(r.Size), "STATUS": r.Status, note: r.Error,
		}
	case Step:
		return map[string]string{
			"STEP": r.Name, "STATUS": r.Status, "SECONDS": fmt.Sprintf("%.1f", r.Seconds), note: cmp.Or(r.Error, r.Detail),
		}
	case Finding:
		return map[string]string{"SUBJECT": r.Subject, "STATUS": r.Status, note: r.Detail}
	case Cluster:
		return map[string]string{
			"STEP": r.Kind(), "STATUS": cmp.Or(r.Status, StatusDone),
			note: fmt.Sprintf("%s at %s, k0s %s, %s", r.Node, r.Address, r.K0s, r.Kubeconfig),
		}
	default:
		return map[string]string{note: fmt.Sprint(r)}
	}
}

// Elide shortens a text to n cells by what is in its middle.
func Elide(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	tail := n / 2
	return string(r[:max(0, n-1-tail)]) + "…" + string(r[len(r)-tail:])
}

// Wrap breaks a text between words into lines of at most n cells, all but the
// first one indented. A longer word has its own line.
func Wrap(s string, n, indent int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Split(strings.TrimSpace(s), " ") {
		size := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+size > n:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += size
	}
	return b.String()
}

// printable keeps what a bundle or a registry sends from moving a terminal's
// cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// Bytes formats a size for people, in powers of 1000 as for disks and on the
// vendor's download page.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "kMGTPE"
	i := -1
	for f >= 999.95 && i < len(units)-1 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}
