package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// aRunner returns a runner and its stdout and stderr.
func aRunner(plan bool) (r *Runner, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	progress := cli.NewProgress("t", stderr, false)
	return &Runner{Tool: "t", Plan: plan, Out: record.NewWriter(stdout, nil), Progress: progress, Log: cli.Logger(progress, false)}, stdout, stderr
}

// TestRun covers a plan, and a failure, after which only steps that must still run
// do.
func TestRun(t *testing.T) {
	for _, plan := range []bool{true, false} {
		r, stdout, _ := aRunner(plan)
		var did []string
		work := func(name string, err error) Step {
			return Step{Name: name, Run: func(_ context.Context, do bool) (Outcome, error) {
				did = append(did, fmt.Sprintf("%s %v", name, do))
				return Changed(do, "detail of %s", name), err
			}}
		}
		last := work("last", nil)
		last.Still = func() bool { return true }
		broken := errors.New("broken")
		err := r.Run(t.Context(), []Step{work("first", nil), work("second", broken), work("third", nil), last})
		if !errors.Is(err, broken) || err.Error() != "second: broken" {
			t.Errorf("error %v, want the step and its error", err)
		}
		want := fmt.Sprintf("first %v,second %v,last %v", !plan, !plan, !plan)
		if got := strings.Join(did, ","); got != want {
			t.Errorf("did %s, want %s", got, want)
		}
		status := map[bool]string{true: "planned", false: "done"}[plan]
		var got []string
		for line, err := range record.Read(stdout) {
			if err != nil {
				t.Fatal(err)
			}
			var s record.Step
			if line.Kind == s.Kind() && line.Decode(&s) == nil {
				got = append(got, s.Name+" "+s.Status+" "+s.Error)
			} else {
				got = append(got, line.Kind)
			}
		}
		want = "first " + status + " ,second failed broken,third skipped ,last " + status + " ,summary"
		if strings.Join(got, ",") != want {
			t.Errorf("records %q, want %q", got, want)
		}
		if !r.Did(status, "last") || r.Did(status, "third") || !r.Did("failed") {
			t.Error("Did does not know the results of the steps")
		}
	}
}

func TestInterruptedRun(t *testing.T) {
	r, _, _ := aRunner(false)
	ctx, cancel := context.WithCancelCause(t.Context())
	ran := 0
	step := Step{Name: "a", Run: func(context.Context, bool) (Outcome, error) {
		ran++
		cancel(cli.ErrInterrupted)
		return Unchanged(""), nil
	}}
	if err := r.Run(ctx, []Step{step, step}); !errors.Is(err, cli.ErrInterrupted) || ran != 1 {
		t.Errorf("%v after %d steps, want the interrupt after one", err, ran)
	}
}

// TestReport: every problem is reported at once, and the exit code is "try again" only
// if that can solve all of them.
func TestReport(t *testing.T) {
	later := cli.TryAgain(cli.Hint(errors.New("nobody answers"), "start it"))
	for _, tt := range []struct {
		name  string
		find  func(*Problems)
		code  int
		text  string
		shown []string
	}{
		{"nothing", func(p *Problems) { p.Note("a %d", 1); p.Note("b") }, 0, "a 1, b", nil},
		{"a warning", func(p *Problems) { p.Warn("x", "w: %v", later) }, 0, "", []string{"t: x: w: nobody answers", "hint: start it"}},
		{"an ignored warning", func(p *Problems) { p.Ignore = []string{"swap"}; p.Warn("swap", "it swaps") }, 0, "", nil},
		{"unknown", func(p *Problems) {
			p.Add(record.Finding{Check: "files", Status: record.StatusUnknown, Subject: "/f", Detail: "cannot be checked"})
		}, 0, "", []string{"t: files: /f cannot be checked"}},
		{"ignored", func(p *Problems) { p.Ignore = []string{"disk"}; p.Fail("disk", "make room", "full") }, 0, "", []string{"t: disk: full", "hint: make room"}},
		{"one", func(p *Problems) { p.Fail("disk", "", "full") }, cli.CodeFailed, "1 problem (see above); nothing was changed", []string{"t: disk: full"}},
		{"later", func(p *Problems) { p.Fail("a", "", "%v", later); p.Fail("b", "", "%v", later) }, cli.CodeTryAgain, "2 problems (see above); nothing was changed", nil},
		{"later, and for good", func(p *Problems) { p.Fail("a", "", "%v", later); p.Fail("b", "", "no") }, cli.CodeFailed, "2 problems", nil},
		{"missing", func(p *Problems) {
			p.Missing = []record.Image{{Reference: "r/a:1", Error: "not there"}}
			p.Fail("images", "", "1 is missing")
		}, cli.CodeFailed, "1 problem", []string{"t: images: r/a:1: not there", "t: images: 1 is missing"}},
	} {
		r, stdout, stderr := aRunner(true)
		var p Problems
		tt.find(&p)
		o, err := r.Report(&p)
		text := o.Detail
		if err != nil {
			text = err.Error()
			if full := Full(err); !strings.Contains(full, ": ") || strings.Contains(full, "see above") {
				t.Errorf("%s: record %q, want the problems themselves", tt.name, full)
			}
		}
		if cli.Code(err) != tt.code || !strings.HasPrefix(text, tt.text) {
			t.Errorf("%s: %q with code %d, want %q with %d", tt.name, text, cli.Code(err), tt.text, tt.code)
		}
		if got := strings.Count(stdout.String(), `"kind":"finding"`); got != len(p.list) {
			t.Errorf("%s: %d records of findings, want %d", tt.name, got, len(p.list))
		}
		if got := stderr.String(); len(tt.shown) == 0 && tt.code == 0 && got != "" {
			t.Errorf("%s: stderr %q, want nothing", tt.name, got)
		}
		for _, want := range tt.shown {
			if !strings.Contains(stderr.String(), want+"\n") {
				t.Errorf("%s: stderr %q, want %q", tt.name, stderr, want)
			}
		}
		if got := strings.Count(stdout.String(), `"kind":"image"`); got != len(p.Missing) {
			t.Errorf("%s: %d records of images", tt.name, got)
		}
	}
}

// TestTableWithoutFindings: a person reads them on stderr, once.
func TestTableWithoutFindings(t *testing.T) {
	format := record.NewFormat(record.Step{})
	if err := format.Set("table"); err != nil {
		t.Fatal(err)
	}
	r, stdout, stderr := aRunner(true)
	r.Out = record.NewWriter(stdout, format)
	p := Problems{}
	p.Warn("swap", "it swaps")
	if _, err := r.Report(&p); err != nil || stdout.Len() > 0 || stderr.String() != "t: swap: it swaps\n" {
		t.Errorf("%v, stdout %q, stderr %q", err, stdout, stderr)
	}
}

func TestParseIgnored(t *testing.T) {
	if name, err := ParseIgnored("disk"); name != "disk" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := ParseIgnored("luck"); err == nil || !strings.HasPrefix(err.Error(), "must be one of apparmor cpu disk") {
		t.Errorf("%v", err)
	}
}
