package main

import (
	"context"
	"os/exec"

	"k0rdent-airgap/lib/cli"
)

// await calls wait with what is left of --timeout, counted from the start of the
// run, and shows a live line meanwhile.
func (u *up) await(ctx context.Context, name string, wait func(context.Context, *cli.Wait) error) error {
	ctx, cancel := context.WithDeadline(ctx, u.Start.Add(u.cfg.timeout))
	defer cancel()
	shown := u.Progress.Await(name, "k0s", u.Start, u.cfg.timeout, u.logCommand())
	defer shown.Done()
	if err := wait(ctx, shown); err != nil {
		return u.withLog(ctx, err)
	}
	return nil
}

// logCommand returns the command that shows what k0s does, or "".
func (u *up) logCommand() string {
	if _, err := exec.LookPath("journalctl"); u.k0s.service == nil || err != nil {
		return ""
	}
	return "journalctl -fu k0s" + u.k0s.service.Role
}
