// Command tally reads the output of the whole test run on standard input,
// shows what matters of it and closes with the counts:
//
//	312 passed, 0 failed
//
// It understands `go test -json` events, TAP lines ("ok …", "not ok …",
// "ok … # skip why") and the closing lines of others that count as it does, in
// any mixture; other lines are shown as they are. Of a Go test only a failure
// is shown in full, and every skip by name. It exits 1
// if anything failed, if nothing ran at all, or, with -strict, if anything was
// skipped: where every helper program is at hand a skip hides a missing proof.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	flag.Parse()
	t := newTally(os.Stdout)
	if err := t.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
	if !t.close(*strict) {
		os.Exit(1)
	}
}

// event is one line of `go test -json` (go doc test2json); the events of a
// failed build have an ImportPath and no Package.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

type tally struct {
	out                     io.Writer
	output                  map[string]string // of the Go tests now running, by package and name
	broken                  map[string]bool   // packages with a failed test
	passed, failed, skipped int
	notes                   []string // failures and skips, repeated at the end
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, output: make(map[string]string), broken: make(map[string]bool)}
}

func (t *tally) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			t.line(strings.TrimRight(line, "\n"))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) line(line string) {
	var e event
	if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
		t.event(e)
		return
	}
	if m := counts.FindStringSubmatch(line); m != nil {
		fmt.Fprintln(t.out, "#", line)
		t.passed += number(m[1])
		t.failed += number(m[2])
		t.skipped += number(m[3])
		return
	}
	fmt.Fprintln(t.out, line)
	switch {
	case strings.HasPrefix(line, "not ok "):
		t.failed++
		t.notes = append(t.notes, line)
	case !strings.HasPrefix(line, "ok "):
	case strings.Contains(line, "# skip"):
		t.skipped++
		t.notes = append(t.notes, line)
	default:
		t.passed++
	}
}

// counts is the closing line of a part of the run.
var counts = regexp.MustCompile(`^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$`)

func number(s string) int {
	n, _ := strconv.Atoi(s) // "" without skips
	return n
}

func (t *tally) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		switch {
		case e.Test != "":
			t.output[key] += e.Output
		case e.Output != "PASS\n" && !strings.HasSuffix(e.Output, "[no test files]\n"):
			fmt.Fprint(t.out, e.Output)
		}
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "build-fail":
		t.fail("build of " + e.ImportPath)
	case "pass", "fail", "skip":
		t.end(e, key)
	}
}

// end counts a finished Go test. A package counts only when it failed without
// a failed test: a panic, a timeout, a broken build.
func (t *tally) end(e event, key string) {
	switch {
	case e.Test == "":
		if e.Action == "fail" && !t.broken[e.Package] {
			t.fail(e.Package)
		}
	case e.Action == "fail":
		fmt.Fprint(t.out, t.output[key])
		t.broken[e.Package] = true
		t.fail(key)
	case e.Action == "skip":
		fmt.Fprint(t.out, t.output[key])
		t.skipped++
		t.notes = append(t.notes, "skipped "+key)
	default:
		t.passed++
	}
	delete(t.output, key)
}

func (t *tally) fail(name string) {
	t.failed++
	t.notes = append(t.notes, "FAIL "+name)
}

// close writes the counts and reports whether the run is good.
func (t *tally) close(strict bool) bool {
	if len(t.notes) > 0 {
		fmt.Fprintln(t.out)
	}
	for _, n := range t.notes {
		fmt.Fprintln(t.out, n)
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed", t.passed, t.failed)
	if t.skipped > 0 {
		fmt.Fprintf(t.out, ", %d skipped", t.skipped)
	}
	fmt.Fprintln(t.out)
	return t.failed == 0 && t.passed > 0 && (!strict || t.skipped == 0)
}
