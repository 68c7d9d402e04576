package cli

import (
	"fmt"
	"io"
	"regexp"
)

// maxProblems is how many different problems are counted; further ones are
// printed each time.
const maxProblems = 1024

// problems counts the problems of a run's items, so that a cause that affects
// all of them fills one line and not the screen.
type problems struct {
	seen  map[string]int // how often a problem was repeated
	order []string
	hints map[string]bool
}

// details matches what distinguishes the same problem of different items:
// digests, and sizes in bytes.
var details = regexp.MustCompile(`\b(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\b|\b[0-9][0-9,]*\b( bytes?\b)`)

// Problem reports what is wrong with one item of many: "tool: item: problem",
// then the hint that err carries. A problem that was already reported for
// another item, digest or size is only counted; Close prints how often it was
// repeated.
func (p *Progress) Problem(item string, err error) {
	text := text(err)
	p.mu.Lock()
	known := p.problems.repeated(details.ReplaceAllString(text, "...$2"))
	p.mu.Unlock()
	if !known {
		p.say(failure, oneLine(item)+": "+text, HintOf(err))
	}
}

// say writes a message, then its hint unless that was already printed.
func (p *Progress) say(style, message, hint string) {
	lines := messageLine(p.out, style, p.name, message)
	p.mu.Lock()
	if hint = oneLine(hint); hint != "" && !p.problems.hinted(hint) {
		lines += hintLine(p.out, hint)
	}
	p.mu.Unlock()
	io.WriteString(p, lines)
}

// Final returns the error of a run without a hint that was already printed with
// an item's problem, so that Report does not repeat it.
func (p *Progress) Final(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if hint := oneLine(HintOf(err)); err != nil && p.problems.hints[hint] {
		return &hinted{err}
	}
	return err
}

// hinted is an error whose hint was already printed.
type hinted struct{ error }

func (e *hinted) Unwrap() error { return e.error }

// repeated counts a problem and reports whether it was already known.
func (q *problems) repeated(text string) bool {
	if q.seen == nil {
		q.seen = make(map[string]int)
	}
	if _, known := q.seen[text]; known {
		q.seen[text]++
		return true
	}
	if len(q.seen) < maxProblems {
		q.seen[text] = 0
		q.order = append(q.order, text)
	}
	return false
}

// hinted records a hint and reports whether it was already printed.
func (q *problems) hinted(hint string) bool {
	if q.hints == nil {
		q.hints = make(map[string]bool)
	}
	known := q.hints[hint]
	if len(q.hints) < maxProblems {
		q.hints[hint] = true
	}
	return known
}

// repeats returns a line for each problem that occurred more than once, and
// resets the counts.
func (q *problems) repeats(stream any, name string) (lines string) {
	for _, text := range q.order {
		if n := q.seen[text]; n > 0 {
			lines += messageLine(stream, "", name, fmt.Sprintf("%d more: %s", n, text))
		}
	}
	q.seen, q.order = nil, nil
	return lines
}
