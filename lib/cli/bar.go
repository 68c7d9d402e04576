package cli

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"k0rdent-airgap/lib/record"
)

// A bar has at most barCells cells between its ends, and text stands before it
// only if barLeast are left for it.
const (
	barCells = 24
	barLeast = 8
)

// bar is the line that a person sees on a terminal. The library keeps its
// figures; that the line fits is seen to here and anew for each drawing, since
// a window may get another width while a tool works.
type bar struct {
	meter *progressbar.ProgressBar
	title string
	total int64 // bytes, or -1 if unknown
	at    int64 // the furthest that was shown
}

func newBar(title string, total int64) *bar {
	if total <= 0 {
		total = -1
	}
	b := &bar{title: title, total: total, meter: progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(total > 0),
		progressbar.OptionSetElapsedTime(true),
		// Otherwise a goroutine turns the spinner for as long as the program runs.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)}
	// The first rate counts from here, and not from the first drawing.
	b.meter.StartWithoutRender()
	return b
}

// advance moves the bar forward, never back: a retried transfer is no reason to
// take away what a person has seen. It tells whether there is anything to show.
func (b *bar) advance(n int64) bool {
	if n > b.at {
		b.meter.Add64(n - b.at)
		b.at = n
	}
	return b.at > 0
}

// line gives the bar in fewer than width cells, with the title and the bytes,
// or the bytes, if there is room for them beside the share, the rate and the time.
func (b *bar) line(width int) string {
	count := b.count()
	for _, form := range []struct {
		text  string
		least int
	}{{b.title + " " + count, barLeast}, {count, barLeast}, {"", 0}} {
		line := b.render(form.text, barCells)
		over := utf8.RuneCountInString(line) - (width - 1)
		if over > 0 && b.total > 0 && barCells-over >= form.least {
			line = b.render(form.text, barCells-over)
			over = 0
		}
		if over <= 0 {
			return line
		}
	}
	line := []rune(b.render("", 0))
	return string(line[:max(0, min(width-1, len(line)))])
}

// waiting returns the line of a tool that waits, in fewer than width cells.
func (b *bar) waiting(what string, width int) string {
	line := []rune(what)
	if b.at > 0 {
		line = []rune(b.title + " " + b.count() + ", " + what)
	}
	return string(line[:max(0, min(width-1, len(line)))])
}

// count is how many bytes have passed, of how many.
func (b *bar) count() string {
	if b.total > 0 {
		return record.Bytes(b.at) + "/" + record.Bytes(b.total)
	}
	return record.Bytes(b.at)
}

// render has the library write the bar; each of its characters takes one cell.
func (b *bar) render(text string, cells int) string {
	progressbar.OptionSetWidth(cells)(b.meter)
	b.meter.Describe(text)
	return strings.Trim(b.meter.String(), "\r ")
}
