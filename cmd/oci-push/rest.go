package main

import (
	"context"
	"errors"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// rests are the bundles whose last entries bundle-ls leaves to this program.
type rests struct {
	any     bool
	all     map[string]record.Rest // by bundle
	reading string                 // the bundle being read
	decided int                    // how many of its entries are decided
	late    bool                   // its record arrived after entries that it covers
}

// add records that all further entries of a bundle are wanted, and that no
// records for them follow.
func (r *rests) add(rest record.Rest) {
	r.any, r.all[rest.Bundle] = true, rest
	r.late = r.late || r.reading == rest.Bundle && r.decided > rest.Listed
}

func (r *rests) begin(bundle string) { r.reading, r.decided, r.late = bundle, 0, false }

// of returns the record of a bundle if it covers the entry.
func (r *rests) of(bundle string, index int) *record.Rest {
	if rest, ok := r.all[bundle]; ok && index >= rest.Listed {
		return &rest
	}
	return nil
}

// end reports, once a bundle has been read, whether its record arrived too late
// for an entry.
func (r *rests) end(bundle string) (again bool) {
	r.reading = ""
	if !r.late {
		delete(r.all, bundle)
	}
	return r.late
}

// chosen pushes what records request from one bundle.
type chosen struct {
	*pusher
	sel     *selection
	path    string
	seen    map[string]bool
	listing oci.Listing
	images  int
	rest    bool // bundle-ls has left entries to us
}

// visit pushes the wanted images of an entry.
func (c *chosen) visit(ctx context.Context, open *bundle.Bundle, v visited) error {
	c.seen[v.path] = true
	names, rest, err := c.sel.take(ctx, c.path, v.path, v.index)
	c.images += len(names)
	switch {
	case err != nil:
		return err
	case rest != nil:
		c.rest = true
		if rest.Size != open.Size {
			return cli.Hint(pipe.Bundle{Path: c.path}.Named(errors.New("has changed since bundle-ls opened it")), "run the same command again")
		}
		return c.list(ctx, v)
	case v.problem != nil:
		for _, rec := range names {
			c.results.fail(rec, v.problem)
		}
		return nil
	case names == nil:
		return nil
	}
	for _, rec := range names {
		c.listing.Note(rec)
	}
	return c.entry(ctx, c.path, v.entry, names)
}

// list pushes an entry under the names that bundle-ls would list, and reports
// what it would skip.
func (c *chosen) list(ctx context.Context, v visited) error {
	if v.problem != nil {
		c.results.skip(record.Skipped{Bundle: c.path, Entry: v.path, Status: record.StatusFailed, Reason: v.problem.Error()}, v.problem)
		return nil
	}
	if isFile(v.entry, nil) {
		c.images++
		return c.file(ctx, c.path, v.entry, nil)
	}
	guess := guessRepository(c.path, v.entry, nil)
	archive, err := c.archive(ctx, v.entry, guess)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, damaged := errors.AsType[*bundle.DamageError](err); damaged {
		return nil // of the bundle itself: the walk reports it next
	}
	for _, one := range c.listing.Entry(v.path, v.entry.Size, archive, err) {
		if one.Image != nil {
			c.images++
		}
		if one.Skipped != nil {
			c.results.skip(*one.Skipped, remedied(one.Err))
			continue
		}
		if err := c.image(ctx, contentOf(archive), one.Image, guess, one.Record); err != nil {
			return err
		}
	}
	return nil
}
