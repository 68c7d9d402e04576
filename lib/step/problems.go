package step

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/nearest"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// Ignorable lists the checks that --ignore turns into warnings: those that predict a
// problem, not those that are certain to fail. Tools that share a configuration file
// accept each other's.
var Ignorable = []string{
	"cpu", "disk", "images", "loopback", "memory", "mirror", "network", "platform", "ports", "sysinfo", "system", "time",
}

// ParseIgnored parses a value of --ignore.
func ParseIgnored(name string) (string, error) {
	if !slices.Contains(Ignorable, name) {
		return "", fmt.Errorf("must be one of %s%s", strings.Join(Ignorable, " "), nearest.Meant(name, Ignorable, ""))
	}
	return name, nil
}

// Problems collects all problems before the first change, so that an operator sees
// them at once.
type Problems struct {
	Ignore  []string       // checks that only warn
	Missing []record.Image // images missing from the registry; reported with the problem "images"

	list  []problem
	notes []string
}

type problem struct {
	check, text, hint string
	err               error // the cause, for its exit code
	warning           bool
}

// Fail adds a problem and its hint; without a hint, that of an error among args. If
// the check is ignored, the problem is a warning.
func (p *Problems) Fail(check, hint, format string, args ...any) {
	q := problem{check: check, text: fmt.Sprintf(format, args...), hint: hint, warning: slices.Contains(p.Ignore, check)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			q.err = err
		}
	}
	if hint == "" {
		q.hint = cli.HintAmong(args)
	}
	p.list = append(p.list, q)
}

// CheckLoopback adds a problem if a registry, HOST[:PORT][/PREFIX], has an address
// that in a pod is the pod itself. own is the address of the node, if known.
func (p *Problems) CheckLoopback(at, own string) {
	host, _, _ := strings.Cut(at, "/")
	if !ref.Loopback(host) {
		return
	}
	hint := "name an address of the registry's host with --registry"
	if _, port, err := net.SplitHostPort(host); err == nil && own != "" {
		hint = "--registry " + strings.Replace(at, host, net.JoinHostPort(own, port), 1)
	}
	p.Fail("loopback", hint, "%s is a loopback address: in a pod, it is the pod itself", host)
}

// Warn adds a warning.
func (p *Problems) Warn(check, format string, args ...any) {
	p.list = append(p.list, problem{check: check, text: fmt.Sprintf(format, args...), hint: cli.HintAmong(args), warning: true})
}

// Note adds a finding to the step's record.
func (p *Problems) Note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// Report prints each problem, and returns the outcome of the step that found them: an
// error if any of them is more than a warning.
func (r *Runner) Report(p *Problems) (Outcome, error) {
	for _, m := range p.Missing {
		if err := r.Out.Write(m); err != nil {
			return Outcome{}, err
		}
	}
	var texts []string
	later := 0 // how many of these may disappear on the next try
	for _, q := range p.list {
		if q.check == "images" && !q.warning {
			for _, m := range p.Missing {
				r.Progress.Warn("images: %s: %s", m.Reference, m.Error)
			}
		}
		r.Progress.Warn("%s: %s", q.check, q.text)
		if q.hint != "" {
			r.Progress.Hint(q.hint)
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
		return Unchanged("%s", strings.Join(p.notes, ", ")), nil
	case later == len(texts):
		return Outcome{}, cli.TryAgain(err)
	default:
		return Outcome{}, err
	}
}

// listedError is the error for problems that have been printed already. Records
// contain them in full.
type listedError struct{ texts []string }

func (e *listedError) Error() string {
	if len(e.texts) == 1 {
		return "1 problem (see above); nothing was changed"
	}
	return fmt.Sprintf("%d problems (see above); nothing was changed", len(e.texts))
}

// Full returns the complete text of an error, for a record.
func Full(err error) string {
	if l, ok := errors.AsType[*listedError](err); ok {
		return strings.Join(l.texts, "; ")
	}
	return err.Error()
}
