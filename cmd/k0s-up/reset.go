package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// resetSteps returns the steps that undo an installation, in reverse order. A step
// that finds nothing to do succeeds, so a half-installed host ends up clean, too.
func (u *up) resetSteps() []step.Step {
	return []step.Step{
		{Name: "preflight", Run: u.confirm}, {Name: "drain", Run: u.drain}, {Name: "k0s-leave", Run: u.leave},
		{Name: "k0s-stop", Run: u.stop}, {Name: "node", Run: u.removeNode}, {Name: "k0s-reset", Run: u.reset},
		{Name: "files", Run: u.removeFiles}, {Name: "notes", Run: u.forget},
	}
}

// checkReset determines what may be removed.
func (u *up) checkReset(ctx context.Context) (step.Outcome, error) {
	if os.Geteuid() != 0 {
		return step.Outcome{}, cli.Hint(fmt.Errorf("must run as root (uid is %d)", os.Geteuid()), "run it with sudo, or as root")
	}
	f, err := u.gather(ctx)
	if err != nil {
		return step.Outcome{}, err
	}
	if u.removal, err = f.decide(); err != nil {
		return step.Outcome{}, err
	}
	u.Note("%s; %s", u.removal.describe(f.running), step.Count(len(u.state.Files), "file to remove or restore", "files to remove or restore"))
	if err := u.checkPlatform(ctx); err != nil {
		return step.Outcome{}, err
	}
	o, err := u.Report(&u.Problems)
	if u.removal.Stays {
		o.Cluster = "stays"
	}
	return o, err
}

// checkPlatform refuses to remove a cluster on which k0rdent is installed: k0rdent
// may have created things outside the cluster that nothing else removes.
func (u *up) checkPlatform(ctx context.Context) error {
	if u.removal.Role != k0s.RoleController || u.removal.Stays || !u.reach(ctx) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	installed, err := u.cluster.Platform(ctx)
	switch {
	case errors.Is(context.Cause(ctx), cli.ErrInterrupted):
		return context.Cause(ctx)
	case err != nil:
		u.Warn("platform", "cannot determine whether k0rdent is installed: %v", err)
	case installed && u.Plan:
		u.Warn("platform", "k0rdent is installed in this cluster; remove it first with k0rdent-install --uninstall")
	case installed:
		u.Fail("platform", "remove it with k0rdent-install --uninstall; or add --ignore platform, which leaves behind what it created outside the cluster", "k0rdent is installed in this cluster")
	}
	return nil
}

// confirm asks for confirmation, except with --yes.
func (u *up) confirm(ctx context.Context, do bool) (step.Outcome, error) {
	o, err := u.checkReset(ctx)
	if err != nil || u.cfg.yes || !do {
		return o, err
	}
	what := "Remove the cluster on this host with all of its data"
	if u.removal.Stays {
		what = "Remove this host from its cluster, and k0s with its data from this host"
	}
	return o, cli.Confirm(ctx, u.stdin, u.stderr, fmt.Sprintf("%s: %s.\n%s?", tool, o.Detail, what))
}

func (u *up) stop(ctx context.Context, do bool) (step.Outcome, error) {
	o := step.Unchanged("k0s is not running")
	if u.k0s.running != nil {
		o = step.Changed(do, "k0s stop")
	}
	if !do || u.k0s.running == nil && u.k0s.service == nil || u.k0s.missing {
		return o, nil
	}
	u.state.Removal = &u.removal // neither etcd nor the API answers once k0s is stopped
	if err := u.state.save(); err != nil {
		return step.Outcome{}, err
	}
	return o, u.k0s.Stop(ctx) // even if k0s does not answer: it may be about to start
}

// leftovers reports whether this host has a service or data of k0s.
func (u *up) leftovers() bool {
	return u.k0s.findService() != nil || u.k0s.service != nil || u.kept("")
}

func (u *up) reset(ctx context.Context, do bool) (step.Outcome, error) {
	switch {
	case !u.leftovers():
		return step.Unchanged("k0s is not on this host"), nil
	case !do:
		return step.Changed(do, "k0s reset: remove its service, %s and all containers", u.host.data), nil
	case u.k0s.missing:
		return step.Outcome{}, u.noK0s()
	}
	return step.Changed(do, "k0s reset; reboot the host to clear leftover network state"), u.k0s.Reset(ctx)
}

// forget removes the state file and tokens.
func (u *up) forget(_ context.Context, do bool) (step.Outcome, error) {
	if _, err := os.Stat(u.state.path); !do {
		if errors.Is(err, fs.ErrNotExist) {
			return step.Unchanged("no state file"), nil
		}
		return step.Changed(do, "%s", u.state.path), nil
	}
	o := step.Unchanged("no state file")
	for _, path := range []string{
		u.state.path, u.host.joinToken,
		filepath.Join(u.host.state, k0s.RoleWorker+"-token"), filepath.Join(u.host.state, k0s.RoleController+"-token"),
	} {
		r, err := hostfile.Remove(path)
		if err != nil {
			return step.Outcome{}, err
		}
		if r.Status != record.StatusRemoved {
			continue
		}
		if err := u.Out.Write(r); err != nil {
			return step.Outcome{}, err
		}
		o = step.Changed(do, "%s", u.state.path)
	}
	os.Remove(u.host.state) // unless it is not empty
	return o, nil
}
