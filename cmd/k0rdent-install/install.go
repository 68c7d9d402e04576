package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/ref"
)

// run does what was asked for, between the records that came and the summary.
func (i *installer) run(ctx context.Context, stdout io.Writer) error {
	if err := i.readRecords(ctx, i.stdin); err != nil {
		return err
	}
	i.start = time.Now() // the tools before this one may have taken hours
	if err := i.prepare(ctx); err != nil {
		return err
	}
	if i.cfg.printValues {
		return i.printValues(ctx, stdout)
	}
	// A token changes nothing on this host, so it need not wait for another run.
	if !i.cfg.plan && i.cfg.token == "" {
		release, err := lock(ctx, i.host.lock)
		if err != nil {
			return err
		}
		defer release()
		// What another run has done meanwhile counts.
		if i.state, err = readState(i.host.state); err != nil {
			return err
		}
		i.pin()
	}
	if !i.cfg.plan && !i.cfg.uninstall && i.state.Removal != nil {
		i.state.Removal = nil // from here on the host may get company
		if err := i.state.save(); err != nil {
			return err
		}
	}
	err := i.work(ctx)
	i.progress.Close()
	return errors.Join(err, i.summary())
}

// prepare finds out what needs no question to anybody else.
func (i *installer) prepare(ctx context.Context) error {
	c := i.cfg
	var err error
	if i.state, err = readState(i.host.state); err != nil {
		return err
	}
	i.k0s = program{Binary: k0s.Binary{Path: orText(c.k0s, i.host.k0s)}, host: i.host}
	near := i.in.at
	if c.registry != "" {
		near, _ = ref.ParseSite(c.registry) // checked with the flags
	}
	if i.node, err = findNode(ctx, c.api.address, near.Host); err != nil {
		return err
	}
	if c.uninstall || c.token != "" || c.join != "" && c.registry == "" && i.in.at.Host == "" && i.in.registry == nil {
		return nil // nothing is asked of a registry
	}
	if i.site, err = i.openSite(); err == nil {
		i.pin()
	}
	return err
}

// pin holds the registry to what earlier runs and the records have said of it.
// The public registries are their vendors' own.
func (i *installer) pin() {
	if i.site != nil && !i.cfg.online {
		i.site.pins = pinsOf(i.state.Pins, i.in.images, i.site)
	}
}

// work does the steps of what was asked for.
func (i *installer) work(ctx context.Context) error {
	c := i.cfg
	switch {
	case c.uninstall:
		return i.steps(ctx, i.uninstallSteps())
	case c.token != "":
		return i.steps(ctx, i.tokenSteps())
	case c.join != "":
		return i.steps(ctx, i.joinSteps())
	case c.upgrade:
		return i.steps(ctx, i.upgradeSteps())
	}
	return i.steps(ctx, i.installSteps())
}

// installSteps takes a host to the platform being ready.
func (i *installer) installSteps() []step {
	p := &preflight{installer: i}
	steps := []step{{name: "preflight", plan: p.check, run: p.check}, i.notesStep()}
	if i.cfg.online {
		steps = append(steps, i.downloadStep())
	}
	steps = append(steps, i.k0sSteps()...)
	return append(steps,
		i.secretsStep(),
		step{name: "helm", plan: i.planHelm, run: i.helm},
		step{name: "ready", plan: i.planReady, run: i.ready},
		i.credentialsStep(),
		i.reportStep(),
	)
}

// k0sSteps takes a host with k0s on disk to a node that is Ready.
func (i *installer) k0sSteps() []step {
	return []step{
		{name: "k0s.yaml", plan: i.planK0sYAML, run: i.writeK0sYAML},
		{name: "k0s-install", plan: i.planService, run: i.installService},
		{name: "k0s-start", plan: i.planStart, run: i.startService},
		{name: "k0s-ready", plan: i.planNode, run: i.waitNode},
	}
}

// notesStep notes what the tools before this one have written, so that it can
// be taken away again.
func (i *installer) notesStep() step {
	note := func(save bool) (outcome, error) {
		before := len(i.state.Files)
		i.state.take(i.in.files)
		i.state.Registry = ""
		if i.site != nil && !i.cfg.online {
			i.state.Registry, i.state.Pins = i.site.at, i.site.pins
		}
		if r := i.in.registry; r != nil && r.Storage != "" {
			i.state.Storage = r.Storage
		}
		o := unchanged("%s", i.state.path)
		if n := len(i.state.Files) - before; n > 0 {
			o = done("%d files of other tools are noted in %s", n, i.state.path)
		}
		if !save {
			if o.status != unchanged("").status {
				o = planned("%s", o.detail)
			}
			return o, nil
		}
		return o, i.state.save()
	}
	return step{
		name: "notes",
		plan: func(context.Context) (outcome, error) { return note(false) },
		run:  func(context.Context) (outcome, error) { return note(true) },
	}
}

// printValues shows the values for the chart, for a file that --values takes
// or for helm.
func (i *installer) printValues(ctx context.Context, stdout io.Writer) error {
	if err := i.site.reg.Connect(ctx); err != nil {
		return fmt.Errorf("registry %s: %w", i.site.at, err)
	}
	if v, err := i.k0s.Version(ctx); err == nil {
		i.k0s.version = v
	}
	if err := i.loadRelease(ctx); err != nil {
		return err
	}
	for _, n := range i.release.notes {
		if n.Warning {
			i.progress.Warn("%s: %s", orText(n.Value, "values"), n.Text)
		}
	}
	text, err := kyaml.Marshal(i.release.values)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "# %s %s from %s\n%s", i.release.chart.Name(), i.release.chart.Version(), i.site.at, text)
	return err
}

// backupName is where the k0s.yaml is kept that was there before ours.
func backupName(path string) string {
	return filepath.Join(filepath.Dir(path), filepath.Base(path)+".before-k0rdent-install")
}
