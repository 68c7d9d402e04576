package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/lib/textfile"
)

// tokenSteps returns the steps that create a token for another host.
func (u *up) tokenSteps() []step.Step {
	return []step.Step{{Name: "preflight", Run: u.checkController}, {Name: "token", Run: u.makeToken}}
}

// checkController returns an error unless this host runs a controller that others
// can join.
func (u *up) checkController(ctx context.Context, _ bool) (step.Outcome, error) {
	if err := u.k0s.findRunning(ctx); err != nil {
		return step.Outcome{}, err
	}
	const hint = "create the token on a controller of the cluster"
	running := u.k0s.running
	switch {
	case running == nil:
		return step.Outcome{}, cli.Hint(errors.New("k0s is not running on this host"), hint)
	case running.Role == "":
		return step.Outcome{}, k0s.ErrSilent
	case running.Role == k0s.RoleWorker:
		return step.Outcome{}, cli.Hint(errors.New("this host is a worker"), hint)
	case running.SingleNode:
		return step.Outcome{}, errors.New("k0s runs with --single, so no other host can join it")
	}
	if u.cfg.token == k0s.RoleController {
		if err := u.checkBalanced(); err != nil {
			return step.Outcome{}, err
		}
	}
	return step.Unchanged("k0s %s runs as a %s", running.Version, running.Role), nil
}

// checkBalanced returns an error if nodes would not use a second controller.
func (u *up) checkBalanced() error {
	path := u.configPath()
	text, err := textfile.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	spec, err := parseSpec(text)
	if err == nil {
		err = spec.balanced()
	}
	if err != nil {
		return cli.Hint(fmt.Errorf("%s: %w", path, err), balanceHint)
	}
	return nil
}

// makeToken has k0s create a token, and writes it to a file for its owner only.
func (u *up) makeToken(ctx context.Context, do bool) (step.Outcome, error) {
	path := cmp.Or(u.cfg.tokenFile, filepath.Join(u.host.state, u.cfg.token+"-token"))
	if !do {
		return step.Changed(do, "%s: for a %s, valid for %v", path, u.cfg.token, u.cfg.expiry), nil
	}
	text, t, err := u.k0s.CreateToken(ctx, u.cfg.token, u.cfg.expiry)
	if err != nil {
		return step.Outcome{}, err
	}
	r, err := hostfile.Put(path, 0o600, append(text, '\n'))
	if err != nil {
		return step.Outcome{}, err
	}
	r.Digest = "" // it is a secret
	return step.Changed(do, "%s: joins %s as a %s, valid for %v", path, t.Server, t.Role, u.cfg.expiry), u.Out.Write(r)
}
