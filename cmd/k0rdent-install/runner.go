package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/record"
)

// installer does the work of one run. What a step finds out and a later one
// needs is kept here.
type installer struct {
	cfg      *config
	host     host
	out      *record.Writer
	stdin    io.Reader
	stderr   io.Writer
	progress *cli.Progress
	log      *slog.Logger

	in    input
	state *state
	node  node // this host, as others see it
	site  *site
	k0s   program
	yaml  k0sYAML

	balance bool    // k0s.yaml gets node-local load balancing
	removal removal // what --uninstall means for the cluster

	release  *release
	needs    []chart.Need // of the platform
	k0sNeeds []chart.Need // of k0s
	demand   chart.Demand // of the platform's pods
	missing  []record.Image
	started  time.Time        // of k0s, by this run
	reached  *cluster.State   // of the platform, once it is ready
	cluster  *cluster.Cluster // once k0s has made its kubeconfig

	taken  []taken // what each step took
	total  int     // how many steps there are
	failed bool    // one of them has
	start  time.Time
}

// taken is a step that has ended.
type taken struct {
	step    record.Step
	elapsed time.Duration
}

// step is one part of the work. Both functions look at what is there first.
type step struct {
	name string
	// plan tells what run would do, and changes nothing.
	plan func(context.Context) (outcome, error)
	// run does what is missing.
	run func(context.Context) (outcome, error)
	// still tells, after a step before has failed, whether there is something
	// to do all the same; nil means no.
	still func() bool
}

// outcome is what became of a step.
type outcome struct {
	status string
	detail string
	told   bool // a person has read the detail already

	cluster string // what becomes of the cluster, if that is not its end
}

func done(format string, args ...any) outcome {
	return outcome{status: record.StatusDone, detail: fmt.Sprintf(format, args...)}
}

func unchanged(format string, args ...any) outcome {
	return outcome{status: record.StatusUnchanged, detail: fmt.Sprintf(format, args...)}
}

func planned(format string, args ...any) outcome {
	return outcome{status: record.StatusPlanned, detail: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) outcome {
	return outcome{status: record.StatusSkipped, detail: fmt.Sprintf(format, args...)}
}

// steps works through steps in order, and writes a record of each. After one
// that fails the rest is skipped.
func (i *installer) steps(ctx context.Context, steps []step) error {
	var failure error
	i.total = len(steps)
	for _, s := range steps {
		if failure != nil && (s.still == nil || !s.still()) {
			if err := i.report(record.Step{Name: s.name, Status: record.StatusSkipped, Detail: "a step before it failed"}, 0, false); err != nil {
				return err
			}
			continue
		}
		if err := i.step(ctx, s); err != nil && failure == nil {
			failure = fmt.Errorf("%s: %w", s.name, err)
		}
		if i.host.after != nil && failure == nil {
			if err := i.host.after(s.name); err != nil {
				return err
			}
		}
	}
	return failure
}

// step does one step.
func (i *installer) step(ctx context.Context, s step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	work := s.run
	if i.cfg.plan {
		work = s.plan
	}
	i.log.Debug("step begins", "step", s.name)
	start := time.Now()
	o, err := work(ctx)
	r := record.Step{Name: s.name, Status: o.status, Detail: o.detail, Cluster: o.cluster}
	if err != nil {
		r.Status, r.Error = record.StatusFailed, full(err)
	}
	if e := i.report(r, time.Since(start), o.told); e != nil {
		return e
	}
	return err
}

// report writes the record of a step that has ended.
func (i *installer) report(r record.Step, elapsed time.Duration, told bool) error {
	r.Seconds = record.Seconds(elapsed)
	i.taken = append(i.taken, taken{r, elapsed})
	// A failure is told in the end, and what it leaves undone is no news.
	text := r.Name + " " + r.Status
	if r.Detail != "" && !told && r.Status != record.StatusFailed {
		text += ": " + r.Detail
	}
	if !i.failed || r.Status != record.StatusSkipped {
		i.progress.Item(i.total, text)
	}
	i.failed = i.failed || r.Status == record.StatusFailed
	return i.out.Write(r)
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// summary is the last record.
func (i *installer) summary() error {
	counts := make(map[string]int)
	for _, t := range i.taken {
		counts[t.step.Status]++
	}
	return i.out.Write(record.Summary{Tool: tool, Counts: counts, Seconds: record.Seconds(time.Since(i.start))})
}

// put writes a file of ours, notes it as ours, and writes its record. What is
// noted comes first: a run that is killed in between must not leave a file of
// which nobody knows whose it is.
func (i *installer) put(path string, mode fs.FileMode, content []byte, backup string) (record.File, error) {
	plan, err := hostfile.Plan(path, mode, content)
	if err != nil {
		return plan, err
	}
	if plan.Status == record.StatusUnchanged {
		return plan, i.out.Write(plan)
	}
	i.state.own(path, plan.Digest, backup)
	if err := i.state.save(); err != nil {
		return plan, err
	}
	r, err := hostfile.Put(path, mode, content)
	if e := i.out.Write(r); err == nil {
		err = e
	}
	return r, err
}
