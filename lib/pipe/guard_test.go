//go:build linux

package pipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

const (
	goodLine = `{"kind":"bundle","path":"/b","signature":"good","digest":"sha256:ab"}`
	badLine  = `{"kind":"bundle","path":"/b","signature":"bad"}`
)

// peer starts a shell that writes to a pipe, and returns the pipe's other end.
func peer(t *testing.T, script string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		r.Close()
	})
	return r
}

// quietly ignores notices.
func quietly(string, ...any) {}

// guarded begins and settles, and returns the error of the records.
func guarded(t *testing.T, stdin io.Reader) (out string, err error) {
	t.Helper()
	var buf bytes.Buffer
	g := NewGuard(stdin, record.NewWriter(&buf, nil), quietly, "leave BUNDLE out")
	ctx, stop, err := g.Begin(t.Context())
	defer stop()
	if err == nil {
		err = g.Settle(ctx)
	}
	return buf.String(), err
}

// heard is guarded with some work in between.
func heard(t *testing.T, stdin io.Reader) (out string, err error) {
	t.Helper()
	var buf bytes.Buffer
	g := NewGuard(stdin, record.NewWriter(&buf, nil), quietly, "leave BUNDLE out")
	ctx, stop, err := g.Begin(t.Context())
	defer stop()
	if err != nil {
		return buf.String(), err
	}
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(6 * time.Second):
		err = g.Settle(ctx)
	}
	return buf.String(), err
}

func TestGuardFindsRecords(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		code         int
		out          string
	}{
		{"good", "echo '" + goodLine + "'", cli.CodeMisuse, ""},
		{"bad", "echo '" + badLine + "'", cli.CodeFailed, badLine + "\n"},
		{"unknown", `echo '{"kind":"bundle","signature":"unknown","error":"no key"}'`, cli.CodeFailed, `{"kind":"bundle","signature":"unknown","error":"no key"}` + "\n"},
		{"bad, and the writer lives on", "echo '" + badLine + "'; sleep 30", cli.CodeFailed, badLine + "\n"},
		{"bad, later", "sleep 3; echo '" + badLine + "'", cli.CodeFailed, badLine + "\n"},
		{"bad, in two pieces", "printf %s '" + badLine[:20] + "'; sleep 1; echo '" + badLine[20:] + "'", cli.CodeFailed, badLine + "\n"},
		{"bad, without a line's end", "printf %s '" + badLine + "'", cli.CodeFailed, badLine + "\n"},
		{"bad, behind a word", "echo verifying; echo '" + badLine + "'", cli.CodeFailed, badLine + "\n"},
		{"bad, behind a word and later", "echo verifying; sleep 1; echo '" + badLine + "'; sleep 30", cli.CodeFailed, badLine + "\n"},
		{"bad, behind another record", `printf '%s\n' '{"kind":"image"}' '` + badLine + "'", cli.CodeFailed, badLine + "\n"},
		{"bad, pretty-printed", `printf '{\n  "kind": "bundle",\n  "path": "/b",\n  "signature": "bad"\n}\n'`, cli.CodeFailed, badLine + "\n"},
		{"bad, in an array", "echo '[" + badLine + "]'", cli.CodeFailed, badLine + "\n"},
		{"good, pretty-printed", `printf '{\n  "kind": "bundle",\n  "path": "/b"\n}\n'`, cli.CodeMisuse, ""},
		{"another kind", `echo; echo '{"kind":"image"}'`, cli.CodeMisuse, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := heard(t, peer(t, tt.script))
			if err == nil || cli.Code(err) != tt.code || out != tt.out {
				t.Errorf("%v with code %d, wrote %q, want code %d and %q", err, cli.Code(err), out, tt.code, tt.out)
			}
		})
	}
}

func TestGuardConsumesNothing(t *testing.T) {
	for _, text := range []string{"a.tgz\nb.tgz\n", `{"name":"a"}` + "\n", badLine + "\n", "\x1f\x8b"} {
		stdin := peer(t, "printf '%s' '"+text+"'")
		guarded(t, stdin)
		if got, err := io.ReadAll(stdin); err != nil || string(got) != text {
			t.Errorf("%q is left of %q, %v", got, text, err)
		}
	}
}

func TestGuardIgnoresOtherInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) *os.File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket, far := os.NewFile(uintptr(ends[0]), "socket"), os.NewFile(uintptr(ends[1]), "far")
	defer socket.Close()
	defer far.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	closed, _ := os.Open(os.DevNull)
	closed.Close()
	idle, w, err := os.Pipe() // held open by nobody but this process, as sshd does
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for name, stdin := range map[string]io.Reader{
		"a list": file("list", "a\nb\n"), "an empty file": file("empty", ""), "/dev/null": null, "closed": closed,
		"an idle pipe": idle, "an idle socket": socket, "YAML": peer(t, "echo 'kind: bundle'; echo 'signature: bad'"),
		"a loop's JSON": peer(t, `echo '{"name":"a"}'; sleep 30`), "truncated": peer(t, `printf '{"kind":'`), "a loop's list": peer(t, "echo a; sleep 30"), "ended": peer(t, ":"), "no file": strings.NewReader(badLine),
	} {
		start := time.Now()
		if out, err := guarded(t, stdin); err != nil || out != "" {
			t.Errorf("%s: %v, wrote %q", name, err, out)
		}
		if passed := time.Since(start); passed > guardSettle { // it has not waited for a program
			t.Errorf("%s: took %v", name, passed)
		}
	}
	if _, err := far.WriteString("\n" + badLine + "\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := guarded(t, socket); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a socket with a record: %v", err)
	}
	list := file("records", "a\n"+badLine+"\n")
	if _, err := list.Seek(2, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := guarded(t, list); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a file at a record: %v", err)
	}
}

// TestGuardKnowsWhoWillWriteRecords: nothing is sent while bundle-verify reads
// for minutes, although it has written nothing yet.
func TestGuardKnowsWhoWillWriteRecords(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if record.Announced(r) {
		t.Error("announced before anybody has")
	}
	record.NewWriter(w, nil)
	if !record.Announced(r) {
		t.Error("not announced")
	}
	g := NewGuard(r, nil, quietly, "")
	if _, stop, err := g.Begin(t.Context()); !cli.IsMisuse(err) {
		t.Errorf("%v, want misuse", err)
	} else {
		stop()
	}
	w.Close()
	if record.Announced(r) {
		t.Error("still announced after the writer has ended")
	}
}

// TestGuardWaitsForASilentProgram, but not forever.
func TestGuardWaitsForASilentProgram(t *testing.T) {
	t.Parallel()
	notices := 0
	g := NewGuard(peer(t, "sleep 60"), nil, func(string, ...any) { notices++ }, "")
	ctx, stop, err := g.Begin(t.Context())
	defer stop()
	if open, openErr := g.Open(); err != nil || openErr != nil || !open {
		t.Fatalf("%v, open %v, %v, want a program that may still write", err, open, openErr)
	}
	start := time.Now()
	if err := g.Settle(ctx); err != nil || notices != 1 {
		t.Errorf("%v and %d notices, want one notice", err, notices)
	}
	if passed := time.Since(start); passed < guardSettle || passed > 2*guardSettle {
		t.Errorf("waited %v, want %v", passed, guardSettle)
	}
}

func TestGuardEndsTheRun(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "release")
	g := NewGuard(peer(t, fmt.Sprintf("until [ -e %s ]; do sleep 0.1; done; echo '%s'", release, badLine)), record.NewWriter(io.Discard, nil), quietly, "")
	ctx, stop, err := g.Begin(t.Context())
	defer stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
	}
	if err := context.Cause(ctx); !errors.Is(err, ErrBadSignature) {
		t.Errorf("%v, want the bad signature", err)
	}
}

// TestGuardHearsAProgramThatEnds: a program writes its verdict and exits while this
// one finds out whether any may still write.
func TestGuardHearsAProgramThatEnds(t *testing.T) {
	for n := range 30 {
		g := NewGuard(peer(t, "echo '"+badLine+"'"), record.NewWriter(io.Discard, nil), quietly, "")
		if err := g.Settle(t.Context()); !errors.Is(err, ErrBadSignature) {
			t.Fatalf("program %d: %v, want the bad signature", n, err)
		}
	}
}

func TestNoGuard(t *testing.T) {
	var g *Guard
	_, stop, err := g.Begin(t.Context())
	defer stop()
	if open, openErr := g.Open(); err != nil || openErr != nil || g.Settle(t.Context()) != nil || open {
		t.Error("no guard objects")
	}
}

// TestGuardThatSeesNothing: on a system that cannot show the content of a pipe,
// a run that might miss a verdict does not start.
func TestGuardThatSeesNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	g := NewGuard(r, nil, quietly, "leave out bundle.tgz")
	if over, err := g.verdict(nil, false, errors.ErrUnsupported); !over || !cli.IsMisuse(err) || !strings.Contains(cli.HintOf(err), "leave out bundle.tgz; add </dev/null") {
		t.Errorf("over %v, %v, want misuse with a hint", over, err)
	}
	if over, err := g.verdict(nil, true, os.ErrClosed); !over || err != nil {
		t.Errorf("over %v, %v, want the end without an error for a closed stdin", over, err)
	}
}
