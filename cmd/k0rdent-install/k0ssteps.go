package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// configMode keeps k0s.yaml from others: it may hold the keys of a datastore.
const configMode = 0o600

func (i *installer) planK0sYAML(context.Context) (outcome, error) {
	r, err := hostfile.Plan(i.host.k0sConfig, configMode, i.yaml.merged)
	if err != nil {
		return outcome{}, err
	}
	if err := i.out.Write(r); err != nil {
		return outcome{}, err
	}
	if r.Status == record.StatusUnchanged {
		return unchanged("%s", i.host.k0sConfig), nil
	}
	i.show("k0s.yaml", i.yaml.changes)
	o := planned("%s: %s", i.host.k0sConfig, i.describeYAML())
	o.told = len(i.yaml.changes) > 0
	return o, nil
}

func (i *installer) describeYAML() string {
	if len(i.yaml.changes) == 0 {
		return "for its owner only"
	}
	return strings.Join(i.yaml.changes, "; ")
}

// show prints lines about a part of the plan, for people.
func (i *installer) show(what string, lines []string) {
	if i.cfg.Quiet {
		return
	}
	for _, line := range lines {
		fmt.Fprintf(i.progress, "%s: %s\n", what, line)
	}
}

// writeK0sYAML writes the configuration. A running k0s reads it when it
// starts again, which is noted before, so that a run which is killed in
// between leaves that to the next one.
func (i *installer) writeK0sYAML(context.Context) (outcome, error) {
	path := i.host.k0sConfig
	r, err := hostfile.Plan(path, configMode, i.yaml.merged)
	if err != nil {
		return outcome{}, err
	}
	if r.Status == record.StatusUnchanged {
		return unchanged("%s", path), i.out.Write(r)
	}
	backup, err := i.backup(path)
	if err != nil {
		return outcome{}, err
	}
	if i.k0s.running != nil && len(i.yaml.changes) > 0 {
		i.state.Restart = true
	}
	if _, err := i.put(path, configMode, i.yaml.merged, backup); err != nil {
		return outcome{}, err
	}
	return done("%s: %s", path, i.describeYAML()), nil
}

// backup keeps what somebody else wrote, and gives the name of the copy; ""
// if there is nothing of theirs. What was there before the first run is kept
// for good; later edits of theirs, under further names.
func (i *installer) backup(path string) (string, error) {
	have, err := hostfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := backupName(path)
	digest := digestOf(have)
	for n := 1; ; n++ {
		old, err := hostfile.Read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if f := i.state.file(path); f != nil && f.Digest == digest {
				return f.Backup, nil // it is ours
			}
			r, err := hostfile.Put(name, configMode, have)
			if err != nil {
				return "", err
			}
			return name, i.out.Write(r)
		case err != nil:
			return "", err
		case digestOf(old) == digest:
			return name, nil
		}
		name = fmt.Sprintf("%s.%d", backupName(path), n)
	}
}

// serviceArgs are those of `k0s install`.
func (i *installer) serviceArgs(role string, join bool) []string {
	args := []string{role}
	if role == k0s.RoleController {
		args = append(args, "--enable-worker", "--no-taints")
	}
	if join {
		args = append(args, "--token-file", strings.TrimPrefix(i.host.joinToken, i.host.root))
	}
	return args
}

func (i *installer) planService(ctx context.Context) (outcome, error) {
	return i.planRole(k0s.RoleController, false)
}

func (i *installer) installService(ctx context.Context) (outcome, error) {
	return i.installRole(ctx, k0s.RoleController, false)
}

func (i *installer) planRole(role string, join bool) (outcome, error) {
	s, err := i.k0s.service()
	if err != nil {
		return outcome{}, err
	}
	if s != nil {
		return unchanged("%s", s.Unit), nil
	}
	return planned("k0s install %s", strings.Join(i.serviceArgs(role, join), " ")), nil
}

// installRole makes k0s a service of the host.
func (i *installer) installRole(ctx context.Context, role string, join bool) (outcome, error) {
	s, err := i.k0s.service()
	if err != nil {
		return outcome{}, err
	}
	if s != nil {
		return unchanged("%s", s.Unit), nil
	}
	i.state.Service = role
	if err := i.state.save(); err != nil {
		return outcome{}, err
	}
	args := i.serviceArgs(role, join)
	if err := i.k0s.Install(ctx, args...); err != nil {
		return outcome{}, err
	}
	return done("k0s install %s", strings.Join(args, " ")), nil
}

func (i *installer) planStart(context.Context) (outcome, error) {
	switch {
	case i.k0s.running == nil:
		return planned("k0s start"), nil
	case i.state.Restart:
		return planned("k0s start"), nil
	case len(i.yaml.changes) > 0:
		return planned("k0s stop, k0s start: its configuration changes"), nil
	}
	return unchanged("k0s runs"), nil
}

// startService starts k0s, or starts it again if it runs with a configuration
// that is no more.
func (i *installer) startService(ctx context.Context) (outcome, error) {
	running, err := i.k0s.status(ctx)
	if err != nil && !errors.Is(err, k0s.ErrSilent) {
		return outcome{}, err
	}
	runs := running != nil || errors.Is(err, k0s.ErrSilent)
	if runs && !i.state.Restart {
		i.k0s.running = running
		return unchanged("k0s runs"), nil
	}
	what := "k0s start"
	if runs {
		what = "k0s stop, k0s start: its configuration has changed"
		if err := i.k0s.Stop(ctx); err != nil {
			return outcome{}, err
		}
	}
	i.started = time.Now()
	if err := i.k0s.Start(ctx); err != nil {
		return outcome{}, err
	}
	i.state.Restart = false
	return done("%s", what), i.state.save()
}

func (i *installer) planNode(ctx context.Context) (outcome, error) {
	if i.reach(ctx) {
		ctx, cancel := context.WithTimeout(ctx, glance)
		defer cancel()
		if i.cluster.WaitNode(ctx, i.node.name, i.started) == nil {
			return unchanged("node %s is Ready", i.node.name), nil
		}
	}
	return planned("wait until the Kubernetes API answers and node %s is Ready", i.node.name), nil
}

// waitNode waits for the API and for the node of this host.
func (i *installer) waitNode(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	if err := i.open(ctx, i.k0s.kubeconfig); err != nil {
		return outcome{}, err
	}
	if err := i.cluster.WaitAPI(ctx); err != nil {
		return outcome{}, i.lastWords(ctx, err)
	}
	if err := i.cluster.WaitNode(ctx, i.node.name, i.started); err != nil {
		return outcome{}, i.lastWords(ctx, err)
	}
	if i.started.IsZero() {
		return unchanged("node %s is Ready", i.node.name), nil
	}
	return done("node %s is Ready, k0s %v", i.node.name, i.k0s.version), nil
}

// bounded gives a context that ends when the time of --timeout is up.
func (i *installer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, i.start.Add(i.cfg.timeout))
}

// silence is after how long a k0s that does not come up is told of.
const silence = time.Minute

// open waits for the kubeconfig that k0s makes, and opens it. Nobody tells
// when it is there.
func (i *installer) open(ctx context.Context, kubeconfig func() string) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	warn := time.After(silence)
	for {
		if info, err := os.Stat(kubeconfig()); err == nil && info.Size() > 0 {
			c, err := cluster.Open(kubeconfig())
			if err == nil {
				i.cluster = c
				return nil
			}
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return i.lastWords(ctx, fmt.Errorf("k0s has not made %s", kubeconfig()))
		case <-warn:
			i.progress.Warn("k0s-ready: k0s has not made %s yet%s", kubeconfig(), i.said(ctx))
		case <-ticker.C:
		}
	}
}

// lastWords adds to an error what k0s itself said last.
func (i *installer) lastWords(ctx context.Context, err error) error {
	s, _ := i.k0s.service()
	if s == nil || errors.Is(err, cli.ErrInterrupted) {
		return err
	}
	return cli.Hint(fmt.Errorf("%w%s", err, i.said(ctx)), "see journalctl -u k0s%s", s.Role)
}

// said gives the last lines of the service's log, if the host has one.
func (i *installer) said(ctx context.Context) string {
	s, _ := i.k0s.service()
	journal, err := exec.LookPath("journalctl")
	if s == nil || err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var out bytes.Buffer // three lines of a journal, each at most 48 KiB
	cmd := exec.CommandContext(ctx, journal, "-u", "k0s"+s.Role, "-n", "3", "-o", "cat", "--no-pager", "-q")
	cmd.Stdout = &out
	if cmd.Run() != nil || out.Len() == 0 {
		return ""
	}
	lines := slices.DeleteFunc(strings.Split(out.String(), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	return "; k0s said last: " + strings.Join(lines, " | ")
}
