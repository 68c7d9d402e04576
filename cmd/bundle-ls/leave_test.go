//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// lsInto runs bundle-ls in front of a program that accepts the rest after so many
// lines, or never if that is negative. It returns what the program reads.
func lsInto(t *testing.T, after int, stdin io.Reader, args ...string) (lines []string, err error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if after == 0 {
		record.AcceptRest(r)
	}
	done := make(chan error, 1)
	go func() {
		done <- run(context.Background(), args, stdin, w, io.Discard)
		w.Close()
	}()
	for s := bufio.NewScanner(r); s.Scan(); {
		if lines = append(lines, s.Text()); len(lines) == after {
			record.AcceptRest(r)
		}
	}
	return lines, <-done
}

// restIn returns the record that leaves entries to the reader, and how many records
// about entries precede it.
func restIn(t *testing.T, lines []string) (rest *record.Rest, before int) {
	t.Helper()
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, `{"kind":"rest"`) && rest == nil:
			rest = new(record.Rest)
			if err := json.Unmarshal([]byte(line), rest); err != nil {
				t.Fatal(err)
			}
		case rest != nil && !strings.HasPrefix(line, `{"kind":"summary"`):
			t.Errorf("%s after the record that leaves the rest", line)
		case strings.HasPrefix(line, `{"kind":"image"`), strings.HasPrefix(line, `{"kind":"skipped"`):
			before++
		}
	}
	return rest, before
}

// TestLeavesTheRest leaves the rest at once, or as soon as the reader accepts it.
func TestLeavesTheRest(t *testing.T) {
	path, m := sample(t, samplebundle.Options{Size: 8 << 20})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{0, 1, 5} {
		lines, err := lsInto(t, after, nil, path)
		rest, before := restIn(t, lines)
		if err != nil || rest == nil {
			t.Fatalf("after %d lines: %v, %q, want a rest record", after, err, lines)
		}
		if rest.Bundle != path || rest.Size != info.Size() || rest.Listed != before || before < after || before >= len(m.Entries) {
			t.Errorf("after %d lines: %+v behind %d of %d entries", after, rest, before, len(m.Entries))
		}
	}
	verified := strings.NewReader(`{"kind":"bundle","path":"` + path + `","digest":"sha256:00","signature":"good"}` + "\n")
	lines, err := lsInto(t, 0, verified)
	if rest, before := restIn(t, lines); err != nil || rest == nil || before != 0 || !strings.HasPrefix(lines[0], `{"kind":"bundle"`) {
		t.Errorf("behind a verdict: %v, %q", err, lines)
	}
}

// TestKeepsTheRest lists everything if the reader could not list the same, or if it costs nothing.
func TestKeepsTheRest(t *testing.T) {
	path, m := sample(t, samplebundle.Options{})
	plain, _ := sample(t, samplebundle.Options{Format: samplebundle.Tar})
	overrides := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(overrides, []byte("busybox_1.37.0.tar tools/busybox:stable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	through, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	go func() {
		into.Write(content)
		into.Close()
	}()
	for _, tt := range []struct {
		name  string
		after int
		stdin io.Reader
		args  []string
	}{
		{"a reader that does not accept it", -1, nil, []string{path}},
		{"--map", 0, nil, []string{"--map", overrides, path}},
		{"--blobs", 0, nil, []string{"--blobs", path}},
		{"bytes on stdin", 0, bytes.NewReader(content), []string{"-"}},
		{"a plain tar", 0, nil, []string{plain}},
		{"a pipe by name", 0, nil, []string{fmt.Sprintf("/proc/self/fd/%d", through.Fd())}},
	} {
		lines, err := lsInto(t, tt.after, tt.stdin, tt.args...)
		if rest, before := restIn(t, lines); err != nil || rest != nil || before != len(m.Entries) {
			t.Errorf("%s: %v, %d of %d entries, left %+v", tt.name, err, before, len(m.Entries), rest)
		}
	}
	lines, err := lsInto(t, 0, nil, "--format", "{{.entry}}", path)
	if images, _ := restIn(t, lines); err != nil || images != nil || len(lines) < len(m.Entries)/2 {
		t.Errorf("a template: %v, %q", err, lines)
	}
}

// TestKeepsTheRestForALateVerdict: a verdict piped in next to the bundle's name is
// passed on, so this program must not end before it arrives.
func TestKeepsTheRestForALateVerdict(t *testing.T) {
	t.Parallel()
	path, m := sample(t, samplebundle.Options{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	silent := exec.Command("sleep", "60")
	silent.Stdout = w
	if err := silent.Start(); err != nil {
		t.Fatal(err)
	}
	defer silent.Wait()
	defer silent.Process.Kill()
	w.Close()
	lines, err := lsInto(t, 0, r, path)
	if rest, before := restIn(t, lines); err != nil || rest != nil || before != len(m.Entries) {
		t.Errorf("%v, %d entries, left %+v", err, before, rest)
	}
}

// TestLeavesASeries: a bundle in parts is left to the reader by the path that its
// records name it with.
func TestLeavesASeries(t *testing.T) {
	path, _ := sample(t, samplebundle.Options{Size: 8 << 20})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := t.TempDir(), t.TempDir()
	half := len(b) / 2
	for file, content := range map[string][]byte{
		filepath.Join(one, "b.001"): b[:half], filepath.Join(one, "b.002"): b[half:], filepath.Join(two, "b.002"): b[half:],
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := filepath.Join(one, "b.001"), filepath.Join(two, "b.002")
	for _, tt := range []struct {
		operands []string
		want     string
	}{{[]string{first}, first}, {[]string{second, first}, first + ":" + second}} {
		lines, err := lsInto(t, 0, nil, tt.operands...)
		rest, _ := restIn(t, lines)
		if err != nil || rest == nil || rest.Bundle != tt.want || rest.Size != int64(len(b)) {
			t.Errorf("%q: %v, %+v, want the rest of %s", tt.operands, err, rest, tt.want)
		}
	}
}
