package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"k0rdent-airgap/lib/record"
)

// patience is how long a tool waits for another before the bar shows that.
const patience = time.Second

// tick is how often the bar is drawn.
const tick = 200 * time.Millisecond

// Progress is what a person sees while a tool works. On a terminal it is a bar
// with bytes, rate and time left; elsewhere it is one line an item. All of a
// tool's messages go through it, so that none is drawn over.
type Progress struct {
	mu       sync.Mutex
	name     string
	out      io.Writer
	quiet    bool
	lines    bool
	items    int
	problems problems

	bar   *bar   // nil unless on a terminal
	idle  string // what is waited for
	since time.Time
	shown string // what of the bar is on the terminal
	drawn int    // how wide that was when it was drawn
	stop  chan struct{}
	done  chan struct{}
}

// NewProgress makes the progress of a tool that writes to stderr. It shows
// nothing but messages before Start is called, or when quiet.
func NewProgress(name string, stderr io.Writer, quiet bool) *Progress {
	p := &Progress{name: name, out: stderr, quiet: quiet}
	p.lines = !quiet && !p.terminal()
	return p
}

func (p *Progress) terminal() bool {
	return isTerminal(p.out) && os.Getenv("TERM") != "dumb"
}

// Start shows a bar that follows at, which is called from another goroutine,
// up to total bytes; a total of 0 means unknown. Close ends it.
func (p *Progress) Start(title string, total int64, at func() int64) {
	if p.quiet || !p.terminal() || p.bar != nil {
		return
	}
	p.bar = newBar(title, total)
	p.stop, p.done = make(chan struct{}), make(chan struct{})
	go p.follow(at)
}

// Waiting has the bar show what the tool waits for, without a rate or a time left,
// until it is called with "". A wait that is short is not shown.
func (p *Progress) Waiting(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle, p.since = what, time.Now()
}

func (p *Progress) follow(at func() int64) {
	defer close(p.done)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.draw(at())
		}
	}
}

// draw shows the bar as it is now in a window as wide as it is now.
func (p *Progress) draw(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	moved := p.bar.advance(n)
	width := p.width()
	line := ""
	switch {
	case p.idle != "" && time.Since(p.since) > patience:
		line = p.bar.waiting(p.idle, width)
	case moved:
		line = p.bar.line(width)
	default:
		return
	}
	if line != p.shown {
		// The cursor waits at the start of the line, and stays there if the window
		// becomes narrower and the line is broken. A window that has become so, and
		// has not told yet, breaks no line while it is drawn (DECAWM of the VT100).
		fmt.Fprintf(p.out, "%s\x1b[?7l%s\r\x1b[?7h", p.erase(width), line)
		p.shown, p.drawn = line, width
	}
}

// erase gives what takes the bar off a terminal that now has this width: where
// that has changed, with all lines that the bar may have been broken into. They
// are erased one by one, since some terminals keep for later what is erased of a
// whole screen.
func (p *Progress) erase(width int) string {
	const broken = 8
	if width == p.drawn || p.shown == "" {
		return "\r\x1b[K"
	}
	return "\r\x1b[K\x1b7" + strings.Repeat("\x1b[B\x1b[2K", broken) + "\x1b8"
}

// width gives the cells in a line of the terminal, or what most terminals have
// where it is not known, as on a serial console.
func (p *Progress) width() int {
	if w, _, err := term.GetSize(int(p.out.(*os.File).Fd())); err == nil && w > 0 {
		return w
	}
	return 80
}

// clear takes the bar off the terminal until it is drawn again.
func (p *Progress) clear() {
	if p.shown != "" {
		io.WriteString(p.out, p.erase(p.width()))
		p.shown = ""
	}
}

// Item tells that one item is done: on a terminal the bar says enough,
// elsewhere it is the line "[i/total] text". A total of 0 means unknown.
func (p *Progress) Item(total int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items++
	if !p.lines {
		return
	}
	of := "?"
	if total > 0 {
		of = fmt.Sprint(total)
	}
	fmt.Fprintf(p.out, "[%d/%s] %s\n", p.items, of, oneLine(text))
}

// Warn tells a person something that is not an error of the whole run, as one
// line with the tool's name before it, then the hint of an error among args.
func (p *Progress) Warn(format string, args ...any) {
	p.say(oneLine(fmt.Sprintf(format, args...)), HintAmong(args))
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
	if p.bar != nil {
		close(p.stop)
		<-p.done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.clear()
		p.bar = nil
	}
	io.WriteString(p.out, p.problems.repeats(p.name))
}

// Logger gives a logger that writes to w when verbose, and nowhere otherwise.
func Logger(w io.Writer, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// ItemText is the text of one item's progress line.
func ItemText(reference, status string, size int64) string {
	return fmt.Sprintf("%s %s %s", reference, status, record.Bytes(size))
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
