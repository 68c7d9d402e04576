package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Confirm asks a person whether to do what cannot be undone, and returns an error
// unless the answer is yes. It is misuse where there is no terminal to ask on.
func Confirm(stdin io.Reader, stderr io.Writer, question string) error {
	if !isTerminal(stdin) {
		return Hint(Misuse("cannot ask for confirmation: stdin is not a terminal"), "--yes removes without asking, --plan shows what would be removed")
	}
	fmt.Fprintf(stderr, "%s [yes/no] ", question)
	answer, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil || strings.ToLower(strings.TrimSpace(answer)) != "yes" {
		return Hint(errors.New("not confirmed: nothing is removed"), "answer yes, or give --yes")
	}
	return nil
}
