// Package step runs a tool that changes a host or a cluster in steps. Each step checks
// the current state, makes the missing changes, and writes a record. A plan runs the
// same steps without changes.
package step

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// Step is one part of a run.
type Step struct {
	Name string
	// Run checks the current state and, if do is set, makes the missing changes.
	// Otherwise it changes nothing and returns what it would do.
	Run func(ctx context.Context, do bool) (Outcome, error)
	// Still reports whether the step must run even after an earlier one failed;
	// nil means no.
	Still func() bool
}

// Outcome is the result of a step that did not fail.
type Outcome struct {
	Status string
	Detail string
	Shown  bool // the detail has already been printed

	Cluster string // the value for record.Step, if the cluster remains
}

// Unchanged is the outcome of a step with nothing to do.
func Unchanged(format string, args ...any) Outcome {
	return Outcome{Status: record.StatusUnchanged, Detail: fmt.Sprintf(format, args...)}
}

// Changed is the outcome of a step that made a change or, without do, would make one.
func Changed(do bool, format string, args ...any) Outcome {
	o := Outcome{Status: record.StatusPlanned, Detail: fmt.Sprintf(format, args...)}
	if do {
		o.Status = record.StatusDone
	}
	return o
}

// Skipped is the outcome of a step that does not apply.
func Skipped(format string, args ...any) Outcome {
	return Outcome{Status: record.StatusSkipped, Detail: fmt.Sprintf(format, args...)}
}

// Runner runs steps.
type Runner struct {
	Tool     string
	Plan     bool
	Quiet    bool
	Out      *record.Writer
	Progress *cli.Progress
	Log      *slog.Logger

	Start time.Time     // of the run, for the summary
	Ended []record.Step // of the run

	total int
}

// NewRunner returns a Runner that writes records to stdout and messages to
// stderr. The caller closes its Progress.
func NewRunner(tool string, c cli.Common, plan bool, stdout, stderr io.Writer) Runner {
	r := Runner{Tool: tool, Plan: plan, Quiet: c.Quiet}
	r.Progress, r.Out, r.Log = c.Open(tool, stdout, stderr)
	return r
}

// Run runs steps in order, and writes a record of each and a summary. After a failure
// it skips the rest.
func (r *Runner) Run(ctx context.Context, steps []Step) error {
	r.total = len(steps)
	failure := r.all(ctx, steps)
	r.Progress.Close()
	counts := make(map[string]int)
	for _, s := range r.Ended {
		counts[s.Status]++
	}
	err := r.Out.Write(record.Summary{Tool: r.Tool, Counts: counts, Seconds: record.Seconds(time.Since(r.Start))})
	if failure == nil {
		failure = err
	}
	return failure
}

func (r *Runner) all(ctx context.Context, steps []Step) error {
	var failure error
	for _, s := range steps {
		if failure != nil && (s.Still == nil || !s.Still()) {
			if err := r.report(record.Step{Name: s.Name, Status: record.StatusSkipped, Detail: "an earlier step failed"}, false); err != nil {
				return err
			}
			continue
		}
		if err := r.step(ctx, s); err != nil && failure == nil {
			failure = fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return failure
}

func (r *Runner) step(ctx context.Context, s Step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.Log.Debug("step begins", "step", s.Name)
	start := time.Now()
	o, err := s.Run(ctx, !r.Plan)
	done := record.Step{Name: s.Name, Status: o.Status, Detail: o.Detail, Cluster: o.Cluster, Seconds: record.Seconds(time.Since(start))}
	if err != nil {
		done.Status, done.Error = record.StatusFailed, Full(err)
	}
	if e := r.report(done, o.Shown); e != nil {
		return e
	}
	return err
}

// report writes the record of a step that has ended.
func (r *Runner) report(s record.Step, shown bool) error {
	// A failure is reported at the end, which covers the skipped steps too.
	covered := s.Status == record.StatusSkipped && r.Did(record.StatusFailed)
	r.Ended = append(r.Ended, s)
	text := s.Name + " " + s.Status
	if s.Detail != "" && !shown && s.Status != record.StatusFailed {
		text += ": " + s.Detail
	}
	if !covered {
		r.Progress.Item(r.total, text)
	}
	row := s // without details that are printed elsewhere
	if shown || covered {
		row.Detail = ""
	}
	row.Error = ""
	return r.Out.WriteAs(s, row)
}

// Show prints lines about a step, for people.
func (r *Runner) Show(what string, lines []string) {
	if r.Quiet {
		return
	}
	for _, line := range lines {
		fmt.Fprintf(r.Progress, "%s: %s\n", what, line)
	}
}

// Did reports whether a step of this run, optionally one with these names, ended with
// a status.
func (r *Runner) Did(status string, names ...string) bool {
	return slices.ContainsFunc(r.Ended, func(s record.Step) bool {
		return s.Status == status && (len(names) == 0 || slices.Contains(names, s.Name))
	})
}

// Count returns a number of things.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
