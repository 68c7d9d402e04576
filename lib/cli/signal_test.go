//go:build unix

package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asTool is the variable that makes the test binary a tool.
const asTool = "CLI_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) == "" {
		os.Exit(m.Run())
	}
	Main("tool", func(ctx context.Context, _ []string, _ io.Reader, _, _ io.Writer) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// A signal is handled from the first statement of a tool on.
func TestSignalAtTheStart(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asTool+"=1")
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != CodeInterrupted || strings.TrimSpace(string(out)) != "tool: interrupted" {
		t.Errorf("%v and %q, want %d and that it was interrupted", err, out, CodeInterrupted)
	}
}
