package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrDeclined means that a question was not answered with yes.
var ErrDeclined = Hint(errors.New("not confirmed: nothing is removed"), "answer yes, or give --yes")

// Confirm asks a question on a terminal, and returns nil if the answer is yes.
// It is misuse if stdin is not a terminal.
func Confirm(ctx context.Context, stdin io.Reader, stderr io.Writer, question string) error {
	if !isTerminal(stdin) {
		return Hint(Misuse("cannot ask for confirmation: stdin is not a terminal"), "--yes removes without asking")
	}
	fmt.Fprintf(stderr, "%s [yes/no] ", question)
	answered := make(chan string, 1)
	go func() { // ends with the answer or the program
		answer, _ := bufio.NewReader(stdin).ReadString('\n')
		answered <- answer
	}()
	select {
	case answer := <-answered:
		if strings.ToLower(strings.TrimSpace(answer)) != "yes" {
			return ErrDeclined
		}
		return nil
	case <-ctx.Done():
		fmt.Fprintln(stderr) // the next message starts on a line of its own
		return context.Cause(ctx)
	}
}
