package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/lib/textfile"
)

// bounded returns a context whose deadline is set by --timeout.
func (i *installer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, i.Start.Add(i.cfg.timeout))
}

// await shows a live line with what a step waits for and a kubectl command to
// inspect it, until done is called.
func (i *installer) await(name, what string, since time.Time, limit time.Duration, look string) (done func()) {
	return i.Progress.Await(name, what, since, limit, i.kubectl()+" "+look).Done
}

// ensureSecrets creates the Secrets with which the platform reaches the registry,
// and the one with the digests of what was pushed. The chart's controller waits for
// them.
func (i *installer) ensureSecrets(ctx context.Context, do bool) (step.Outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	secrets, err := i.secrets()
	if err != nil || len(secrets) == 0 {
		return step.Skipped("the registry requires none"), err
	}
	change := i.cluster == nil
	ensure := i.cluster.PlanSecret
	if do {
		ensure = i.cluster.EnsureSecret
		if _, err := i.cluster.EnsureNamespace(ctx, namespace); err != nil {
			return step.Outcome{}, err
		}
	}
	var names []string
	for _, s := range secrets {
		names = append(names, s.Name)
		if i.cluster == nil {
			continue
		}
		status, err := ensure(ctx, s)
		if err != nil {
			return step.Outcome{}, err
		}
		change = change || status != cluster.Unchanged
	}
	detail := namespace + ": " + strings.Join(names, ", ")
	if !change {
		return step.Unchanged("%s", detail), nil
	}
	return step.Changed(do, "%s", detail), nil
}

// secrets returns the Secrets that the chart's values name, and the one of the pins.
func (i *installer) secrets() ([]cluster.Secret, error) {
	var all []cluster.Secret
	if i.cfg.online {
		return nil, nil
	}
	if len(i.site.ca) > 0 {
		all = append(all, cluster.CASecret(caSecret, i.site.ca))
	}
	if len(i.site.pins) > 0 {
		text, err := json.Marshal(i.site.pins)
		if err != nil {
			return nil, err
		}
		all = append(all, cluster.Secret{Name: pinsSecret, Type: "Opaque", Data: map[string][]byte{pinsKey: text}})
	}
	if i.cfg.Username == "" {
		return all, nil
	}
	password, err := textfile.Password(i.cfg.PasswordFile)
	if err != nil {
		return nil, cli.Misuse("--password-file: %w", err)
	}
	pull, err := cluster.PullSecret(pullSecret, i.site.host, i.cfg.Username, password)
	return append(all, cluster.CredsSecret(credsSecret, i.cfg.Username, password), pull), err
}

// helm installs the chart, or sets the values of an installed one.
func (i *installer) helm(ctx context.Context, do bool) (step.Outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	r := i.release
	name := r.chart.Name() + " " + r.chart.Version()
	ch, err := r.chart.Helm()
	if err != nil {
		return step.Outcome{}, err
	}
	var p *cluster.Plan
	if do {
		defer i.await("helm", name, time.Now(), i.cfg.helmTimeout, "get pods -n "+namespace)()
	}
	switch {
	case do:
		p, err = i.cluster.InstallChart(ctx, ch, r.values, cluster.Options{
			Timeout: i.cfg.helmTimeout, Atomic: i.cfg.atomic,
			Warn: func(text string) { i.Progress.Warn("helm: %s", text) },
		})
	case i.cluster != nil:
		p, err = i.cluster.PlanChart(ctx, ch, r.values)
	}
	if err != nil {
		return step.Outcome{}, err
	}
	if p == nil || !do && p.Have == "" {
		text, err := kyaml.Marshal(r.values)
		if err != nil {
			return step.Outcome{}, err
		}
		i.Show("values", strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
		return step.Changed(do, "install %s", name), nil
	}
	i.Show("values", p.Changes)
	switch {
	case p.Status == cluster.Unchanged:
		return step.Unchanged("%s", name), nil
	case len(p.Changes) > 0:
		return step.Changed(do, "%s %s, %s", name, p.Status, step.Count(len(p.Changes), "value changes", "values change")), nil
	}
	return step.Changed(do, "%s %s", name, p.Status), nil
}

// ready waits until the platform is ready, and reports each component.
func (i *installer) ready(ctx context.Context, do bool) (step.Outcome, error) {
	if !do {
		if i.cluster != nil && !i.Did(record.StatusPlanned) {
			if state, err := i.cluster.State(ctx); err == nil && state.Ready() {
				return step.Unchanged("%s", describeState(state)), nil
			}
		}
		return step.Changed(do, "wait until Management/kcm is Ready"), nil
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	waited := false
	say := func(text string) {
		i.Log.Info(text)
		if !i.Quiet {
			fmt.Fprintf(i.Progress, "ready: %s\n", text)
		}
	}
	defer i.await("ready", "Management/kcm", i.Start, i.cfg.timeout, "get management kcm -o yaml")()
	state, err := i.cluster.WaitReady(ctx, cluster.Watcher{
		Component: func(c cluster.Component) {
			if c.Ready {
				say("component " + c.Name + " is ready")
				return
			}
			waited = true
			i.Log.Info("component " + c.Name + ": " + cmp.Or(c.Error, "not ready yet"))
		},
		Missing: say,
		Stalled: func(idle time.Duration, problems []cluster.Problem) {
			i.Progress.Warn("ready: no progress for %v", idle.Round(time.Second))
			for _, p := range problems[:min(5, len(problems))] {
				i.Progress.Warn("ready: %v", p)
			}
		},
	})
	if err != nil {
		return step.Outcome{}, err
	}
	i.reached = state
	if waited || i.Did(record.StatusDone, "helm", "upgrade") {
		return step.Changed(do, "%s", describeState(state)), nil
	}
	return step.Unchanged("%s", describeState(state)), nil
}

func describeState(s *cluster.State) string {
	return fmt.Sprintf("release %s, version %s, %s", s.Release, s.Version, step.Count(len(s.Components), "component", "components"))
}

func credentialNames(all []cluster.Credential) string {
	var names []string
	for _, c := range all {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

// ensureCredentials creates the cloud credentials.
func (i *installer) ensureCredentials(ctx context.Context, do bool) (step.Outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	found, err := i.cfg.readCredentials()
	all := found.logins()
	if err != nil || len(all) == 0 {
		return step.Skipped("no credentials are given"), err
	}
	if !do {
		return step.Changed(do, "%s", credentialNames(all)), nil
	}
	o := step.Unchanged("%s", credentialNames(all))
	var failures []error
	for _, c := range all {
		status, note, err := i.cluster.EnsureCredential(ctx, c)
		switch {
		case err != nil:
			failures = append(failures, err)
		case status == cluster.Skipped:
			failures = append(failures, fmt.Errorf("%v: %s", c, note))
		case status != cluster.Unchanged:
			o.Status = record.StatusDone
		}
	}
	return o, errors.Join(failures...)
}
