package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
)

// ignorable are the checks that --ignore turns into warnings: those that guess
// what will happen. What certainly fails is not among them.
var ignorable = []string{"cpu", "disk", "images", "memory", "mirror", "network", "ports", "sysinfo", "system", "time"}

// preflight collects all that is wrong, so that an operator hears of it at
// once.
type preflight struct {
	*installer
	join     bool // the host joins a cluster
	worker   bool // as a worker
	upgrade  bool
	cgroup1  bool
	problems []problem
	notes    []string // what was found, for the step's record
}

type problem struct {
	check, text, hint string
	err               error // the cause, where its kind matters
	warning           bool
}

// fail notes what is wrong and what helps.
func (p *preflight) fail(check, hint, format string, args ...any) {
	q := problem{check: check, text: fmt.Sprintf(format, args...), hint: hint, warning: slices.Contains(p.cfg.ignore, check)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			q.err = err
		}
	}
	if hint == "" {
		q.hint = cli.HintAmong(args)
	}
	p.problems = append(p.problems, q)
}

// warn notes what an operator should know.
func (p *preflight) warn(check, format string, args ...any) {
	p.problems = append(p.problems, problem{check: check, text: fmt.Sprintf(format, args...), hint: cli.HintAmong(args), warning: true})
}

func (p *preflight) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// result tells a person of each problem, and gives the one error.
func (p *preflight) result() (outcome, error) {
	for _, r := range p.missing {
		if err := p.out.Write(r); err != nil {
			return outcome{}, err
		}
	}
	var texts []string
	later := 0 // of these, may be gone on the next try
	for _, q := range p.problems {
		if q.check == "images" && !q.warning {
			for _, r := range p.missing {
				p.progress.Warn("images: %s: %s", r.Reference, r.Error)
			}
		}
		p.progress.Warn("%s: %s", q.check, q.text)
		if q.hint != "" {
			fmt.Fprintf(p.progress, "hint: %s\n", q.hint)
		}
		if q.warning {
			continue
		}
		texts = append(texts, q.check+": "+q.text)
		if cli.Code(q.err) == cli.CodeTryAgain {
			later++
		}
	}
	switch err := (&listedError{texts}); {
	case len(texts) == 0:
		return unchanged("%s", strings.Join(p.notes, ", ")), nil
	case later == len(texts):
		return outcome{}, cli.TryAgain(err)
	default:
		return outcome{}, err
	}
}

// listedError is for problems that a person has read already. Records have
// them in full.
type listedError struct{ texts []string }

func (e *listedError) Error() string {
	if len(e.texts) == 1 {
		return "1 problem (see above); nothing was changed"
	}
	return fmt.Sprintf("%d problems (see above); nothing was changed", len(e.texts))
}

// full gives all that an error knows.
func full(err error) string {
	if l, ok := errors.AsType[*listedError](err); ok {
		return strings.Join(l.texts, "; ")
	}
	return err.Error()
}

// check makes all checks that there are for what was asked, and touches
// nothing.
func (p *preflight) check(ctx context.Context) (outcome, error) {
	p.checkSystem()
	p.checkMemory()
	p.checkName()
	p.checkK0s(ctx)
	if !p.worker {
		p.checkK0sYAML(ctx)
	}
	p.checkPorts()
	p.checkNetworks()
	p.checkRoutes()
	if p.site != nil {
		p.checkSite(ctx)
	}
	if ctx.Err() != nil {
		return outcome{}, context.Cause(ctx)
	}
	return p.result()
}
