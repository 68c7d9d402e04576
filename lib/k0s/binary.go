package k0s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// patience bounds each run of the binary. It unpacks nothing for what it is
	// asked here, and answers in a tenth of a second.
	patience = 30 * time.Second
	// servicePatience bounds how long the service takes to stop or start:
	// systemd gives a unit 90 s before it kills it.
	servicePatience = 3 * time.Minute
	// maxOutput bounds what is kept of its output, in bytes.
	maxOutput = 1 << 20
)

// Binary is a k0s program on this host.
type Binary struct{ Path string }

// Version asks which version it is.
func (b Binary) Version(ctx context.Context) (Version, error) {
	out, err := b.run(ctx, patience, "version")
	if err != nil {
		return Version{}, err
	}
	v, err := ParseVersion(strings.TrimSpace(out))
	if err != nil {
		return Version{}, fmt.Errorf("%s version: %w", b.Path, err)
	}
	return v, nil
}

// ListImages asks for the images that it runs a cluster with. config is the
// k0s.yaml to go by; if it is empty, k0s takes its own.
func (b Binary) ListImages(ctx context.Context, config string) ([]Image, error) {
	args := []string{"airgap", "list-images"}
	if config != "" {
		args = append(args, "--config", config)
	}
	out, err := b.run(ctx, patience, args...)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, name := range strings.Fields(out) {
		i, err := ParseImage(name)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", b.Path, strings.Join(args, " "), err)
		}
		images = append(images, i)
	}
	return images, nil
}

// Stop stops the service that k0s was installed as. Running pods go on.
func (b Binary) Stop(ctx context.Context) error {
	_, err := b.run(ctx, servicePatience, "stop")
	return err
}

// Start starts the service that k0s was installed as.
func (b Binary) Start(ctx context.Context) error {
	_, err := b.run(ctx, servicePatience, "start")
	return err
}

// Probe is one line of what k0s finds out about the host.
type Probe struct {
	Name    string
	Value   string
	Verdict string // pass, warning, rejected or error; k0s does not start with one of the last two
	Message string
}

// Sysinfo runs the checks that k0s makes before it starts. What they reject
// is no error, but a probe.
func (b Binary) Sysinfo(ctx context.Context) ([]Probe, error) {
	out, err := b.run(ctx, patience, "sysinfo")
	probes := parseSysinfo(out)
	// It also ends with a status of 1 when something is rejected.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() && len(probes) > 0 {
		err = nil
	}
	return probes, err
}

// parseSysinfo reads lines such as "  NAME: VALUE (rejected: why)". A message
// may go over several lines.
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

// cutVerdict cuts a line before the verdict in its parentheses.
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

// run gives what the binary prints to standard output. An error has the last
// line of what it says otherwise.
func (b Binary) run(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.Path, args...)
	cmd.WaitDelay = time.Second // a child of it may hold the pipes
	var stdout, stderr capped
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	what := b.Path + " " + strings.Join(args, " ")
	switch {
	case err == nil:
		if stdout.over {
			return "", fmt.Errorf("%s: printed more than %d bytes", what, maxOutput)
		}
		return stdout.String(), nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("%s: no answer within %v", what, limit)
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case cmd.Process == nil: // the error names the file
		return "", err
	}
	last := strings.TrimSpace(stderr.String())
	if last != "" {
		return stdout.String(), fmt.Errorf("%s: %w: %s", what, err, last[strings.LastIndexByte(last, '\n')+1:])
	}
	return stdout.String(), fmt.Errorf("%s: %w", what, err)
}

// capped keeps the first maxOutput bytes that are written to it. The buffer is
// not embedded: its other methods would let the rest in.
type capped struct {
	kept bytes.Buffer
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	keep := p
	if room := maxOutput - c.kept.Len(); len(p) > room {
		c.over, keep = true, p[:room]
	}
	c.kept.Write(keep)
	return len(p), nil
}

func (c *capped) String() string { return c.kept.String() }
