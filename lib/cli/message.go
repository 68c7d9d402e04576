package cli

import (
	"strings"
	"unicode/utf8"

	"k0rdent-airgap/lib/record"
)

// messageLine returns a tool's message as one line, its name in a style. On a
// terminal, a longer message than that continues on the next one.
func messageLine(stream any, style, name, message string) string {
	name += ":"
	return paint(stream, style, name) + strings.TrimPrefix(wrapped(stream, name+" "+message), name) + "\n"
}

// wrapped breaks a line that is too long for a terminal between words. It returns
// the lines of other streams unchanged.
func wrapped(stream any, line string) string {
	const indent = 2
	width := widthOf(stream)
	if !isTerminal(stream) || utf8.RuneCountInString(line) <= width {
		return line
	}
	return record.Wrap(line, width-indent, indent)
}

// hintLine returns the line of a hint. On a terminal, spaces keep its words whole: it
// may have a command to copy, so it must remain one line.
func hintLine(stream any, hint string) string {
	const title = "hint:"
	hint = oneLine(hint)
	if width := widthOf(stream); isTerminal(stream) {
		hint = strings.TrimPrefix(filled(title+" "+hint, width), title+" ")
	}
	return paint(stream, advice, title) + " " + hint + "\n"
}

// filled returns a text with spaces where a terminal of some width would otherwise
// break a word.
func filled(text string, width int) string {
	lines := strings.Split(record.Wrap(text, width-1, 0), "\n")
	for i, line := range lines[:len(lines)-1] {
		rest := (width - utf8.RuneCountInString(line)%width) % width
		lines[i] += strings.Repeat(" ", max(1, rest))
	}
	return strings.Join(lines, "")
}

// sentences writes the sentences of a record.Writer to a terminal.
type sentences struct{ *Progress }

// Write writes one sentence.
func (s sentences) Write(b []byte) (int, error) {
	line := wrapped(s.out, strings.TrimSuffix(string(b), "\n"))
	if _, err := s.Progress.Write([]byte(line + "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}
