package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// push runs everything from the connection to the registry to the summary.
func push(ctx context.Context, cfg *config, mem *memory, operand string, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	progress := cli.NewProgress("oci-push", stderr, cfg.Quiet)
	defer progress.Close()
	log := cli.Logger(progress, cfg.Verbose)
	reg, from, err := cfg.registries(log, progress)
	if err != nil {
		return err
	}
	if cfg.skipVerify {
		progress.Warn("the certificate of %s is not checked: anyone on the network path can read and change what is sent", reg.Host())
	}
	out := record.NewWriter(progress.Beside(stdout), cfg.format)
	in := pipe.Reader{Out: out, Own: []string{record.Image{}.Kind(), record.Rest{}.Kind()}, Wait: pipe.Waiting(progress.Warn, stdout),
		Optional: from == nil && len(cfg.aliases) > 0}
	guard := cfg.guard(operand, stdin, out, progress)
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	b := pipe.Bundle{Path: operand}
	var promised promise
	undecided, err := guard.Open()
	if err != nil {
		return err
	}
	if undecided {
		promised = func(ctx context.Context, _ *bundle.Bundle) error { return guard.Settle(ctx) }
	}
	if cfg.verifiedBy != "" {
		v, err := readVerdict(ctx, cfg.verifiedBy, stdin, out, abort)
		if err != nil {
			return err
		}
		b.Hash = true
		promised = func(ctx context.Context, open *bundle.Bundle) error { return b.Named(v.keeps(ctx, open)) }
	}
	sel := newSelection(cfg.aliases, progress.Waiting)
	if operand == "" && from == nil {
		record.AcceptRest(stdin)
		go sel.read(ctx, in, stdin) // ends with stdin or the run
		// A bad verdict on the bundle must end the run before it
		// connects to the registry.
		defer sel.watch(ctx)()
		if _, err := sel.nextBundle(ctx); err != nil {
			return err
		}
	}
	if err := connect(ctx, reg, from); err != nil {
		return err
	}
	p := &pusher{
		cfg: cfg, reg: reg, mem: mem, progress: progress, log: log,
		up:        newUploader(reg, cfg, log, abort),
		results:   newResults(out, progress, sel.total, sel.unlisted, cfg.aliases),
		published: make(map[string]string),
		aliasers:  make(map[string]*copier),
	}
	switch {
	case from != nil && operand == "-":
		err = p.copySelected(ctx, from, in, stdin)
	case from != nil:
		if err = guard.Settle(ctx); err == nil {
			err = p.copyAll(ctx, from)
		}
	case operand == "":
		err = p.selected(ctx, sel)
	default:
		err = p.everything(ctx, b, stdin, promised)
	}
	p.up.wg.Wait() // images that were complete before an error are still published
	if err == nil {
		err = guard.Settle(ctx)
	}
	if err == nil && ctx.Err() == nil {
		err = p.pushAliases(ctx)
	}
	if ctx.Err() == nil {
		err = cmp.Or(err, p.checkPlatforms())
	}
	return progress.Final(p.results.close(ctx, err))
}

// connect connects and logs in to the registries.
func connect(ctx context.Context, registries ...*client.Registry) error {
	for _, r := range registries {
		if r == nil {
			continue
		}
		if err := r.Connect(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("registry %s: %w", r.Host(), err)
		}
	}
	if ctx.Err() != nil { // the cause matters more than its consequences
		return context.Cause(ctx)
	}
	return nil
}
