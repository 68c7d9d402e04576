package cli

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"k0rdent-airgap/lib/record"
)

// A bar has at most barCells cells between its ends; text precedes it only if
// that leaves barLeast cells.
const (
	barCells = 24
	barLeast = 8
)

// bar is the progress line on a terminal. The library keeps the figures; this
// code fits the line to the window each time it is drawn, since the width may
// change while a tool runs.
type bar struct {
	meter *progressbar.ProgressBar
	title string
	total int64 // bytes, or -1 if unknown
	at    int64 // the highest value shown so far
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
		// Otherwise a goroutine updates the spinner until the program
		// exits.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)}
	// The rate is measured from here, and not from the first drawing.
	b.meter.StartWithoutRender()
	return b
}

// advance moves the bar forward, never back, even if a transfer is retried. It
// reports whether there is anything to show.
func (b *bar) advance(n int64) bool {
	if n > b.at {
		b.meter.Add64(n - b.at)
		b.at = n
	}
	return b.at > 0
}

// line returns the bar in fewer than width cells: the share, the rate and the
// time, preceded by the title and the bytes, or only the bytes, if there is
// room.
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

// waiting returns the line for a tool that is waiting, in fewer than width
// cells.
func (b *bar) waiting(what string, width int) string {
	line := []rune(what)
	if b.at > 0 {
		line = []rune(b.title + " " + b.count() + ", " + what)
	}
	return string(line[:max(0, min(width-1, len(line)))])
}

// count returns the number of bytes processed so far and the total.
func (b *bar) count() string {
	if b.total > 0 {
		return record.Bytes(b.at) + "/" + record.Bytes(b.total)
	}
	return record.Bytes(b.at)
}

// render makes the library render the bar; each of its characters takes one
// cell.
func (b *bar) render(text string, cells int) string {
	progressbar.OptionSetWidth(cells)(b.meter)
	b.meter.Describe(text)
	return strings.Trim(b.meter.String(), "\r ")
}
