package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// push runs everything from the connection to the registry to the summary.
func push(ctx context.Context, cfg *config, mem *memory, operand string, stdin io.Reader, stdout, stderr io.Writer) error {
	progress, out, log := cfg.Open("oci-push", stdout, stderr)
	defer progress.Close()
	i := &input{operand: operand, stdin: stdin, bundle: pipe.Bundle{Path: operand}, sel: newSelection(cfg.aliases, progress.Waiting)}
	defer i.reading.Wait() // nothing is written once this returns
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	reg, from, err := cfg.registries(log, progress)
	if err != nil {
		return err
	}
	i.from = from
	if cfg.to.SkipVerify {
		progress.Warn("the certificate of %s is not checked: anyone on the network path can read and change what is sent", reg.Host())
	}
	i.in = pipe.Reader{Out: out, Own: ownKinds(operand == "" && from == nil), Wait: pipe.Waiting(progress.Warn, stdout),
		Optional: from == nil && len(cfg.aliases) > 0}
	i.guard = cfg.guard(operand, stdin, out, progress)
	ctx, stop, err := i.guard.Begin(ctx)
	defer stop()
	if err != nil {
		return err
	}
	if err := i.promise(ctx, cfg.verifiedBy, abort); err != nil {
		return err
	}
	if operand == "" && from == nil {
		record.AcceptRest(stdin)
		i.reading.Go(func() { i.sel.read(ctx, i.in, stdin) }) // ends with stdin or the run
		defer context.AfterFunc(ctx, i.sel.wake)()
		// A bad verdict on the bundle must end the run before it
		// connects to the registry.
		if _, err := i.sel.nextBundle(ctx); err != nil {
			return err
		}
	}
	if err := connect(ctx, reg, from); err != nil {
		return err
	}
	p := &pusher{
		cfg: cfg, reg: reg, mem: mem, progress: progress, log: log,
		up:        newUploader(reg, cfg, log, abort),
		results:   newResults(out, progress, i.sel),
		published: make(map[string]string),
		files:     make(map[string]bool),
		survey:    survey{found: make(map[string]bool), served: make(map[string]bool)},
	}
	return progress.Final(p.results.close(ctx, p.send(ctx, i)))
}

// ownKinds are the kinds of records that a run replaces with its own: files only
// if it pushes what the records name.
func ownKinds(pushes bool) []string {
	own := []string{record.Image{}.Kind(), record.Rest{}.Kind()}
	if pushes {
		own = append(own, record.File{}.Kind())
	}
	return own
}

// input is where what is pushed comes from.
type input struct {
	operand  string
	stdin    io.Reader
	in       pipe.Reader      // of records on stdin
	reading  sync.WaitGroup   // what writes these records
	from     *client.Registry // nil unless registries are copied
	bundle   pipe.Bundle
	sel      *selection
	guard    *pipe.Guard
	promised promise
	passed   func() error // waits for the records that a run passes on, but does not use
}

// promise finds out what must hold of the bundle before a tag appears.
func (i *input) promise(ctx context.Context, verifiedBy string, abort context.CancelCauseFunc) error {
	undecided, err := i.guard.Open()
	if err != nil {
		return err
	}
	if undecided {
		i.promised = func(ctx context.Context, _ *bundle.Bundle) error { return i.guard.Settle(ctx) }
	}
	if verifiedBy == "" {
		return nil
	}
	v, err := i.readVerdict(ctx, verifiedBy, abort)
	if err != nil {
		return err
	}
	i.bundle.Hash = true
	if verifiedBy == "-" {
		i.passed = v.passed
	}
	i.promised = func(ctx context.Context, open *bundle.Bundle) error { return i.bundle.Named(v.keeps(ctx, open)) }
	return nil
}

// send pushes or copies what there is, then the aliases.
func (p *pusher) send(ctx context.Context, i *input) (err error) {
	switch {
	case i.from != nil && i.operand == "-":
		err = p.copySelected(ctx, i.from, i.in, i.stdin)
	case i.from != nil:
		if err = i.guard.Settle(ctx); err == nil {
			err = p.copyAll(ctx, i.from)
		}
	case i.operand == "":
		err = p.selected(ctx, i.sel)
	default:
		err = p.everything(ctx, i.bundle, i.stdin, i.promised)
	}
	p.up.wg.Wait() // images that were complete before an error are still published
	if err == nil {
		err = i.guard.Settle(ctx)
	}
	if err == nil && i.passed != nil {
		err = i.passed()
	}
	if err == nil && ctx.Err() == nil {
		err = p.pushAliases(ctx)
	}
	if ctx.Err() == nil {
		err = cmp.Or(err, p.checkPlatforms())
	}
	return err
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
