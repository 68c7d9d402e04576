package cli

import (
	"flag"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"k0rdent-airgap/lib/record"
)

// formatVariable sets the format of every tool, unless one has its own.
const formatVariable = "K0RDENT_FORMAT"

// siteFormat applies the variable for all tools to --format, if nothing else has
// set it. A table is not among its values: it would break the pipes between the
// tools.
func siteFormat(fs *flag.FlagSet) error {
	format, value, given := fs.Lookup("format"), os.Getenv(formatVariable), false
	fs.Visit(func(f *flag.Flag) { given = given || f == format })
	switch {
	case format == nil || value == "" || given:
		return nil
	case value != "auto" && value != "json":
		return Hint(Misuse("invalid %s=%q: must be auto or json", formatVariable, value), "--format sets the format of one tool")
	}
	return format.Value.Set(value)
}

// Open returns a tool's messages and progress, the writer for its records, and
// its log. The caller closes the Progress.
func (c *Common) Open(tool string, stdout, stderr io.Writer) (*Progress, *record.Writer, *slog.Logger) {
	p := NewProgress(tool, stderr, c.Quiet)
	return p, p.Records(stdout, c.Format), Logger(p, c.Verbose)
}

// Records returns the writer for a tool's records. On a terminal they are a
// table, unless the format says otherwise. If a person sees stderr but not
// stdout, sentences and summaries go to both; not if stdout is a pipe, whose
// reader prints its own.
func (p *Progress) Records(stdout io.Writer, f *record.Format) *record.Writer {
	p.lines = p.lines && !isTerminal(stdout) && !sameFile(stdout, p.out)
	if isTerminal(stdout) {
		return record.NewScreenWriter(p.beside(stdout), f, record.Screen{
			Width: func() int { return widthOf(stdout) },
			Mark:  func(word string) string { return paint(stdout, marks[word], word) },
		})
	}
	out := record.NewWriter(p.beside(stdout), f)
	if !p.quiet && isTerminal(p.out) && !IsPipe(stdout) {
		out.Aside(sentences{p})
	}
	return out
}

// sameFile reports whether two streams lead to the same place, as with 2>&1.
func sameFile(a, b any) bool {
	fa, ok := a.(*os.File)
	fb, also := b.(*os.File)
	if !ok || !also {
		return false
	}
	ia, err := fa.Stat()
	ib, other := fb.Stat()
	return err == nil && other == nil && os.SameFile(ia, ib)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// isScreen reports whether a stream is a terminal that moves the cursor and has
// colours.
func isScreen(stream any) bool {
	return isTerminal(stream) && os.Getenv("TERM") != "dumb" && hasSequences(stream.(*os.File))
}

// widthOf returns the width of a terminal in cells, or that of most terminals if
// it is not known, as on a serial console.
func widthOf(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// The styles of words on a terminal (SGR of the VT100).
const (
	failure = "31" // red
	warning = "33" // yellow
	success = "32" // green
	advice  = "1"  // bold
)

// marks are the words of tables and sentences that have a colour.
var marks = map[string]string{
	record.SignatureGood: success, record.SignatureBad: failure, record.StatusFailed: failure,
}

// paint returns a word in a style, if there is one and the stream is a terminal
// that shows it.
func paint(stream any, style, word string) string {
	if style == "" || !isScreen(stream) || os.Getenv("NO_COLOR") != "" {
		return word
	}
	return "\x1b[" + style + "m" + word + "\x1b[0m"
}
