package cli

import (
	"fmt"
	"strings"
	"time"

	"k0rdent-airgap/lib/record"
)

// reminder is how often a wait is reported where no line can live.
const reminder = time.Minute

// Wait is something that a step waits for. While it lasts, a terminal has one
// line about it that is kept up to date; elsewhere there is a line a minute.
type Wait struct {
	p     *Progress
	step  string
	since time.Time
	limit time.Duration
	look  string // a command that shows more, or ""

	what string // for; guarded by p.mu
	stop func()
}

// Await shows that a step has waited since a time, for limit at most, and where
// to look meanwhile. Done ends it.
func (p *Progress) Await(step, what string, since time.Time, limit time.Duration, look string) *Wait {
	w := &Wait{p: p, step: step, what: what, since: since, limit: limit, look: look, stop: func() {}}
	switch {
	case p.quiet:
	case p.terminal():
		w.stop = every(time.Second, func() { p.draw(w.fit) })
	default:
		w.stop = every(reminder, func() { p.Warn("%s", w.line()) })
	}
	return w
}

// For changes what is waited for.
func (w *Wait) For(what string) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.what = what
}

// Done ends the wait and removes its line. It may be called again.
func (w *Wait) Done() {
	w.stop()
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.clear()
}

func (w *Wait) line() string {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return fmt.Sprintf("%s: waiting for %s, %s%s", w.step, w.what, w.time(), w.where())
}

// fit returns the line in fewer than width cells. The lock is held.
func (w *Wait) fit(width int) string {
	short := fmt.Sprintf("waiting for %s … %s", w.what, w.time())
	for _, line := range []string{w.step + ": " + short + w.where(), w.step + ": " + short, short} {
		if len([]rune(line)) < width {
			return line
		}
	}
	return record.Elide(short, max(1, width-1))
}

func (w *Wait) time() string {
	return shortDuration(time.Since(w.since)) + " of " + shortDuration(w.limit)
}

func (w *Wait) where() string {
	if w.look == "" {
		return ""
	}
	return " (" + w.look + ")"
}

// shortDuration returns a duration in whole seconds without empty parts: 1m40s,
// 45m.
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
