package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/step"
	"k0rdent-airgap/lib/textfile"
)

// newRelease returns the Release object of the new version, from --release-file or
// from the chart with which the platform would create it.
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
			return nil, fmt.Errorf("--release-file %s has version %s, but the chart has version %s", i.cfg.releaseFile, r.Version(), want)
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
	return nil, errors.New("chart kcm-templates contains no Release")
}

// upgrade upgrades the platform to the new Release.
func (i *installer) upgrade(ctx context.Context, do bool) (step.Outcome, error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	r, err := i.newRelease(ctx)
	if err != nil {
		return step.Outcome{}, err
	}
	var p *cluster.UpgradePlan
	switch {
	case i.cluster == nil:
		return step.Changed(do, "upgrade to release %s, once the cluster answers", r.Name()), nil
	case do:
		defer i.await("upgrade", "release "+r.Name(), i.Start, i.cfg.timeout, "get management kcm -o yaml")()
		p, err = i.cluster.Upgrade(ctx, r, i.release.values, func(text string) { i.Progress.Warn("upgrade: %s", text) })
	default:
		p, err = i.cluster.PlanUpgrade(ctx, r, i.release.values)
	}
	if err != nil {
		return step.Outcome{}, err
	}
	i.Show("values", p.Changes)
	if p.Status == cluster.Unchanged {
		return step.Unchanged("release %s", p.Have), nil
	}
	return step.Changed(do, "%s", describeUpgrade(p)), nil
}

func describeUpgrade(p *cluster.UpgradePlan) string {
	values := step.Count(len(p.Changes), "value changes", "values change")
	s := fmt.Sprintf("release %s to %s, %s", p.Have, p.Want, values)
	if p.Have == p.Want {
		s = fmt.Sprintf("release %s, %s", p.Want, values)
	}
	if len(p.New) > 0 {
		s += "; new providers, which Management does not enable: " + strings.Join(p.New, ", ")
	}
	return s
}
