package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// upgradeSteps brings k0s and then the platform to what the registry has. On
// a worker there is k0s only.
func (i *installer) upgradeSteps() []step {
	s, _ := i.k0s.service()
	p := &preflight{installer: i, upgrade: true, worker: s != nil && s.Role == k0s.RoleWorker, join: s != nil && s.Role == k0s.RoleWorker}
	check := func(ctx context.Context) (outcome, error) {
		p.findNewK0s()
		return p.check(ctx)
	}
	steps := []step{{name: "preflight", plan: check, run: check}, i.notesStep()}
	if !p.worker {
		steps = append(steps, step{name: "k0s.yaml", plan: i.planK0sYAML, run: i.writeK0sYAML})
	}
	steps = append(steps,
		step{name: "k0s-upgrade", plan: i.planReplace, run: i.replaceK0s},
		step{name: "k0s-start", plan: i.planStart, run: i.startService},
	)
	if p.worker {
		i.cfg.join = k0s.RoleWorker
		return append(steps, step{name: "k0s-ready", plan: i.planNode, run: i.waitJoined})
	}
	return append(steps,
		step{name: "k0s-ready", plan: i.planNode, run: i.waitNode},
		i.secretsStep(),
		step{name: "upgrade", plan: i.planUpgrade, run: i.upgrade},
		step{name: "ready", plan: i.planReady, run: i.ready},
		i.credentialsStep(),
		i.reportStep(),
	)
}

// findNewK0s has the checks look at the k0s that is to be, which k0s-extract
// has put somewhere, or already in place.
func (p *preflight) findNewK0s() {
	if p.cfg.k0sFrom == "" {
		return
	}
	if p.cfg.k0sFrom == p.k0s.Path {
		p.cfg.k0sFrom = ""
		return
	}
	p.k0s.Path = p.cfg.k0sFrom
}

// checkUpgrade compares the k0s that runs with the one that is to be.
func (p *preflight) checkUpgrade() {
	if p.k0s.running == nil || p.k0s.running.Version == "" {
		return
	}
	running, err := k0s.ParseVersion(p.k0s.running.Version)
	if err != nil {
		p.fail("k0s", "", "the k0s that runs: %v", err)
		return
	}
	to := p.k0s.version
	switch {
	case to.Compare(running) < 0:
		p.fail("k0s", "", "k0s %v runs: Kubernetes cannot go back to %v", running, to)
	case to.Minor > running.Minor+1:
		p.warn("k0s", "from k0s %v to %v: Kubernetes is made to be upgraded by one minor version at a time", running, to)
	}
}

// mustReplace tells whether another k0s than the installed one was named.
func (i *installer) mustReplace(ctx context.Context) (bool, error) {
	if i.cfg.k0sFrom == "" {
		return false, nil
	}
	have, err := k0s.Binary{Path: orText(i.cfg.k0s, i.host.k0s)}.Version(ctx)
	return err != nil || have.Compare(i.k0s.version) != 0, nil
}

// outdated tells whether the k0s that runs is another than the one on disk.
func (i *installer) outdated() bool {
	r := i.k0s.running
	return r != nil && r.Version != "" && r.Version != i.k0s.version.String()
}

func (i *installer) planReplace(ctx context.Context) (outcome, error) {
	replace, err := i.mustReplace(ctx)
	switch {
	case err != nil:
		return outcome{}, err
	case replace:
		i.state.Restart = true // as far as this plan goes
		return planned("stop k0s, put %s (%v) in its place", i.cfg.k0sFrom, i.k0s.version), nil
	case i.outdated():
		i.state.Restart = true
		return planned("stop k0s %s, for k0s %v", i.k0s.running.Version, i.k0s.version), nil
	}
	return unchanged("k0s %v", i.k0s.version), nil
}

// replaceK0s stops k0s and puts another in its place. The next step starts
// what does not run.
func (i *installer) replaceK0s(ctx context.Context) (outcome, error) {
	replace, err := i.mustReplace(ctx)
	if err != nil {
		return outcome{}, err
	}
	installed := orText(i.cfg.k0s, i.host.k0s)
	if !replace && !i.outdated() {
		i.k0s.Path = installed
		return unchanged("k0s %v", i.k0s.version), nil
	}
	if err := i.k0s.Stop(ctx); err != nil {
		return outcome{}, err
	}
	if !replace {
		return done("k0s %s is stopped, for k0s %v", i.k0s.running.Version, i.k0s.version), nil
	}
	r, err := i.copyK0s(installed)
	if err != nil {
		return outcome{}, err
	}
	i.k0s.Path = installed
	r.Version, r.Source = i.k0s.version.String(), i.cfg.k0sFrom
	return done("%s is k0s %v", installed, i.k0s.version), i.out.Write(r)
}

// copyK0s puts the new program in place of the old one.
func (i *installer) copyK0s(to string) (record.File, error) {
	from, err := os.Open(i.cfg.k0sFrom)
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
	i.state.own(to, r.Digest, "")
	return r, i.state.save()
}

// newRelease gives the Release object of the version that is wanted: of the
// file that was named, else of the chart with which the platform would make it.
func (i *installer) newRelease(ctx context.Context) (*cluster.Release, error) {
	if i.cfg.releaseFile != "" {
		text, err := textfile.Read(i.cfg.releaseFile)
		if err != nil {
			return nil, cli.Misuse("--release-file: %w", err)
		}
		r, err := cluster.ParseRelease(text)
		if err != nil {
			return nil, cli.Misuse("--release-file %s: %w", i.cfg.releaseFile, err)
		}
		if want := i.release.chart.Version(); strings.TrimPrefix(r.Version(), "v") != strings.TrimPrefix(want, "v") {
			return nil, fmt.Errorf("--release-file %s is of version %s, and the chart of %s", i.cfg.releaseFile, r.Version(), want)
		}
		return r, nil
	}
	const templates = "kcm-templates"
	repository := chartRepository(i.cfg.chart)
	repository = repository[:strings.LastIndexByte(repository, '/')+1] + templates
	c, err := i.fetchChart(ctx, repository, i.release.chart.Version())
	if err != nil {
		return nil, err
	}
	objects, err := c.Render(map[string]any{"createRelease": true}, i.release.site, chart.FirstPass)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.Kind() != "Release" {
			continue
		}
		text, err := kyaml.Marshal(o.Content)
		if err != nil {
			return nil, err
		}
		return cluster.ParseRelease(text)
	}
	return nil, errors.New("chart kcm-templates has no Release in it")
}

func (i *installer) planUpgrade(ctx context.Context) (outcome, error) {
	r, err := i.newRelease(ctx)
	if err != nil {
		return outcome{}, err
	}
	if !i.reach(ctx) {
		return planned("release %s, when the cluster answers", r.Name()), nil
	}
	p, err := i.cluster.PlanUpgrade(ctx, r, i.release.values)
	if err != nil {
		return outcome{}, err
	}
	i.show("values", changed(p.Changes))
	if p.Status == cluster.Unchanged {
		return unchanged("release %s", p.Have), nil
	}
	return planned("%s", describeUpgrade(p)), nil
}

// upgrade brings the platform to the new Release.
func (i *installer) upgrade(ctx context.Context) (outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	r, err := i.newRelease(ctx)
	if err != nil {
		return outcome{}, err
	}
	p, err := i.cluster.Upgrade(ctx, r, i.release.values, func(text string) { i.progress.Warn("upgrade: %s", text) })
	if err != nil {
		return outcome{}, err
	}
	i.show("values", changed(p.Changes))
	if p.Status == cluster.Unchanged {
		return unchanged("release %s", p.Have), nil
	}
	return done("%s", describeUpgrade(p)), nil
}

func describeUpgrade(p *cluster.UpgradePlan) string {
	values := plural(len(p.Changes), "value changes", "values change")
	s := fmt.Sprintf("release %s to %s, %s", p.Have, p.Want, values)
	if p.Have == p.Want {
		s = fmt.Sprintf("release %s, %s", p.Want, values)
	}
	if len(p.New) > 0 {
		s += "; new providers, which Management does not enable: " + strings.Join(p.New, ", ")
	}
	return s
}
