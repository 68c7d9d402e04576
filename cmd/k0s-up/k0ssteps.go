package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/cmd/k0s-up/kube"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// configMode makes k0s.yaml readable by its owner only: it may hold the password of
// a datastore.
const configMode = 0o600

// configure writes k0s.yaml. First it records that the file is ours, so that --reset
// knows it, and that a running k0s must be restarted to read it: the next run does that
// if this one is killed.
func (u *up) configure(_ context.Context, do bool) (step.Outcome, error) {
	path := u.host.k0sConfig
	r, err := hostfile.Plan(path, configMode, u.yaml.merged)
	if err != nil {
		return step.Outcome{}, err
	}
	if r.Status == record.StatusUnchanged {
		return step.Unchanged("%s", path), u.Out.Write(r)
	}
	o := step.Changed(do, "%s: %s", path, cmp.Or(strings.Join(u.yaml.changes, "; "), "for its owner only"))
	if !do {
		u.Show("k0s.yaml", u.yaml.changes)
		o.Shown = len(u.yaml.changes) > 0
		return o, u.Out.Write(r)
	}
	backup, err := u.backup(path)
	if err != nil {
		return step.Outcome{}, err
	}
	if u.k0s.running != nil && len(u.yaml.changes) > 0 {
		u.state.Restart = true
	}
	u.state.own(path, r.Digest, backup)
	if err := u.state.save(); err != nil {
		return step.Outcome{}, err
	}
	r, err = hostfile.Put(path, configMode, u.yaml.merged)
	return o, errors.Join(err, u.Out.Write(r))
}

// backup copies a file that others wrote or edited, and returns the name of the
// copy, or "" if the file does not exist or is ours. Each content gets its own
// copy; the one from before the first run is never replaced.
func (u *up) backup(path string) (string, error) {
	have, err := hostfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f := u.state.file(path); f != nil && f.Digest == digestOf(have) {
		return f.Backup, nil // it is ours
	}
	name := backupName(path)
	for n := 1; ; n++ {
		old, err := hostfile.Read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err != nil || bytes.Equal(old, have) {
			break
		}
		name = fmt.Sprintf("%s.%d", backupName(path), n)
	}
	r, err := hostfile.Put(name, configMode, have)
	if err != nil {
		return "", err
	}
	return name, u.Out.Write(r)
}

// backupName returns the name of the copy of the first k0s.yaml.
func backupName(path string) string { return path + ".before-k0rdent-install" }

// install installs k0s as a service, unless it is one.
func (u *up) install(ctx context.Context, do bool) (step.Outcome, error) {
	if s := u.k0s.service; s != nil {
		return step.Unchanged("%s", s.Unit), nil
	}
	args := []string{cmp.Or(u.cfg.join, k0s.RoleController)}
	if !u.worker {
		args = append(args, "--enable-worker", "--no-taints")
	}
	if u.cfg.join != "" {
		args = append(args, "--token-file", strings.TrimPrefix(u.host.joinToken, u.host.root))
	}
	o := step.Changed(do, "k0s install %s", strings.Join(args, " "))
	if !do {
		return o, nil
	}
	if err := u.k0s.Install(ctx, args...); err != nil {
		return step.Outcome{}, err
	}
	return o, u.k0s.findService()
}

// start starts k0s, or restarts it if its configuration has changed.
func (u *up) start(ctx context.Context, do bool) (step.Outcome, error) {
	if err := u.k0s.findRunning(ctx); err != nil {
		return step.Outcome{}, err
	}
	runs := u.k0s.running != nil
	restart := u.state.Restart || !do && len(u.yaml.changes) > 0
	if runs && !restart {
		return step.Unchanged("k0s is running"), nil
	}
	o := step.Changed(do, "k0s start")
	if runs {
		o = step.Changed(do, "k0s stop; k0s start, since its configuration has changed")
	}
	if !do {
		return o, nil
	}
	if runs {
		if err := u.k0s.Stop(ctx); err != nil {
			return step.Outcome{}, err
		}
	}
	u.started = time.Now()
	if err := u.k0s.Start(ctx); err != nil {
		return step.Outcome{}, err
	}
	u.state.Restart = false
	return o, u.state.save()
}

// probeTime bounds the attempt to reach a cluster that may not exist.
const probeTime = 10 * time.Second

// reach opens the running cluster, and reports whether its API answers.
func (u *up) reach(ctx context.Context) bool {
	if u.k0s.running == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := kube.Open(u.k0s.kubeconfig())
	if err != nil || c.WaitAPI(ctx) != nil {
		return false
	}
	u.cluster = c
	return true
}

// waitNode waits for the API and for this host's node. A worker has only the kubelet's
// kubeconfig, which lets a node read itself; a controller that joined has it before the
// administrator's. If the host is the cluster's first controller or is upgraded, the
// record of the cluster is written.
func (u *up) waitNode(ctx context.Context, do bool) (step.Outcome, error) {
	if u.worker || u.cfg.join != "" {
		return u.wait(ctx, do, u.k0s.kubeletConfig)
	}
	o, err := u.wait(ctx, do, u.k0s.kubeconfig)
	if err == nil {
		err = u.writeCluster()
	}
	return o, err
}

func (u *up) wait(ctx context.Context, do bool, kubeconfig func() string) (step.Outcome, error) {
	ready := step.Unchanged("node %s is Ready", u.node.name)
	if !do {
		if u.reach(ctx) {
			ctx, cancel := context.WithTimeout(ctx, probeTime)
			defer cancel()
			if u.cluster.WaitNode(ctx, u.node.name, u.started) == nil {
				return ready, nil
			}
		}
		return step.Changed(do, "wait until the Kubernetes API answers and node %s is Ready", u.node.name), nil
	}
	err := u.await(ctx, "k0s-ready", func(ctx context.Context, shown *cli.Wait) error {
		if err := u.open(ctx, kubeconfig); err != nil {
			return err
		}
		shown.For("the Kubernetes API")
		if err := u.cluster.WaitAPI(ctx); err != nil {
			return err
		}
		shown.For("node " + u.node.name)
		return u.cluster.WaitNode(ctx, u.node.name, u.started)
	})
	switch {
	case err != nil:
		return step.Outcome{}, err
	case u.started.IsZero():
		return ready, nil
	case u.cfg.join != "":
		return step.Changed(do, "node %s is Ready as a %s", u.node.name, u.cfg.join), nil
	}
	return step.Changed(do, "node %s is Ready, k0s %v", u.node.name, u.k0s.version), nil
}

// warnAfter is how long k0s may take to create its kubeconfig before a warning.
const warnAfter = time.Minute

// open waits for the kubeconfig that k0s creates, and opens it.
func (u *up) open(ctx context.Context, kubeconfig func() string) error {
	warn := time.Now().Add(warnAfter)
	for {
		if info, err := os.Stat(kubeconfig()); err == nil && info.Size() > 0 {
			if c, err := kube.Open(kubeconfig()); err == nil {
				u.cluster = c
				return nil
			}
		}
		if !kube.Sleep(ctx, 500*time.Millisecond) {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("k0s has not created %s", kubeconfig())
		}
		if !warn.IsZero() && time.Now().After(warn) {
			warn = time.Time{}
			u.Progress.Warn("k0s-ready: k0s has not created %s yet%s", kubeconfig(), u.journal(ctx))
		}
	}
}

// withLog adds the last lines of k0s's log to an error.
func (u *up) withLog(ctx context.Context, err error) error {
	if u.k0s.service == nil || errors.Is(err, cli.ErrInterrupted) {
		return err
	}
	return cli.Hint(fmt.Errorf("%w%s", err, u.journal(ctx)), "see journalctl -u k0s%s", u.k0s.service.Role)
}

// journal returns the last lines of the service's journal, or "".
func (u *up) journal(ctx context.Context) string {
	if u.k0s.service == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// Three lines of a journal, each at most 48 KiB.
	out, err := exec.CommandContext(ctx, "journalctl", "-u", "k0s"+u.k0s.service.Role, "-n", "3", "-o", "cat", "--no-pager", "-q").Output()
	if err != nil || len(out) == 0 {
		return ""
	}
	lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	return "; last lines of its log: " + strings.Join(lines, " | ")
}
