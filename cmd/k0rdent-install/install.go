package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	kyaml "sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/config"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// host holds the paths of this host's files.
type host struct {
	config     string // file
	kubeconfig string // the administrator's, if this host is a controller
	data       string // of k0s
	proc       string
	arch       string // as in GOARCH
}

// hostBelow returns a host whose files are below root; "" is this host.
func hostBelow(root string) host {
	return host{
		config: root + config.Path, kubeconfig: root + k0s.AdminConfig, data: root + k0s.DataDir, proc: "/proc", arch: runtime.GOARCH,
	}
}

// installer is one run of the tool. Steps keep here what later steps need.
type installer struct {
	step.Runner
	step.Problems
	cfg    *settings
	host   host
	stdin  io.Reader
	stderr io.Writer

	in        pipe.Site
	node      record.Cluster  // from k0s-up; empty without a record
	failed    error           // of an earlier tool in the pipe
	bundle    *record.Version // the last one
	signature string          // of the bundle, from bundle-verify
	push      *record.Summary // of oci-push
	site      *site

	cluster *cluster.Cluster // nil until it answers
	version string           // of its Kubernetes

	release *release
	needs   []chart.Need // of the platform
	demand  chart.Demand // of the platform's pods
	reached *cluster.State
}

// run reads the records on stdin and runs the steps.
func (i *installer) run(ctx context.Context, stdout io.Writer) error {
	if err := pipe.Take(ctx, i.stdin, i.Out, i.Progress.Warn, i.takeRecord); err != nil {
		return err
	}
	if i.failed != nil {
		return i.failed
	}
	i.Start = time.Now() // the tools before this one may have taken hours
	if i.cfg.uninstall {
		return i.Run(ctx, i.uninstallSteps())
	}
	var err error
	if i.site, err = i.openSite(); err != nil {
		return err
	}
	if i.cfg.printValues {
		return i.printValues(ctx, stdout)
	}
	if i.cfg.rehearse {
		return i.rehearse(ctx)
	}
	platform := step.Step{Name: "helm", Run: i.helm}
	if i.cfg.upgrade {
		platform = step.Step{Name: "upgrade", Run: i.upgrade}
	}
	return i.Run(ctx, []step.Step{
		{Name: "preflight", Run: i.preflight}, {Name: "secrets", Run: i.ensureSecrets}, platform,
		{Name: "ready", Run: i.ready}, {Name: "credentials", Run: i.ensureCredentials},
		{Name: "report", Run: i.report, Still: func() bool { return i.reached != nil }},
	})
}

// takeRecord keeps what later steps need from a record.
func (i *installer) takeRecord(line record.Line) error {
	switch line.Kind {
	case record.Version{}.Kind():
		var v record.Version
		err := line.Decode(&v)
		if v.Type == "" { // the platform's own
			i.bundle = &v
		}
		return err
	case record.Bundle{}.Kind():
		var b record.Bundle
		if err := line.Decode(&b); err != nil {
			return err
		}
		i.signature = b.Signature
	case record.Summary{}.Kind():
		var s record.Summary
		if err := line.Decode(&s); err != nil {
			return err
		}
		if s.Tool == "oci-push" {
			i.push = &s
		}
	case record.Cluster{}.Kind():
		i.node = record.Cluster{}
		return line.Decode(&i.node)
	case record.Step{}.Kind():
		var s record.Step
		if err := line.Decode(&s); err != nil {
			return err
		}
		if s.Status == record.StatusFailed && i.failed == nil {
			i.failed = cli.Hint(fmt.Errorf("an earlier tool in the pipe failed at step %s", s.Name), "fix the error above, then run the command again")
		}
	}
	return i.in.Take(line)
}

// printValues prints the chart's values as YAML, for --values or for helm.
func (i *installer) printValues(ctx context.Context, stdout io.Writer) error {
	if err := i.site.reg.Connect(ctx); err != nil {
		return fmt.Errorf("registry %s: %w", i.site.at, err)
	}
	if err := i.reach(ctx); err != nil {
		i.Log.Debug("no cluster", "error", err)
	}
	if err := i.loadRelease(ctx); err != nil {
		return err
	}
	for _, n := range i.release.notes {
		if n.Warning {
			i.Progress.Warn("%s: %s", cmp.Or(n.Value, "values"), n.Text)
		}
	}
	if f := i.release.k0sFinding; f.Check != "" {
		i.Progress.Warn("%s: %s", f.Check, f.Detail)
		if f.Remedy != "" {
			i.Progress.Hint(f.Remedy)
		}
	}
	text, err := kyaml.Marshal(i.release.values)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "# %s %s from %s\n%s", i.release.chart.Name(), i.release.chart.Version(), i.site.at, text)
	return err
}
