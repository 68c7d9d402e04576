package k0s

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
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

// probeLine matches lines such as "  NAME: VALUE (rejected: why)". A message may span
// several lines.
var probeLine = regexp.MustCompile(`(?m)^[ \t]*(.+?) \((pass|warning|rejected|error)(?:: ((?s:.*?)))?\)$`)

func parseSysinfo(out string) []Probe {
	var probes []Probe
	for _, m := range probeLine.FindAllStringSubmatch(out, -1) {
		p := Probe{Verdict: m[2], Message: strings.Join(strings.Fields(m[3]), " ")}
		head, bare := strings.CutSuffix(m[1], ":")
		p.Name = head
		if at := strings.LastIndex(head, ": "); at >= 0 && !bare {
			p.Name, p.Value = head[:at], head[at+2:]
		}
		probes = append(probes, p)
	}
	return probes
}
