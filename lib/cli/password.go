package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"k0rdent-airgap/lib/textfile"
)

// AskPassword asks twice for a new password on a terminal, without echo. It is
// misuse if stdin is not a terminal.
func AskPassword(ctx context.Context, stdin io.Reader, stderr io.Writer, question string) (string, error) {
	if !isTerminal(stdin) {
		return "", Hint(Misuse("cannot ask for a password: stdin is not a terminal"), "--password-file FILE reads it from a file, and - from stdin")
	}
	fd := int(stdin.(*os.File).Fd())
	var answers []string
	for _, again := range []string{"", " again"} {
		answer, err := askSilently(ctx, fd, stderr, question+again+": ")
		if err != nil {
			return "", err
		}
		answers = append(answers, answer)
	}
	if answers[0] != answers[1] {
		return "", Hint(errors.New("the two passwords differ"), "try again")
	}
	return answers[0], nil
}

// askSilently reads a line from a terminal that does not show it.
func askSilently(ctx context.Context, fd int, stderr io.Writer, question string) (string, error) {
	before, err := term.GetState(fd)
	if err != nil || ctx.Err() != nil {
		return "", cmp.Or(err, context.Cause(ctx))
	}
	defer term.Restore(fd, before) // also when the reader below stays
	fmt.Fprint(stderr, question)
	defer fmt.Fprintln(stderr)
	text, err := textfile.Until(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if errors.Is(err, io.EOF) {
		err = errors.New("no password entered")
	}
	return string(text), err
}
