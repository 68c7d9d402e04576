package k0s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/ref"
)

const (
	// patience limits each run of the binary. What it is run for here takes no
	// unpacking, and a tenth of a second.
	patience = 30 * time.Second
	// servicePatience limits a run that stops, starts or resets the service, in which
	// k0s waits for processes and for kubelet's mounts.
	servicePatience = 10 * time.Minute
	// maxOutput limits how much of its output is kept, in bytes.
	maxOutput = 1 << 20
)

// Binary is a k0s program on this host. Nothing else runs one: every run is
// limited in time and output, and the text that k0s prints is interpreted only
// here.
type Binary struct{ Path string }

// Version returns the binary's version.
func (b Binary) Version(ctx context.Context) (Version, error) {
	out, err := b.run(ctx, patience, nil, "version")
	if err != nil {
		return Version{}, err
	}
	v, err := ParseVersion(strings.TrimSpace(out))
	if err != nil {
		return Version{}, fmt.Errorf("k0s version: %w", err)
	}
	return v, nil
}

// ListImages returns the images that k0s runs a cluster with. config is the name
// of a k0s.yaml; without one, k0s reads its own.
func (b Binary) ListImages(ctx context.Context, config string) ([]ref.Reference, error) {
	if config == "" {
		return b.listImages(ctx, nil)
	}
	return b.listImages(ctx, nil, "--config", config)
}

// ImagesFor is ListImages for the text of a k0s.yaml.
func (b Binary) ImagesFor(ctx context.Context, config []byte) ([]ref.Reference, error) {
	return b.listImages(ctx, config, "--config", "-")
}

func (b Binary) listImages(ctx context.Context, stdin []byte, args ...string) ([]ref.Reference, error) {
	out, err := b.run(ctx, patience, stdin, append([]string{"airgap", "list-images"}, args...)...)
	if err != nil {
		return nil, err
	}
	var images []ref.Reference
	for _, name := range strings.Fields(out) {
		i, err := Image(name)
		if err != nil {
			return nil, fmt.Errorf("k0s airgap list-images: %w", err)
		}
		images = append(images, i)
	}
	return images, nil
}

// APIVersion returns the apiVersion that this k0s gives its own configuration.
func (b Binary) APIVersion(ctx context.Context) (string, error) {
	out, err := b.run(ctx, patience, nil, "config", "create")
	if err != nil {
		return "", err
	}
	var c struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(out), &c); err != nil || c.APIVersion == "" || c.Kind != "ClusterConfig" {
		return "", errors.New("k0s config create: its output is not a ClusterConfig")
	}
	return c.APIVersion, nil
}

// Validate has k0s check the text of a k0s.yaml.
func (b Binary) Validate(ctx context.Context, config []byte) error {
	_, err := b.run(ctx, patience, config, "config", "validate", "--config", "-")
	return err
}

// runError is a run of k0s that failed.
type runError struct {
	args  []string
	words string // the last line that it printed to standard error; may be empty
	err   error
}

func (e *runError) Error() string {
	what := "k0s " + strings.Join(e.args, " ") + ": "
	if e.words != "" {
		return what + e.words
	}
	return what + e.err.Error()
}

func (e *runError) Unwrap() error { return e.err }

// printed reports whether the last line of a failed k0s contains one of these
// texts. Only functions that name the texts' meaning call it.
func printed(err error, texts ...string) bool {
	e, ok := errors.AsType[*runError](err)
	if !ok {
		return false
	}
	for _, text := range texts {
		if strings.Contains(e.words, text) {
			return true
		}
	}
	return false
}

// run returns the standard output of the binary. Its error contains the last line
// of standard error, and wraps context.DeadlineExceeded after a timeout.
func (b Binary) run(ctx context.Context, limit time.Duration, stdin []byte, args ...string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, b.Path, args...)
	cmd.WaitDelay = time.Second // a child process may hold the pipes
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr capped
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil && stdout.over:
		return "", &runError{args: args, err: fmt.Errorf("printed more than %d bytes", maxOutput)}
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case bounded.Err() != nil:
		return "", &runError{args: args, err: fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded)}
	case cmd.Process == nil: // the error names the file
		return "", err
	}
	words := strings.TrimSpace(stderr.String())
	words = strings.TrimPrefix(words[strings.LastIndexByte(words, '\n')+1:], "Error: ")
	return stdout.String(), &runError{args: args, words: words, err: err}
}

// capped keeps the first maxOutput bytes written to it. The buffer is not
// embedded, since its other methods would bypass the limit.
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
