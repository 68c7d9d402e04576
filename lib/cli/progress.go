package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k0rdent-airgap/lib/record"
)

// patience is how long a tool waits for another before the bar says so.
const patience = time.Second

// tick is how often the bar is drawn.
const tick = 200 * time.Millisecond

// Progress shows the progress of a tool. On a terminal it is a bar with bytes,
// rate and time left; elsewhere it is one line per item. All of a tool's
// messages go through it, so that the bar does not overwrite them.
type Progress struct {
	mu       sync.Mutex
	name     string
	out      io.Writer
	quiet    bool
	lines    bool
	items    int
	total    int    // of items, or 0
	doing    string // the item at work
	problems problems

	bar   *bar   // nil unless on a terminal
	idle  string // what is waited for
	since time.Time
	shown string // the part of the bar that is on the terminal
	drawn int    // the window's width when it was drawn
	stop  func() // ends the drawing of the bar
}

// NewProgress returns the progress of a tool that writes to stderr. It shows
// only messages before Start is called, or if quiet.
func NewProgress(name string, stderr io.Writer, quiet bool) *Progress {
	p := &Progress{name: name, out: stderr, quiet: quiet, stop: func() {}}
	p.lines = !quiet && !p.terminal()
	return p
}

func (p *Progress) terminal() bool { return isScreen(p.out) }

// Start shows a bar that follows at, which is called from another goroutine,
// up to total bytes; a total of 0 means unknown. Close ends it.
func (p *Progress) Start(title string, total int64, at func() int64) {
	if p.quiet || !p.terminal() || p.bar != nil {
		return
	}
	p.bar = newBar(title, total)
	p.stop = every(tick, func() { p.draw(p.barAt(at())) })
}

// every calls do at intervals until stop is called, which waits for the last one
// and may be called again.
func every(interval time.Duration, do func()) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-over:
				return
			case <-t.C:
				do()
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(over)
		<-ended
	})
}

// Doing names the item at work, for the bar: an entry or a reference, whose last
// part is shown.
func (p *Progress) Doing(item string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing = strings.TrimSuffix(oneLine(item[strings.LastIndexByte(item, '/')+1:]), ".tar")
}

// Waiting makes the bar show what the tool is waiting for, without a rate or a
// time left, until it is called with "". Short waits are not shown.
func (p *Progress) Waiting(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle, p.since = what, time.Now()
}

// barAt returns the bar's line at n bytes, for a window of some width; "" if
// there is nothing to show.
func (p *Progress) barAt(n int64) func(width int) string {
	return func(width int) string {
		moved := p.bar.advance(n)
		switch {
		case p.idle != "" && time.Since(p.since) > patience:
			return p.bar.waiting(p.idle, width)
		case moved:
			return p.bar.line(p.items, p.total, p.doing, width)
		}
		return ""
	}
}

// draw shows a line at the window's current width. The line is made while no
// other is written.
func (p *Progress) draw(make func(width int) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	width := widthOf(p.out)
	if line := make(width); line != "" && line != p.shown {
		// The cursor rests at the start of the line, and stays there if
		// the window shrinks and the line wraps. Autowrap is off while
		// drawing (DECAWM of the VT100), in case the window shrank and
		// the new width is not known yet.
		fmt.Fprintf(p.out, "%s\x1b[?7l%s\r\x1b[?7h", p.erase(width), line)
		p.shown, p.drawn = line, width
	}
}

// erase returns the sequence that removes the bar from a terminal of this
// width, including all lines that the bar may have wrapped into if the width
// changed. They are erased one by one, since some terminals save an erased
// screen to the scrollback.
func (p *Progress) erase(width int) string {
	const broken = 8
	if width == p.drawn || p.shown == "" {
		return "\r\x1b[K"
	}
	return "\r\x1b[K\x1b7" + strings.Repeat("\x1b[B\x1b[2K", broken) + "\x1b8"
}

// clear removes the bar from the terminal until it is drawn again.
func (p *Progress) clear() {
	if p.shown != "" {
		io.WriteString(p.out, p.erase(widthOf(p.out)))
		p.shown = ""
	}
}

// Item reports that one item is done, as the line "[i/total] text", unless there
// is a bar, the records are in the same place, or there is no text. A total of 0
// means unknown.
func (p *Progress) Item(total int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items++
	p.total = total
	if p.lines && text != "" {
		fmt.Fprintf(p.out, "[%s] %s\n", share(p.items, total), oneLine(text))
	}
}

// share returns "i/total", or "i" if the total is unknown.
func share(i, total int) string {
	if total > 0 {
		return fmt.Sprintf("%d/%d", i, total)
	}
	return fmt.Sprint(i)
}

// Warn prints a message that is not an error of the whole run, as one line
// preceded by the tool's name, then the hint of an error among args.
func (p *Progress) Warn(format string, args ...any) {
	p.say(warning, oneLine(fmt.Sprintf(format, args...)), HintAmong(args))
}

// Hint prints what helps against the problem in the line before.
func (p *Progress) Hint(hint string) {
	io.WriteString(p, hintLine(p.out, hint))
}

// Write writes whole lines; the bar is cleared first and drawn again later.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.out.Write(b)
}

// Close removes the bar and prints how often problems were repeated.
func (p *Progress) Close() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.bar = nil
	io.WriteString(p.out, p.problems.repeats(p.out, p.name))
}

// ItemText is the text of one item's progress line.
func ItemText(reference, status string, size int64) string {
	return fmt.Sprintf("%s %s %s", reference, status, record.Bytes(size))
}
