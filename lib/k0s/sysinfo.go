package k0s

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// Probe is one line of k0s sysinfo about the host.
type Probe struct {
	Name    string
	Value   string
	Verdict string // pass, warning, rejected or error; k0s does not start after either of the last two
	Message string
}

// Sysinfo runs the checks that k0s makes before it starts. A rejected check is a
// probe, not an error.
func (b Binary) Sysinfo(ctx context.Context) ([]Probe, error) {
	out, err := b.run(ctx, patience, nil, "sysinfo")
	probes := parseSysinfo(out)
	// It also exits with status 1 if something is rejected.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() && len(probes) > 0 {
		err = nil
	}
	return probes, err
}

// parseSysinfo parses lines such as "  NAME: VALUE (rejected: why)". A message may
// span several lines.
func parseSysinfo(out string) []Probe {
	var probes []Probe
	lines := strings.Split(out, "\n")
	for i := 0; i < len(lines); i++ {
		text := strings.TrimSpace(lines[i])
		head, verdict, found := cutVerdict(text)
		if !found {
			continue
		}
		for !strings.HasSuffix(verdict, ")") && i+1 < len(lines) {
			if _, _, next := cutVerdict(strings.TrimSpace(lines[i+1])); next {
				break
			}
			i++
			verdict += " " + strings.TrimSpace(lines[i])
		}
		var p Probe
		p.Verdict, p.Message, _ = strings.Cut(strings.TrimSuffix(strings.TrimSpace(verdict), ")"), ": ")
		name, bare := strings.CutSuffix(head, ":")
		p.Name = name
		if at := strings.LastIndex(head, ": "); at >= 0 && !bare {
			p.Name, p.Value = head[:at], head[at+2:]
		}
		probes = append(probes, p)
	}
	return probes
}

// cutVerdict splits a line before the verdict in parentheses.
func cutVerdict(line string) (head, verdict string, found bool) {
	for _, word := range []string{"pass", "warning", "rejected", "error"} {
		for _, end := range []string{")", ": "} {
			if head, rest, found := strings.Cut(line, " ("+word+end); found {
				return head, word + end + rest, true
			}
		}
	}
	return "", "", false
}
