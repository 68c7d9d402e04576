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

// HostChecks are the checks of k0s-up that --ignore turns into warnings, as its
// usage, page and completions list them.
var HostChecks = []string{
	"apparmor", "dns", "fapolicyd", "files", "fips", "firewalld", "hosts", "images", "inotify", "ipv6", "latency", "loopback", "memory",
	"mirror", "modules", "mounts", "name", "network", "platform", "ports", "proxy", "selinux", "swap", "sysinfo", "system", "time",
}

// Ignorable are the values of --ignore: tools that share a configuration file
// accept each other's.
var Ignorable = slices.Sorted(slices.Values(append([]string{"cpu", "disk"}, HostChecks...)))

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
	record.Finding
	err     error // the cause, for its exit code
	ignored bool  // a warning that is left to the records
}

// text returns the problem for people. What is unknown needs its subject.
func (q problem) text() string {
	if q.Status == record.StatusUnknown && q.Subject != "" {
		return q.Subject + " " + q.Detail
	}
	return q.Detail
}

// Fail adds a problem and its hint; without a hint, that of an error among args. If
// the check is ignored, the problem is a warning.
func (p *Problems) Fail(check, hint, format string, args ...any) {
	if hint == "" {
		hint = cli.HintAmong(args)
	}
	p.Add(record.Finding{Check: check, Status: record.StatusFailed, Detail: fmt.Sprintf(format, args...), Remedy: hint})
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.list[len(p.list)-1].err = err
		}
	}
}

// Add adds a finding. If its check is ignored, a failure becomes a warning, and
// anything less is left to the records.
func (p *Problems) Add(f record.Finding) {
	q := problem{Finding: f}
	switch {
	case !slices.Contains(p.Ignore, f.Check):
	case f.Status == record.StatusFailed:
		q.Status = record.StatusWarning
	default:
		q.ignored = true
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
	p.Add(record.Finding{Check: check, Status: record.StatusWarning, Detail: fmt.Sprintf(format, args...), Remedy: cli.HintAmong(args)})
}

// Note adds a text to the step's record.
func (p *Problems) Note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// Report prints each problem, writes a record of it, and returns the outcome of
// the step that found them: an error if one of them is a failure.
func (r *Runner) Report(p *Problems) (Outcome, error) {
	for _, m := range p.Missing {
		if err := r.Out.Write(m); err != nil {
			return Outcome{}, err
		}
	}
	var texts []string
	later := 0 // how many of these may disappear on the next try
	for _, q := range p.list {
		// Who reads a table reads stderr, too.
		if err := r.Out.WriteAs(q.Finding, nil); err != nil {
			return Outcome{}, err
		}
		if q.ignored {
			continue
		}
		if q.Check == "images" && q.Status == record.StatusFailed {
			for _, m := range p.Missing {
				r.Progress.Warn("images: %s: %s", m.Reference, m.Error)
			}
		}
		r.Progress.Warn("%s: %s", q.Check, q.text())
		if q.Remedy != "" {
			r.Progress.Hint(q.Remedy)
		}
		if q.Status != record.StatusFailed {
			continue
		}
		texts = append(texts, q.Check+": "+q.Detail)
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
