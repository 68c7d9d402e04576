package clitest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// Result is the output of a run of a tool that works in steps.
type Result struct {
	Err            error
	Stdout, Stderr string
}

// Steps returns "name status" of each step.
func (r Result) Steps() string {
	var all []string
	for _, s := range Records[record.Step](r) {
		all = append(all, s.Name+" "+s.Status)
	}
	return strings.Join(all, ", ")
}

// Step returns the record of one step.
func (r Result) Step(name string) record.Step {
	for _, s := range Records[record.Step](r) {
		if s.Name == name {
			return s
		}
	}
	return record.Step{}
}

// Records returns all records of a kind.
func Records[T interface{ Kind() string }](r Result) []T {
	var all []T
	for line := range strings.Lines(r.Stdout) {
		var of struct{ Kind string }
		var v T
		if json.Unmarshal([]byte(line), &of) == nil && of.Kind == v.Kind() && json.Unmarshal([]byte(line), &v) == nil {
			all = append(all, v)
		}
	}
	return all
}

// Write writes a file, and creates its directory.
func Write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ParseFile parses flags and the text of a configuration file in a tool's own
// format, as a run does.
func ParseFile(t *testing.T, fs *flag.FlagSet, file cli.File, text string, mode os.FileMode, args ...string) error {
	t.Helper()
	file.Default = filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file.Default, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return cli.ParseFile(fs, args, "", io.Discard, 0, file)
}

// InterruptReading fails unless an interrupt ends a run that waits for a stdin that
// never ends.
func InterruptReading(t *testing.T, run func(ctx context.Context, stdin io.Reader) error) {
	t.Helper()
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cli.ErrInterrupted) })
	if err := run(ctx, r); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
}
