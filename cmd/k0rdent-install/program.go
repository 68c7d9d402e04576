package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/k0s"
)

// How long runs of k0s may take. Stopping and resetting wait for processes
// and for kubelet's mounts; what only answers does so in a tenth of a second.
const (
	quickRun = 30 * time.Second
	longRun  = 10 * time.Minute
)

// maxSaid bounds what is kept of a program's output, in bytes.
const maxSaid = 1 << 20

// program is the k0s of this host: the file, the service, and what runs.
type program struct {
	host    host
	path    string
	version k0s.Version // of the file, once it was asked
	running *k0sStatus  // nil if none runs
	missing bool        // there is no file yet
}

// k0sStatus is what `k0s status -o json` tells, as far as it matters
// (k0sproject/k0s, pkg/component/status/client.go).
type k0sStatus struct {
	Version    string
	Pid        int
	Role       string // controller, worker, controller+worker or server
	Workloads  bool
	SingleNode bool
	K0sVars    *struct{ AdminKubeConfigPath, KubeletAuthConfigPath, DataDir string }

	WorkerToAPIConnectionStatus struct {
		Message string
		Success bool
	}
}

// errSilent says that k0s runs and does not tell how it is, as while it starts.
var errSilent = errors.New("k0s runs and does not answer")

// status asks the running k0s; nil if none runs.
func (p *program) status(ctx context.Context) (*k0sStatus, error) {
	out, err := p.run(ctx, p.host.patience, nil, "status", "-o", "json")
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, errSilent
	case err != nil && notRunning(err.Error()):
		return nil, nil
	case err != nil:
		return nil, err
	}
	s := new(k0sStatus)
	if err := json.Unmarshal([]byte(out), s); err != nil {
		return nil, fmt.Errorf("%s status: %w", p.path, err)
	}
	return s, nil
}

// notRunning tells k0s's words for that: its socket is not there, or nobody
// listens (k0s was killed).
func notRunning(message string) bool {
	for _, words := range []string{"no such file or directory", "connection refused", "k0s is not running"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// kubeconfig gives the administrator's kubeconfig file.
func (p *program) kubeconfig() string {
	if s := p.running; s != nil && s.K0sVars != nil && s.K0sVars.AdminKubeConfigPath != "" {
		return s.K0sVars.AdminKubeConfigPath
	}
	return filepath.Join(p.host.data, "pki", "admin.conf")
}

// kubeletConfig gives the kubeconfig file of this node's kubelet.
func (p *program) kubeletConfig() string {
	if s := p.running; s != nil && s.K0sVars != nil && s.K0sVars.KubeletAuthConfigPath != "" {
		return s.K0sVars.KubeletAuthConfigPath
	}
	return filepath.Join(p.host.data, "kubelet.conf")
}

// service is k0s as the host's init system has it.
type service struct {
	role string // controller or worker
	unit string // its file
	args string // of k0s
}

// execLine finds how a unit of systemd or OpenRC starts k0s.
var execLine = regexp.MustCompile(`(?m)^(?:ExecStart=\S+|command_args=["']?)\s*(.*?)["']?\s*$`)

// service gives the installed service; nil if there is none. As k0s does, it
// looks for a controller first.
func (p *program) service() (*service, error) {
	for _, role := range []string{k0s.RoleController, k0s.RoleWorker} {
		for _, unit := range []string{filepath.Join(p.host.units, "k0s"+role+".service"), filepath.Join(p.host.initd, "k0s"+role)} {
			text, err := os.ReadFile(unit)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			s := &service{role: role, unit: unit}
			if m := execLine.FindSubmatch(text); m != nil {
				s.args = string(m[1])
			}
			return s, nil
		}
	}
	return nil, nil
}

// value returns what the service's k0s is given with a flag, under any of its
// names; "" if it is not.
func (s *service) value(names ...string) string {
	if s == nil {
		return ""
	}
	next := false
	for _, arg := range strings.Fields(s.args) {
		if next {
			return strings.Trim(arg, `"'`)
		}
		name, value, found := strings.Cut(arg, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if found {
			return strings.Trim(value, `"'`)
		}
		next = true
	}
	return ""
}

// has reports whether the service's k0s is started with a flag.
func (s *service) has(flag string) bool {
	if s == nil {
		return false
	}
	for _, arg := range strings.Fields(s.args) {
		name, value, _ := strings.Cut(arg, "=")
		if name == flag && value != "false" {
			return true
		}
	}
	return false
}

// validate has k0s check a configuration before it is written.
func (p *program) validate(ctx context.Context, config []byte) error {
	_, err := p.run(ctx, quickRun, config, "config", "validate", "--config", "-")
	return err
}

// images lists the images that k0s starts a cluster with.
func (p *program) images(ctx context.Context, config []byte) ([]string, error) {
	out, err := p.run(ctx, quickRun, config, "airgap", "list-images", "--config", "-")
	return strings.Fields(out), err
}

// run gives what a command of k0s prints to standard output. An error has the
// last line of what it says otherwise, and satisfies errors.Is for
// context.DeadlineExceeded if the time was up.
func (p *program) run(ctx context.Context, limit time.Duration, stdin []byte, args ...string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, p.path, args...)
	cmd.WaitDelay = time.Second // a child of it may hold the pipes
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	stdout, stderr := &said{}, &said{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	what := "k0s " + strings.Join(args, " ")
	switch {
	case err == nil && stdout.over:
		return "", fmt.Errorf("%s: printed more than %d bytes", what, maxSaid)
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case bounded.Err() != nil:
		return "", fmt.Errorf("%s: no answer within %v: %w", what, limit, context.DeadlineExceeded)
	case cmd.Process == nil: // the error names the file
		return "", err
	}
	if last := lastLine(stderr.String()); last != "" {
		return stdout.String(), fmt.Errorf("%s: %s", what, strings.TrimPrefix(last, "Error: "))
	}
	return stdout.String(), fmt.Errorf("%s: %w", what, err)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// said keeps the first maxSaid bytes that a program says.
type said struct {
	bytes.Buffer
	over bool
}

var _ io.Writer = (*said)(nil)

func (s *said) Write(p []byte) (int, error) {
	room := maxSaid - s.Len()
	if len(p) <= room {
		return s.Buffer.Write(p)
	}
	s.over = true
	s.Buffer.Write(p[:room])
	return len(p), nil
}
