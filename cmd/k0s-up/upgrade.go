package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// upgradeSteps returns the steps that upgrade k0s.
func (u *up) upgradeSteps() []step.Step {
	steps := []step.Step{{Name: "preflight", Run: u.checkNew}, {Name: "notes", Run: u.note}}
	if !u.worker {
		steps = append(steps, step.Step{Name: "k0s.yaml", Run: u.configure})
	}
	return append(steps,
		step.Step{Name: "k0s-upgrade", Run: u.replace}, step.Step{Name: "k0s-start", Run: u.start}, step.Step{Name: "k0s-ready", Run: u.waitNode})
}

// checkNew runs the preflight for the new k0s, which is --k0s-from or already in
// place.
func (u *up) checkNew(ctx context.Context, do bool) (step.Outcome, error) {
	switch u.cfg.k0sFrom {
	case "":
	case u.k0s.Path:
		u.cfg.k0sFrom = ""
	default:
		u.k0s.Path = u.cfg.k0sFrom
	}
	return u.preflight(ctx, do)
}

// checkUpgrade compares the versions of the running and the new k0s.
func (u *up) checkUpgrade() {
	if u.k0s.running == nil || u.k0s.running.Version == "" {
		return
	}
	running, err := k0s.ParseVersion(u.k0s.running.Version)
	if err != nil {
		u.Fail("k0s", "", "the running k0s: %v", err)
		return
	}
	to := u.k0s.version
	switch {
	case to.Compare(running) < 0:
		u.Fail("k0s", "", "k0s %v is running, and Kubernetes cannot be downgraded to %v", running, to)
	case to.Minor > running.Minor+1:
		u.Warn("k0s", "from k0s %v to %v: Kubernetes supports upgrades by one minor version at a time", running, to)
	}
}

// replace stops k0s and replaces it. The next step starts it again.
func (u *up) replace(ctx context.Context, do bool) (step.Outcome, error) {
	installed := cmp.Or(u.cfg.k0s, u.host.k0s)
	other := false // --k0s-from differs from the installed k0s
	if u.cfg.k0sFrom != "" {
		have, err := k0s.Binary{Path: installed}.Version(ctx)
		other = err != nil || have.Compare(u.k0s.version) != 0
	}
	running := u.k0s.running
	outdated := running != nil && running.Version != "" && running.Version != u.k0s.version.String()
	if !other && !outdated {
		u.k0s.Path = installed
		return step.Unchanged("k0s %v", u.k0s.version), nil
	}
	detail := fmt.Sprintf("stop k0s and replace it with %s (%v)", u.cfg.k0sFrom, u.k0s.version)
	if !other {
		detail = fmt.Sprintf("stop k0s %s to start k0s %v", running.Version, u.k0s.version)
	}
	if !do {
		u.state.Restart = true // for the rest of this plan
		return step.Changed(do, "%s", detail), nil
	}
	if err := u.k0s.Stop(ctx); err != nil {
		return step.Outcome{}, err
	}
	if !other {
		return step.Changed(do, "%s", detail), nil
	}
	r, err := u.copyK0s(installed)
	if err != nil {
		return step.Outcome{}, err
	}
	u.k0s.Path = installed
	r.Version, r.Source = u.k0s.version.String(), u.cfg.k0sFrom
	return step.Changed(do, "%s is k0s %v", installed, u.k0s.version), u.Out.Write(r)
}

// copyK0s replaces the old program with the new one.
func (u *up) copyK0s(to string) (record.File, error) {
	from, err := os.Open(u.cfg.k0sFrom)
	if err != nil {
		return record.File{}, err
	}
	defer from.Close()
	f, err := hostfile.Create(to, 0o755)
	if err != nil {
		return record.File{}, err
	}
	defer f.Abort()
	if _, err := io.Copy(f, from); err != nil {
		return record.File{}, err
	}
	r, err := f.Commit()
	if err != nil {
		return r, err
	}
	u.state.own(to, r.Digest, "")
	return r, u.state.save()
}
