package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/step"
)

// uninstallSteps returns the steps that remove the platform from the cluster.
func (i *installer) uninstallSteps() []step.Step {
	return []step.Step{{Name: "preflight", Run: i.confirm}, {Name: "platform", Run: i.remove}}
}

// confirm reaches the cluster and asks for confirmation, except with --yes.
func (i *installer) confirm(ctx context.Context, do bool) (step.Outcome, error) {
	err := i.reach(ctx)
	switch {
	case errors.Is(err, errNoCluster):
		return step.Unchanged("no cluster: %s does not exist", i.kubeconfig()), nil
	case err != nil:
		return step.Outcome{}, cli.Hint(err, "start the cluster, or remove it with everything in it: k0s-up --reset")
	}
	o := step.Unchanged("Kubernetes %s, %s", i.version, i.kubeconfig())
	if i.cfg.yes || !do {
		return o, nil
	}
	return o, cli.Confirm(ctx, i.stdin, i.stderr, fmt.Sprintf("%s: %s.\nRemove k0rdent from this cluster?", tool, o.Detail))
}

// remove has the platform remove what it has installed, some of which may be outside
// the cluster. It removes nothing while the platform manages child clusters.
func (i *installer) remove(ctx context.Context, do bool) (step.Outcome, error) {
	what := "remove Management and the Helm release " + cluster.ReleaseName
	if do {
		what = "removed Management and the Helm release " + cluster.ReleaseName
	}
	switch {
	case i.cluster == nil:
		return step.Unchanged("k0rdent is not installed"), nil
	case !do:
		return step.Changed(do, "%s", what), nil
	}
	defer i.await("platform", "k0rdent to remove what it installed", time.Now(), i.cfg.helmTimeout, "get management kcm -o yaml")()
	bounded, cancel := context.WithTimeout(ctx, i.cfg.helmTimeout)
	defer cancel()
	status, err := i.cluster.Uninstall(bounded, i.cfg.helmTimeout, func(text string) { i.Progress.Warn("platform: %s", text) })
	secrets := false
	if err == nil {
		secrets, err = i.cluster.RemoveSecrets(bounded, caSecret, credsSecret, pullSecret, pinsSecret)
	}
	switch {
	case err != nil && cli.HintOf(err) == "" && !errors.Is(err, cli.ErrInterrupted):
		return step.Outcome{}, cli.Hint(err, "to remove the whole cluster instead: k0s-up --reset --ignore platform")
	case err != nil:
		return step.Outcome{}, err
	case status == cluster.Unchanged && !secrets:
		return step.Unchanged("k0rdent is not installed"), nil
	}
	return step.Changed(do, "%s", what), nil
}
