package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k0rdent-airgap/lib/textfile"
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
	answer, err := textfile.Until(ctx, func() (string, error) {
		answer, _ := bufio.NewReader(stdin).ReadString('\n')
		return answer, nil
	})
	switch {
	case err != nil:
		fmt.Fprintln(stderr) // the next message starts on a line of its own
		return err
	case strings.ToLower(strings.TrimSpace(answer)) != "yes":
		return ErrDeclined
	}
	return nil
}
