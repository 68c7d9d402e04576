// One file: the steps that bring the platform up, in their order.

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// glance bounds what a plan asks of a cluster that may be there.
const glance = 10 * time.Second

// reach opens the cluster for a plan; false if there is none yet.
func (i *installer) reach(ctx context.Context) bool {
	if i.k0s.running == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	c, err := cluster.Open(i.k0s.kubeconfig())
	if err != nil || c.WaitAPI(ctx) != nil {
		return false
	}
	i.cluster = c
	return true
}

// secretsStep makes the Secrets by which the platform reaches the registry.
// They come before the chart: its controller waits for them.
func (i *installer) secretsStep() step {
	names := func(secrets []cluster.Secret) string {
		var all []string
		for _, s := range secrets {
			all = append(all, s.Name)
		}
		return namespace + ": " + strings.Join(all, ", ")
	}
	return step{
		name: "secrets",
		plan: func(ctx context.Context) (outcome, error) {
			secrets, err := i.secrets()
			if err != nil || len(secrets) == 0 {
				return skipped("the registry asks for none"), err
			}
			o := planned("%s", names(secrets))
			if !i.reach(ctx) {
				return o, nil
			}
			o.status = record.StatusUnchanged
			for _, s := range secrets {
				status, err := i.cluster.PlanSecret(ctx, s)
				if err != nil {
					return outcome{}, err
				}
				if status != cluster.Unchanged {
					o.status = record.StatusPlanned
				}
			}
			return o, nil
		},
		run: func(ctx context.Context) (outcome, error) {
			ctx, cancel := i.bounded(ctx)
			defer cancel()
			secrets, err := i.secrets()
			if err != nil || len(secrets) == 0 {
				return skipped("the registry asks for none"), err
			}
			became, err := i.cluster.EnsureNamespace(ctx, namespace)
			if err != nil {
				return outcome{}, err
			}
			o := unchanged("%s", names(secrets))
			for _, s := range secrets {
				status, err := i.cluster.EnsureSecret(ctx, s)
				if err != nil {
					return outcome{}, err
				}
				if status != cluster.Unchanged || became != cluster.Unchanged {
					o.status = record.StatusDone
				}
			}
			return o, nil
		},
	}
}

// secrets lists those that the chart's values name.
func (i *installer) secrets() ([]cluster.Secret, error) {
	var all []cluster.Secret
	if i.cfg.online {
		return nil, nil
	}
	if len(i.site.ca) > 0 {
		all = append(all, cluster.CASecret(caSecret, i.site.ca))
	}
	if i.cfg.username == "" {
		return all, nil
	}
	password, err := textfile.Password(i.cfg.passwordFile)
	if err != nil {
		return nil, cli.Misuse("--password-file: %w", err)
	}
	pull, err := cluster.PullSecret(pullSecret, i.site.host, i.cfg.username, password)
	return append(all, cluster.CredsSecret(credsSecret, i.cfg.username, password), pull), err
}

func (i *installer) planHelm(ctx context.Context) (outcome, error) {
	r := i.release
	name := r.chart.Name() + " " + r.chart.Version()
	if i.reach(ctx) {
		ch, err := r.chart.Helm()
		if err != nil {
			return outcome{}, err
		}
		p, err := i.cluster.PlanChart(ctx, ch, r.values)
		if err != nil {
			return outcome{}, err
		}
		i.show("values", changed(p.Changes))
		if p.Status == cluster.Unchanged {
			return unchanged("%s", name), nil
		}
		if p.Have != "" {
			return planned("%s: %s, %s", name, p.Status, plural(len(p.Changes), "value changes", "values change")), nil
		}
	}
	text, err := kyaml.Marshal(r.values)
	if err != nil {
		return outcome{}, err
	}
	i.show("values", strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	return planned("%s is installed", name), nil
}

func changed(changes []cluster.Change) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	return lines
}

// helm installs the chart, or brings what is installed to these values.
func (i *installer) helm(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	r := i.release
	ch, err := r.chart.Helm()
	if err != nil {
		return outcome{}, err
	}
	p, err := i.cluster.InstallChart(ctx, ch, r.values, cluster.Options{
		Timeout: i.cfg.helmTimeout, Atomic: i.cfg.atomic,
		Warn: func(text string) { i.progress.Warn("helm: %s", text) },
	})
	if err != nil {
		return outcome{}, err
	}
	i.show("values", changed(p.Changes))
	name := r.chart.Name() + " " + r.chart.Version()
	if p.Status == cluster.Unchanged {
		return unchanged("%s", name), nil
	}
	if len(p.Changes) > 0 {
		return done("%s %s, %s changed", name, p.Status, plural(len(p.Changes), "value", "values")), nil
	}
	return done("%s %s", name, p.Status), nil
}

func (i *installer) planReady(ctx context.Context) (outcome, error) {
	if i.reach(ctx) && !i.willChange() {
		if state, err := i.cluster.State(ctx); err == nil && state.Ready() {
			return unchanged("release %s, version %s, %s", state.Release, state.Version, plural(len(state.Components), "component", "components")), nil
		}
	}
	return planned("wait until Management/kcm is Ready"), nil
}

// ready waits for the platform. Components are told as they come.
func (i *installer) ready(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	waited := false
	state, err := i.cluster.WaitReady(ctx, cluster.Watcher{
		Component: func(c cluster.Component) {
			text := "component " + c.Name + " is ready"
			if !c.Ready {
				waited = true
				text = "component " + c.Name + ": " + orText(c.Error, "not ready yet")
			}
			i.log.Info(text)
			if c.Ready && !i.cfg.Quiet {
				fmt.Fprintf(i.progress, "ready: %s\n", text)
			}
		},
		Missing: func(text string) {
			i.log.Info(text)
			if !i.cfg.Quiet {
				fmt.Fprintf(i.progress, "ready: %s\n", text)
			}
		},
		Stalled: func(idle time.Duration, problems []cluster.Problem) {
			i.progress.Warn("ready: nothing has happened for %v", idle.Round(time.Second))
			for n, p := range problems {
				if n == 5 {
					break
				}
				i.progress.Warn("ready: %v", p)
			}
		},
	})
	if err != nil {
		return outcome{}, err
	}
	i.reached = state
	o := unchanged("release %s, version %s, %s", state.Release, state.Version, plural(len(state.Components), "component", "components"))
	if waited || i.changedPlatform() {
		o.status = record.StatusDone
	}
	return o, nil
}

// changedPlatform tells whether a step of this run has changed the platform.
func (i *installer) changedPlatform() bool {
	for _, t := range i.taken {
		if (t.step.Name == "helm" || t.step.Name == "upgrade") && t.step.Status == record.StatusDone {
			return true
		}
	}
	return false
}

// willChange tells whether a step of this plan would change anything.
func (i *installer) willChange() bool {
	return slices.ContainsFunc(i.taken, func(t taken) bool { return t.step.Status == record.StatusPlanned })
}

// credentialsStep makes the logins to clouds.
func (i *installer) credentialsStep() step {
	return step{
		name: "credentials",
		plan: func(context.Context) (outcome, error) {
			all, err := i.credentials()
			if err != nil || len(all) == 0 {
				return skipped("none are given"), err
			}
			return planned("%s", credentialNames(all)), nil
		},
		run: i.ensureCredentials,
	}
}

func credentialNames(all []cluster.Credential) string {
	var names []string
	for _, c := range all {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

func (i *installer) ensureCredentials(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	all, err := i.credentials()
	if err != nil || len(all) == 0 {
		return skipped("none are given"), err
	}
	o := unchanged("%s", credentialNames(all))
	var failures []error
	for _, c := range all {
		status, note, err := i.cluster.EnsureCredential(ctx, c)
		switch {
		case err != nil:
			failures = append(failures, err)
		case status == cluster.Skipped:
			failures = append(failures, fmt.Errorf("%v: %s", c, note))
		case status != cluster.Unchanged:
			o.status = record.StatusDone
		}
	}
	return o, errors.Join(failures...)
}

// credentials gives those that were asked for, in the cluster's terms.
func (i *installer) credentials() ([]cluster.Credential, error) {
	found, err := i.cfg.readCredentials()
	if err != nil {
		return nil, err
	}
	var all []cluster.Credential
	for _, c := range found.AWS {
		all = append(all, cluster.AWS{
			Name: c.Name, Region: c.Region,
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.text(), SessionToken: c.SessionToken.text(),
		})
	}
	for _, c := range found.Azure {
		all = append(all, cluster.Azure{
			Name: c.Name, SubscriptionID: c.SubscriptionID,
			ClientID: c.ClientID, ClientSecret: c.ClientSecret.text(), TenantID: c.TenantID,
		})
	}
	for _, c := range found.OpenStack {
		all = append(all, cluster.OpenStack{
			Name: c.Name, AuthURL: c.AuthURL, Region: c.Region,
			ApplicationCredentialID: c.ApplicationCredentialID, ApplicationCredentialSecret: c.ApplicationCredentialSecret.text(),
			Username: c.Username, Password: c.Password.text(), ProjectName: c.ProjectName, DomainName: c.DomainName,
		})
	}
	return all, nil
}
