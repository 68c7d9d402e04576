// Package step does the work of a tool that changes a host or a cluster: in
// steps, each of which checks the current state, does what is missing, and leaves
// a record. A plan is the same steps, told to change nothing.
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

// Step is one part of the work.
type Step struct {
	Name string
	// Run checks the current state and, if do is set, does what is missing.
	// Otherwise it changes nothing and returns what it would do.
	Run func(ctx context.Context, do bool) (Outcome, error)
	// Still reports, after a step before has failed, whether there is something
	// to do all the same; nil means no.
	Still func() bool
}

// Outcome is the result of a step that did not fail.
type Outcome struct {
	Status string
	Detail string
	Shown  bool // a person has read the detail already

	Cluster string // what becomes of the cluster, if that is not its end
}

// Unchanged is the outcome where there is nothing to do.
func Unchanged(format string, args ...any) Outcome {
	return Outcome{Status: record.StatusUnchanged, Detail: fmt.Sprintf(format, args...)}
}

// Changed is the outcome where something was done or, if do is not set, would be.
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

// Taken is a step that has ended.
type Taken struct {
	Step    record.Step
	Elapsed time.Duration
}

// Runner works through steps.
type Runner struct {
	Tool     string
	Plan     bool
	Quiet    bool
	Out      *record.Writer
	Progress *cli.Progress
	Log      *slog.Logger

	Start time.Time // of the run, for the summary
	Taken []Taken

	total  int
	failed bool
}

// NewRunner returns a Runner that writes records to stdout and messages to
// stderr. The caller closes its Progress.
func NewRunner(tool string, c cli.Common, plan bool, format *record.Format, stdout, stderr io.Writer) Runner {
	progress := cli.NewProgress(tool, stderr, c.Quiet)
	return Runner{
		Tool: tool, Plan: plan, Quiet: c.Quiet, Progress: progress,
		Out: progress.Records(stdout, format), Log: cli.Logger(progress, c.Verbose),
	}
}

// Run works through steps in order, and writes a record of each and a summary.
// After one that fails the rest is skipped.
func (r *Runner) Run(ctx context.Context, steps []Step) error {
	r.total = len(steps)
	failure := r.all(ctx, steps)
	r.Progress.Close()
	counts := make(map[string]int)
	for _, t := range r.Taken {
		counts[t.Step.Status]++
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
			if err := r.report(record.Step{Name: s.Name, Status: record.StatusSkipped, Detail: "a step before it failed"}, 0, false); err != nil {
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
	done := record.Step{Name: s.Name, Status: o.Status, Detail: o.Detail, Cluster: o.Cluster}
	if err != nil {
		done.Status, done.Error = record.StatusFailed, Full(err)
	}
	if e := r.report(done, time.Since(start), o.Shown); e != nil {
		return e
	}
	return err
}

// report writes the record of a step that has ended.
func (r *Runner) report(s record.Step, elapsed time.Duration, shown bool) error {
	s.Seconds = record.Seconds(elapsed)
	r.Taken = append(r.Taken, Taken{s, elapsed})
	// A failure is reported at the end, and what it leaves undone is no news.
	text := s.Name + " " + s.Status
	if s.Detail != "" && !shown && s.Status != record.StatusFailed {
		text += ": " + s.Detail
	}
	if !r.failed || s.Status != record.StatusSkipped {
		r.Progress.Item(r.total, text)
	}
	row := s // without what a person has read, or reads at the end
	if shown || s.Status == record.StatusSkipped && r.failed {
		row.Detail = ""
	}
	row.Error = ""
	r.failed = r.failed || s.Status == record.StatusFailed
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

// Did reports whether a step of this run, of these names if there are any, ended
// with a status.
func (r *Runner) Did(status string, names ...string) bool {
	return slices.ContainsFunc(r.Taken, func(t Taken) bool {
		return t.Step.Status == status && (len(names) == 0 || slices.Contains(names, t.Step.Name))
	})
}

// Count returns a number of things.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
