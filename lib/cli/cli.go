// Package cli is the common frame of all tools: signals, flags with their
// environment variables and configuration file, usage, exit codes, and output
// on the terminal.
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

// Exit codes. Scripts loop on CodeTryAgain; any other detail a caller may need
// is in the records.
const (
	CodeDone        = 0
	CodeFailed      = 1
	CodeMisuse      = 2
	CodeTryAgain    = 75
	CodeInterrupted = 130
)

// ErrInterrupted is the cause of a context that a signal has cancelled.
var ErrInterrupted = errors.New("interrupted")

// interruption is ErrInterrupted with a message of the run.
type interruption struct{ text string }

func (i *interruption) Error() string { return ErrInterrupted.Error() + "; " + i.text }
func (i *interruption) Unwrap() error { return ErrInterrupted }

// Interrupted returns ErrInterrupted with a message: where the run stopped and
// how to resume.
func Interrupted(format string, args ...any) error {
	return &interruption{fmt.Sprintf(format, args...)}
}

// errShown ends a run that has printed what was requested, such as --help.
var errShown = errors.New("shown")

// Run is a tool's main function: everything that it uses is an argument.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error

// LimitMemory sets the Go runtime's soft memory limit, unless GOMEMLIMIT is
// set.
func LimitMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes)
	}
}

// Main runs a tool and exits with the code for its error. The first SIGINT or
// SIGTERM cancels the context, the second kills the program.
func Main(name string, run Run) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		// The reader of stdout often dies of the same signal. That must
		// not keep this program from reporting where it stopped.
		signal.Ignore(syscall.SIGPIPE)
		cancel(ErrInterrupted)
		textfile.Stop(ErrInterrupted)
	}()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if _, reported := errors.AsType[*interruption](err); err != nil && context.Cause(ctx) == ErrInterrupted && !reported {
		err = ErrInterrupted
	}
	if !readerGone(err) {
		Report(os.Stderr, name, err)
	}
	os.Exit(Code(err))
}

// Report prints an error as one line, then a hint if there is a remedy.
func Report(stderr io.Writer, name string, err error) {
	if err == nil || errors.Is(err, errShown) {
		return
	}
	clear := ""
	if isScreen(stderr) {
		clear = "\x1b[K" // another tool of the pipeline may have its bar on this line
	}
	io.WriteString(stderr, clear+messageLine(stderr, failure, name, text(err)))
	_, seen := errors.AsType[*hinted](err)
	if hint := HintOf(err); hint != "" && !seen {
		io.WriteString(stderr, hintLine(stderr, hint))
	}
}

// text returns an error as one line, in which the common parts of joined errors
// appear only once.
func text(err error) string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = oneLine(strings.TrimSpace(line)); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// oneLine keeps hostile names from forging more lines or moving the cursor.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// Code returns the exit code for the error of a run.
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

// Misuse returns an error of the caller: a wrong flag, variable or
// configuration line.
func Misuse(format string, args ...any) error {
	return &codeError{CodeMisuse, fmt.Errorf(format, args...)}
}

// TryAgain marks an error that may be temporary: a registry that does not
// answer, a busy port.
func TryAgain(err error) error {
	return &codeError{CodeTryAgain, err}
}

type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }
func (e *hintError) Hint() string  { return e.hint }

// Hint adds a remedy to an error; Report prints it on a line of its own.
func Hint(err error, format string, args ...any) error {
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// HintAmong returns the remedy of the first error among args that has one, or
// "". Messages that contain errors are printed with it.
func HintAmong(args []any) string {
	for _, a := range args {
		if err, ok := a.(error); ok && HintOf(err) != "" {
			return HintOf(err)
		}
	}
	return ""
}

// HintOf returns the remedy that Hint added to an error, or that of an error with
// a method Hint, or a default one, or "".
func HintOf(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return hintFor(err, os.Geteuid())
}

// hintFor returns the remedy for an operation that only root may do.
func hintFor(err error, uid int) string {
	_, file := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	switch {
	case uid == 0 || !file && !link || !errors.Is(err, fs.ErrPermission):
		return ""
	case uid < 0: // on Windows
		return "run it as an administrator, or as a user with permission"
	}
	return "run it as root, or as a user with permission"
}
