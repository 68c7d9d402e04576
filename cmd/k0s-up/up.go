package main

import (
	"cmp"
	"context"
	"io"
	"time"

	"k0rdent-airgap/cmd/k0s-up/kube"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/step"
)

// up is one run of the tool. Steps keep here what later steps need.
type up struct {
	step.Runner
	step.Problems
	cfg    *settings
	host   host
	stdin  io.Reader
	stderr io.Writer

	in    pipe.Site
	files []record.File // of other tools
	state *state
	node  node  // of this host
	site  *site // nil if no registry is needed
	k0s   program
	yaml  k0sYAML
	form  form // of k0s.yaml

	worker  bool    // the host is or becomes a worker
	member  bool    // it had joined before this run
	cgroup1 bool    // it uses cgroups v1
	balance bool    // k0s.yaml enables node-local load balancing
	removal removal // with --reset

	started time.Time    // when this run started k0s
	cluster *kube.Client // once k0s has created its kubeconfig
}

// run reads the records on stdin and runs the steps.
func (u *up) run(ctx context.Context) error {
	if err := pipe.Take(ctx, u.stdin, u.Out, u.Progress.Warn, u.takeRecord); err != nil {
		return err
	}
	u.Start = time.Now() // the tools before this one may have taken hours
	if err := u.prepare(ctx); err != nil {
		return err
	}
	// Creating a token changes nothing on this host, so it needs no lock.
	if !u.Plan && u.cfg.token == "" {
		release, err := lock(ctx, u.host.lock)
		if err != nil {
			return err
		}
		defer release()
		// Another run may have ended since these were read.
		if u.state, err = readState(u.host.state); err != nil {
			return err
		}
		if err := u.k0s.findService(); err != nil {
			return err
		}
		u.pin()
	}
	if !u.Plan && !u.cfg.reset && u.state.Removal != nil {
		u.state.Removal = nil // other controllers may join from now on
		if err := u.state.save(); err != nil {
			return err
		}
	}
	return u.Run(ctx, u.steps())
}

// takeRecord keeps what later steps need from a record.
func (u *up) takeRecord(line record.Line) error {
	var f record.File
	if line.Kind != f.Kind() {
		return u.in.Take(line)
	}
	err := line.Decode(&f)
	u.files = append(u.files, f)
	return err
}

// prepare determines what is known without asking the registry or the cluster.
func (u *up) prepare(ctx context.Context) error {
	c := u.cfg
	var err error
	if u.state, err = readState(u.host.state); err != nil {
		return err
	}
	u.k0s = program{Binary: k0s.Binary{Path: cmp.Or(c.k0s, u.host.k0s)}, host: u.host}
	near := u.in.At
	if c.At != "" {
		near, _ = ref.ParseSite(c.At) // checked with the flags
	}
	if u.node, err = findNode(ctx, c.api.address, near.Host); err != nil {
		return err
	}
	if err := u.k0s.findService(); err != nil {
		return err
	}
	u.worker = c.join == k0s.RoleWorker || c.upgrade && u.k0s.service != nil && u.k0s.service.Role == k0s.RoleWorker
	if c.reset || c.token != "" || c.online || (c.join != "" || u.worker) && c.At == "" && u.in.At.Host == "" && u.in.Registry == nil {
		return nil // no registry is needed
	}
	if u.site, err = u.openSite(); err == nil {
		u.pin()
	}
	return err
}

// pin sets the digests that tags must have, by earlier runs and the records.
func (u *up) pin() {
	if u.site != nil {
		u.site.pins = u.state.Pins.With(u.site.reg, u.in.Images)
	}
}

// steps returns the steps of the requested mode.
func (u *up) steps() []step.Step {
	switch c := u.cfg; {
	case c.reset:
		return u.resetSteps()
	case c.token != "":
		return u.tokenSteps()
	case c.join != "":
		return u.joinSteps()
	case c.upgrade:
		return u.upgradeSteps()
	}
	return []step.Step{
		{Name: "preflight", Run: u.preflight}, {Name: "notes", Run: u.note},
		{Name: "k0s.yaml", Run: u.configure}, {Name: "k0s-install", Run: u.install},
		{Name: "k0s-start", Run: u.start}, {Name: "k0s-ready", Run: u.waitNode},
	}
}

// preflight runs all checks and changes nothing.
func (u *up) preflight(ctx context.Context, _ bool) (step.Outcome, error) {
	u.checkSystem()
	u.checkMemory()
	u.checkName()
	u.checkK0s(ctx)
	if !u.worker {
		u.checkK0sYAML(ctx)
	}
	u.checkPorts()
	u.checkNetworks()
	u.checkRoutes()
	u.checkHardening(ctx)
	switch {
	case u.site != nil:
		u.checkSite(ctx)
	case u.cfg.online:
		if err := u.planBalance(ctx); err != nil {
			u.Fail("k0s.yaml", "", "%v", err)
		}
	}
	if ctx.Err() != nil {
		return step.Outcome{}, context.Cause(ctx)
	}
	return u.Report(&u.Problems)
}

// note saves which files other tools have written, so that --reset can remove them.
func (u *up) note(_ context.Context, do bool) (step.Outcome, error) {
	before := len(u.state.Files)
	u.state.take(u.files)
	if u.site != nil {
		u.state.Pins = u.site.pins
	}
	o := step.Unchanged("%s", u.state.path)
	if n := len(u.state.Files) - before; n > 0 {
		o = step.Changed(do, "list %s in %s", step.Count(n, "file of another tool", "files of other tools"), u.state.path)
	}
	if !do {
		return o, nil
	}
	return o, u.state.save()
}

// writeCluster writes the record of the cluster that this host is a controller of.
func (u *up) writeCluster() error {
	v := u.k0s.version
	r := record.Cluster{
		Kubeconfig: u.k0s.kubeconfig(), Node: u.node.name, Address: cmp.Or(u.yaml.API.Address, u.node.address.String()),
		K0s: v.String(), Kubernetes: v.Kubernetes(),
	}
	if u.Plan && u.k0s.running == nil {
		r.Status = record.StatusPlanned
	}
	return u.Out.Write(r)
}
