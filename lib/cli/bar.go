package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
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
		progressbar.OptionSetPredictTime(false), // it is written out here
		progressbar.OptionSetElapsedTime(false),
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

// nameCells is how many cells the name of an item may take, and how few are of
// any use. The title is less useful than nameTitle of them.
const (
	nameCells = 32
	nameTitle = 20
	nameLeast = 10
)

// line returns the bar in fewer than width cells: the share, the rate and the
// time, and before them, as far as there is room, the title, the number of items
// done, the name of the one at work, and the bytes.
func (b *bar) line(items, total int, doing string, width int) string {
	texts := b.named(items, total, doing, width)
	if items > 0 {
		texts = append(texts, b.title+" "+share(items, total)+" "+b.count())
	}
	texts = append(texts, b.title+" "+b.count(), b.count())
	for _, text := range texts {
		if line := b.fit(text, barLeast, false, width); line != "" {
			return line
		}
	}
	for _, text := range []string{b.count(), ""} {
		if line := b.fit(text, barLeast*min(1, len(text)), true, width); line != "" {
			return line
		}
	}
	line := []rune(b.render("", 0, true))
	return string(line[:max(0, min(width-1, len(line)))])
}

// fit returns the bar with as many of its cells as there is room for, or "" if
// fewer than least fit. It tries again if the rate has become longer meanwhile.
func (b *bar) fit(text string, least int, brief bool, width int) string {
	for cells := barCells; cells >= least; {
		line := b.render(text, cells, brief)
		over := utf8.RuneCountInString(line) - (width - 1)
		if over <= 0 {
			return line
		}
		if b.total <= 0 {
			break
		}
		cells -= over
	}
	return ""
}

// named returns the text before the bar with the name of the item at work, if
// there is room for it. The room is that which a short bar leaves, so that the
// name moves as little as it can.
func (b *bar) named(items, total int, doing string, width int) []string {
	if doing == "" {
		return nil
	}
	short := utf8.RuneCountInString(b.render(b.count(), barLeast, false))
	for _, form := range []struct {
		head  string
		least int
	}{{b.title + " " + share(items, total), nameTitle}, {share(items, total), nameLeast}} {
		room := min(nameCells, width-1-short-len(form.head+"  "))
		if room >= form.least {
			return []string{fmt.Sprintf("%s %-*s %s", form.head, room, record.Elide(doing, room), b.count())}
		}
	}
	return nil
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

// render makes the library render the bar, and adds the times; each character
// takes one cell.
func (b *bar) render(text string, cells int, brief bool) string {
	progressbar.OptionSetWidth(cells)(b.meter)
	b.meter.Describe(text)
	return strings.Trim(b.meter.String(), "\r ") + " " + b.times(brief)
}

// times returns how long the bar has been moving and, if the total is known,
// how long it still has to, at the average rate; only the latter if brief.
func (b *bar) times(brief bool) string {
	s := b.meter.State()
	elapsed := shortDuration(time.Duration(s.SecondsSince * float64(time.Second)))
	if b.total <= 0 {
		return elapsed
	}
	left := shortDuration(time.Duration(s.SecondsLeft*float64(time.Second))) + " left"
	if brief {
		return left
	}
	return elapsed + ", " + left
}
