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

// uninstallSteps removes the platform from the cluster.
func (i *installer) uninstallSteps() []step.Step {
	return []step.Step{{Name: "preflight", Run: i.confirm}, {Name: "platform", Run: i.remove}}
}

// confirm finds out what there is and asks, except with --yes.
func (i *installer) confirm(ctx context.Context, do bool) (step.Outcome, error) {
	err := i.reach(ctx)
	switch {
	case errors.Is(err, errNoCluster):
		return step.Unchanged("there is no cluster: %s does not exist", i.kubeconfig()), nil
	case err != nil:
		return step.Outcome{}, cli.Hint(err, "start the cluster; or remove it with all that is in it: k0s-up --reset")
	}
	o := step.Unchanged("Kubernetes %s, %s", i.version, i.kubeconfig())
	if i.cfg.yes || !do {
		return o, nil
	}
	return o, cli.Confirm(ctx, i.stdin, i.stderr, fmt.Sprintf("%s: %s.\nRemove k0rdent from this cluster?", tool, o.Detail))
}

// remove has the platform remove what it has installed, since some of that may
// be outside the cluster. While it manages child clusters, nothing is removed.
func (i *installer) remove(ctx context.Context, do bool) (step.Outcome, error) {
	what := "Management, and the Helm release " + cluster.ReleaseName
	switch {
	case i.cluster == nil:
		return step.Unchanged("it is not installed"), nil
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
		return step.Outcome{}, cli.Hint(err, "to remove the cluster with the platform as it is: k0s-up --reset --ignore platform")
	case err != nil:
		return step.Outcome{}, err
	case status == cluster.Unchanged && !secrets:
		return step.Unchanged("it is not installed"), nil
	}
	return step.Changed(do, "%s", what), nil
}
