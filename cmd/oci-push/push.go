package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// pusher reads bundles and passes their contents to the uploader.
type pusher struct {
	cfg      *config
	reg      *client.Registry
	up       *uploader
	mem      *memory
	results  *results
	progress *cli.Progress
	log      *slog.Logger

	published map[string]string // digest by reference, of this run
	files     map[string]bool   // names of the files of this run
	survey    survey            // the images of this run
	keep      keep              // what --platform leaves of each entry
	gate      *gate             // of the current bundle
}

// everything pushes the whole contents of a bundle, under the names of the
// reference rules.
func (p *pusher) everything(ctx context.Context, b pipe.Bundle, stdin io.Reader, promised promise) error {
	err := p.walk(ctx, b, stdin, promised, func(ctx context.Context, _ *bundle.Bundle, v visited) error {
		if v.problem != nil {
			p.survey.wanted++
			p.results.fail(record.Image{Bundle: b.Path, Entry: v.path}, v.problem)
			return nil
		}
		return p.entry(ctx, b.Path, v.entry, nil)
	})
	if err == nil && p.survey.wanted+p.survey.leftOut == 0 {
		return b.Empty()
	}
	return err
}

// errUnread marks images of a bundle whose error the run reports.
var errUnread = errors.New("not pushed: the bundle could not be read to its end")

// selected pushes what the records request, bundle by bundle. An unreadable
// bundle does not prevent the others from being pushed; its images fail, and
// one line says why.
func (p *pusher) selected(ctx context.Context, sel *selection) error {
	var failed error
	for {
		path, err := sel.nextBundle(ctx)
		if err != nil {
			return err
		}
		if path == "" {
			return failed
		}
		b := sel.bundle(path)
		c := &chosen{pusher: p, sel: sel, path: path, seen: make(map[string]bool), listing: oci.Listing{Bundle: path}}
		var promised promise
		if b.Digest != "" {
			promised = b.Check
		}
		err = p.walk(ctx, b, nil, promised, c.visit)
		if err == nil && c.rest && c.images == 0 {
			err = b.Empty()
		}
		if err != nil {
			if failed == nil {
				failed = err
			} else if ctx.Err() == nil {
				p.progress.Problem(path, err)
			}
			for _, image := range sel.abandon(ctx, path) {
				p.results.fail(image, errUnread)
			}
			continue
		}
		missing, again := sel.leave(path, c.seen)
		for _, image := range missing {
			p.results.fail(image, errors.New("the bundle has no such entry"))
		}
		if again {
			p.log.Debug("reading the bundle again for records that came late", "bundle", path)
		}
	}
}

// visited is an entry that a walk has reached.
type visited struct {
	index   int
	path    string
	entry   *bundle.Entry // nil if it was refused
	problem error         // why
}

// visit handles one entry of an open bundle. Its error ends the run.
type visit func(context.Context, *bundle.Bundle, visited) error

// walk reads a bundle once. With a promise, nothing is published before the
// whole bundle has been found to match it.
func (p *pusher) walk(ctx context.Context, b pipe.Bundle, stdin io.Reader, promised promise, do visit) (err error) {
	if p.keep, err = p.scan(ctx, b.Path); err != nil {
		return err
	}
	p.gate = nil
	if promised != nil {
		p.gate = newGate()
	}
	open, err := b.Open(ctx, stdin)
	if err != nil {
		return err
	}
	defer open.Close()
	// The uploads read from the bundle, so they end before it is closed; the
	// images among them end only after the gate's decision.
	defer p.up.wg.Wait()
	defer func() { p.gate.decide(err == nil) }()
	err = p.read(ctx, b, open, do)
	if err == nil && promised != nil {
		err = promised(ctx, open)
	}
	return err
}

// read is walk on an open bundle.
func (p *pusher) read(ctx context.Context, want pipe.Bundle, b *bundle.Bundle, do visit) error {
	at := b.Offset
	if b.Format == bundle.FormatDir || b.Format == bundle.FormatTar {
		at = p.up.sent.Load
	}
	p.progress.Start("pushing", b.Size, at)
	index := 0
	for e, err := range b.Entries(ctx) {
		v := visited{index: index, entry: e}
		switch {
		case errors.Is(err, bundle.ErrEntry): // refused for its name or kind; the rest is read
			v.path, v.problem = pipe.Refused(err)
		case err != nil:
			return want.Named(err)
		default:
			v.path = e.Path
		}
		if err := do(ctx, b, v); err != nil {
			return err
		}
		index++
	}
	return nil
}

// entry pushes the images of one entry: those that records request or, without
// any, all of them under their own names. The error ends the run; an error of
// the entry alone becomes a record.
func (p *pusher) entry(ctx context.Context, path string, e *bundle.Entry, names []record.Image) error {
	p.progress.Doing(e.Path)
	if isFile(e, names) {
		return p.file(ctx, path, e, names)
	}
	guess := guessRepository(path, e, names)
	archive, err := p.archive(ctx, e, guess)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = p.images(ctx, path, e, archive, guess, names)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	p.unusable(path, e, names, err)
	return nil
}

// guessRepository returns the repository for the blobs of an entry whose
// archive has not been read yet, or "" if the entry cannot have a name.
func guessRepository(bundle string, e *bundle.Entry, names []record.Image) string {
	if len(names) > 0 {
		return names[0].Repository
	}
	if repository, err := ref.Guess(ref.Plain(bundle, e.Path)); err == nil {
		return repository
	}
	return ""
}

// unusable records an entry of which nothing can be pushed.
func (p *pusher) unusable(path string, e *bundle.Entry, names []record.Image, err error) {
	if len(names) == 0 && oci.Stray(e.Path, err) {
		p.results.skip(record.Skipped{Bundle: path, Entry: e.Path, Size: e.Size, Reason: err.Error()}, nil)
		return
	}
	if len(names) == 0 {
		names = []record.Image{{Bundle: path, Entry: e.Path}}
	}
	p.survey.wanted++
	err = remedied(err)
	for _, rec := range names {
		p.results.fail(rec, err)
	}
}

// remedied adds a hint to an error of an entry.
func remedied(err error) error {
	if remedy := oci.Remedy(err); remedy != "" {
		return cli.Hint(err, "%s", remedy)
	}
	if errors.Is(err, ref.ErrInvalid) {
		return cli.Hint(err, "give it a reference: bundle-ls --map FILE BUNDLE | oci-push --to ...")
	}
	return err
}

// archive reads one OCI archive. If it can seek, only its JSON is read here;
// from a stream the blobs are sent as they pass, to the repository that the
// entry's name suggests.
func (p *pusher) archive(ctx context.Context, e *bundle.Entry, repository string) (*oci.Archive, error) {
	return oci.Load(ctx, e.At, e.Size, e, func(b oci.Blob) error {
		if repository == "" || !p.keep.wants(e.Path, b.Digest) {
			return nil
		}
		return p.passing(ctx, repository, b)
	})
}

// passing sends a blob that streams past. Its error ends the run.
func (p *pusher) passing(ctx context.Context, repository string, b oci.Blob) error {
	t, mine := p.up.claim(repository, b.Digest, b.Size)
	if !mine {
		return nil
	}
	if p.cfg.plan {
		p.up.start(ctx, t, nil)
		return nil
	}
	// A blob that another repository has is linked before its content has
	// passed, since it can still be sent now if linking fails.
	if p.up.homeOf(b.Digest) != "" {
		if there, err := p.up.present(ctx, t); there || err != nil {
			p.up.finish(t, err)
			return context.Cause(ctx)
		}
	}
	f := newFlow(p.mem, b.Size)
	if b.Size > p.mem.most {
		p.up.start(ctx, t, f)
		f.fill(ctx, b)
		return context.Cause(ctx)
	}
	if err := f.fill(ctx, b); err != nil {
		f.Close()
		p.up.finish(t, err)
		return context.Cause(ctx)
	}
	p.up.start(ctx, t, f)
	return nil
}
