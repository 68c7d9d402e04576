package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

const (
	// lookups is how many images are read at a time.
	lookups = 8
	// patience is how many images in a row a registry may be too busy for.
	patience = 3
)

// found is a tag of a registry, or a repository that cannot be listed.
type found struct {
	repository, tag string

	done   chan struct{} // closed once the rest is set
	image  *oci.Image
	pushed time.Time // zero if the registry does not say
	err    error
}

// site lists a registry.
type site struct {
	*lister
	reg   *client.Registry
	space *space // nil to list images
	busy  int    // images in a row that the registry was too busy for
}

// registry lists all tags of a registry, or the space that its repositories use.
func (l *lister) registry(ctx context.Context, cfg *config, stdin io.Reader) error {
	guard := pipe.NewGuard(stdin, l.out, l.progress.Warn, "omit --registry to list the bundle that the records name")
	ctx, stop, err := guard.Begin(ctx)
	defer stop()
	if err == nil {
		err = guard.Settle(ctx)
	}
	if err != nil {
		return err
	}
	reg, err := cfg.client(l)
	if err != nil {
		return err
	}
	if err := reg.Connect(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("registry %s: %w", reg.Host(), err)
	}
	s := &site{lister: l, reg: reg}
	if cfg.du {
		s.space = newSpace(s)
	}
	l.progress.Start("listing", 0, nil)
	defer l.progress.Close()
	err = s.list(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && s.space != nil {
		err = s.space.flush()
	}
	if err == nil {
		err = guard.Settle(ctx)
	}
	return s.end(err)
}

// end writes the summary, and returns an error if something failed.
func (s *site) end(err error) error {
	failed := s.counts["failed"]
	switch {
	case err != nil:
		s.counts["failed"]++
	case len(s.counts) == 0:
		below := ""
		if s.reg.Prefix() != "" {
			below = " below " + s.reg.Prefix()
		}
		err = cli.Hint(fmt.Errorf("registry %s: no images%s", s.reg.Host(), below), "push some with oci-push, or check the prefix in --registry")
	case failed == 1:
		err = errors.New("1 image or repository could not be read")
	case failed > 1:
		err = fmt.Errorf("%d images or repositories could not be read", failed)
	}
	return errors.Join(err, s.summary())
}

// list writes what a registry has in the order of its lists. The error ends the
// run.
func (s *site) list(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	// One that is waited for, and those after it, are read at a time.
	all, failed := make(chan *found, lookups-1), make(chan error, 1)
	go func() { // ends with the catalog or ctx
		defer close(all)
		failed <- s.walk(ctx, all)
	}()
	defer func() {
		stop()
		for f := range all {
			<-f.done
		}
	}()
	for f := range all {
		<-f.done
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.one(f); err != nil {
			return err
		}
	}
	return <-failed
}

// walk sends every tag to all, and reads its image meanwhile. The error is that
// of the catalog.
func (s *site) walk(ctx context.Context, all chan<- *found) error {
	for repository, err := range s.reg.Repositories(ctx) {
		if err != nil {
			err = fmt.Errorf("registry %s: list: %w", s.reg.Host(), err)
			if cli.HintOf(err) == "" {
				err = cli.Hint(err, "not every registry has a catalog, and some show it to administrators only")
			}
			return err
		}
		for tag, err := range s.reg.Tags(ctx, repository) {
			if errors.Is(err, client.ErrNotFound) {
				break // it has no tags, or has been deleted
			}
			f := &found{repository: repository, tag: tag, done: make(chan struct{})}
			select {
			case all <- f:
			case <-ctx.Done():
				return nil
			}
			go func() {
				defer close(f.done)
				if f.err = err; err != nil {
					f.err = fmt.Errorf("list of tags: %w", err)
					return
				}
				f.image, f.pushed, f.err = s.reg.DatedImage(ctx, repository, tag)
			}()
		}
	}
	return nil
}

// record returns the record of an image.
func (s *site) record(f *found) record.Image {
	r := f.image.Record("", "")
	r.Repository, r.Tag = f.repository, f.tag
	r.Registry, r.Prefix, r.Reference = s.reg.Host(), s.reg.Prefix(), s.reg.Reference(f.repository, f.tag)
	if !f.pushed.IsZero() {
		r.PushedAt = f.pushed.UTC().Format(time.RFC3339)
	}
	return r
}

// one writes or counts what was found. The error ends the run.
func (s *site) one(f *found) error {
	if f.err != nil {
		return s.unreadable(f)
	}
	s.busy = 0
	s.counts[f.image.Type]++
	if s.space != nil {
		return s.space.add(f)
	}
	r := s.record(f)
	s.bytes += r.Size
	if r.Warning != "" {
		s.progress.Warn("%s: %s", r.Reference, r.Warning)
	}
	s.progress.Item(0, "") // the record is the line
	return s.out.Write(r)
}

// unreadable records a tag or a repository that cannot be read. The error ends the
// run, if every other request would fail as well.
func (s *site) unreadable(f *found) error {
	if cli.Code(f.err) == cli.CodeTryAgain {
		s.busy++
	}
	if s.busy >= patience || s.reg.Fatal(f.err) {
		return fmt.Errorf("registry %s: %w", s.reg.Host(), f.err)
	}
	name := ref.Reference{Host: s.reg.Host(), Repository: s.reg.Repository(f.repository), Tag: f.tag}.String()
	return s.fail(name, record.Skipped{Entry: name}, f.err)
}
