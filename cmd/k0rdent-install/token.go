package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/textfile"
)

// tokenSteps makes a token for another host.
func (i *installer) tokenSteps() []step {
	path := orText(i.cfg.tokenFile, filepath.Join(i.host.state, i.cfg.token+"-token"))
	check := func(ctx context.Context) (outcome, error) {
		running, err := i.k0s.status(ctx)
		switch {
		case err != nil:
			return outcome{}, err
		case running == nil:
			return outcome{}, cli.Hint(errors.New("no k0s runs here"), "make the token on a controller of the cluster")
		case running.Role == k0s.RoleWorker:
			return outcome{}, cli.Hint(errors.New("this host is a worker"), "make the token on a controller of the cluster")
		case running.SingleNode:
			return outcome{}, errors.New("k0s runs with --single, which nobody can join")
		}
		if i.cfg.token == k0s.RoleController {
			if err := i.checkBalanced(); err != nil {
				return outcome{}, err
			}
		}
		return unchanged("k0s %s runs as a %s", running.Version, running.Role), nil
	}
	return []step{
		{name: "preflight", plan: check, run: check},
		{
			name: "token",
			plan: func(context.Context) (outcome, error) {
				return planned("%s: for a %s, good for %v", path, i.cfg.token, i.cfg.expiry), nil
			},
			run: func(ctx context.Context) (outcome, error) { return i.makeToken(ctx, path) },
		},
	}
}

// checkBalanced refuses a token for a controller that would carry no traffic.
func (i *installer) checkBalanced() error {
	s, err := i.k0s.service()
	if err != nil {
		return err
	}
	text, err := textfile.Read(i.configPath(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := k0s.Balanced(text); err != nil {
		return cli.Hint(fmt.Errorf("%s: %w", i.configPath(s), err), balanceHint)
	}
	return nil
}

// makeToken has k0s make a token, and writes it to a file for its owner only.
func (i *installer) makeToken(ctx context.Context, path string) (outcome, error) {
	text, t, err := i.k0s.CreateToken(ctx, i.cfg.token, i.cfg.expiry)
	if err != nil {
		return outcome{}, err
	}
	r, err := hostfile.Put(path, 0o600, append(text, '\n'))
	if err != nil {
		return outcome{}, err
	}
	r.Digest = "" // of a secret nobody needs it
	if err := i.out.Write(r); err != nil {
		return outcome{}, err
	}
	return done("%s: joins %s as a %s, good for %v", path, t.Server, t.Role, i.cfg.expiry), nil
}
