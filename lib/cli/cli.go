// Package cli is the frame that every tool stands in: signals, flags with
// their environment variables and configuration file, usage, exit codes, and
// what a person sees on the terminal.
//
// It is the only library package that reads flags, the environment or the
// terminal, and the only one that ends the program.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/textfile"
)

// Exit codes. Scripts loop on CodeTryAgain; everything else that a caller may
// want to know stands in the records.
const (
	CodeDone        = 0
	CodeFailed      = 1
	CodeMisuse      = 2
	CodeTryAgain    = 75
	CodeInterrupted = 130
)

// ErrInterrupted is the cause of the context that a signal has ended.
var ErrInterrupted = errors.New("interrupted")

// interruption is ErrInterrupted with what the run has to say.
type interruption struct{ text string }

func (i *interruption) Error() string { return ErrInterrupted.Error() + "; " + i.text }
func (i *interruption) Unwrap() error { return ErrInterrupted }

// Interrupted returns ErrInterrupted with where an interrupted run stopped, and
// how to go on.
func Interrupted(format string, args ...any) error {
	return &interruption{fmt.Sprintf(format, args...)}
}

// errShown ends a run that has printed what was asked for, such as --help.
var errShown = errors.New("shown")

// Run is a tool: everything that it uses arrives as an argument.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error

// LimitMemory has the Go runtime collect garbage so often that it stays below so
// many bytes where it can, unless GOMEMLIMIT says something else.
func LimitMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes)
	}
}

// Main runs a tool and ends the program with the code that its error stands
// for. The first SIGINT or SIGTERM cancels the context, the second kills.
func Main(name string, run Run) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		// The reader of stdout often dies of the same signal. That must not keep
		// this program from saying where it stopped.
		signal.Ignore(syscall.SIGPIPE)
		cancel(ErrInterrupted)
		textfile.Stop(ErrInterrupted)
	}()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if _, told := errors.AsType[*interruption](err); err != nil && context.Cause(ctx) == ErrInterrupted && !told {
		err = ErrInterrupted
	}
	Report(os.Stderr, name, err)
	os.Exit(Code(err))
}

// Report tells a person about an error: one line, then a hint where there is
// a remedy.
func Report(stderr io.Writer, name string, err error) {
	if err == nil || errors.Is(err, errShown) {
		return
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, text(err))
	_, seen := errors.AsType[*hinted](err)
	if hint := HintOf(err); hint != "" && !seen {
		fmt.Fprintf(stderr, "hint: %s\n", oneLine(hint))
	}
}

// text is an error as one line. What several errors that were joined have in
// common is said once.
func text(err error) string {
	var said []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = oneLine(strings.TrimSpace(line)); line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

// oneLine keeps hostile names from faking further lines or moving the cursor.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// Code gives the exit code for what a run returned.
func Code(err error) int {
	c, coded := errors.AsType[*codeError](err)
	switch {
	case err == nil || errors.Is(err, errShown):
		return CodeDone
	case errors.Is(err, ErrInterrupted):
		return CodeInterrupted
	case coded:
		return c.code
	default:
		return CodeFailed
	}
}

type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// Misuse is an error of the person who called: a wrong flag, variable or
// configuration line.
func Misuse(format string, args ...any) error {
	return &codeError{CodeMisuse, fmt.Errorf(format, args...)}
}

// TryAgain marks an error that may be gone on the next try: a registry that
// does not answer, a busy port.
func TryAgain(err error) error {
	return &codeError{CodeTryAgain, err}
}

type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// Hint adds a remedy to an error; Report prints it on a line of its own.
func Hint(err error, format string, args ...any) error {
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// HintAmong returns the remedy of the first error among args that has one, or "".
// Messages made of errors are printed with it.
func HintAmong(args []any) string {
	for _, a := range args {
		if err, ok := a.(error); ok && HintOf(err) != "" {
			return HintOf(err)
		}
	}
	return ""
}

// HintOf returns the remedy that Hint has added to an error, or one that goes
// without saying, or "".
func HintOf(err error) string {
	if h, ok := errors.AsType[*hintError](err); ok {
		return h.hint
	}
	return hintFor(err, os.Geteuid())
}

// hintFor is the remedy where a user may not do what root may.
func hintFor(err error, uid int) string {
	_, file := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if uid != 0 && (file || link) && errors.Is(err, fs.ErrPermission) {
		return "run it as root, or as a user who is allowed to"
	}
	return ""
}
