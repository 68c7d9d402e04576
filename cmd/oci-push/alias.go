package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// alias is a value of --alias: what the registry has under one name gets
// another, too. Without tags, every tag of the one repository gets its like in
// the other.
type alias struct{ from, to ref.Reference }

// aliases is the value of all --alias.
type aliases []alias

func (a alias) String() string { return a.from.String() + "=" + a.to.String() }

// parseAlias parses "k8s/pause:3.10=pause:3.10" or "k8s/pause=pause".
func parseAlias(s string) (alias, error) {
	left, right, found := strings.Cut(s, "=")
	from, err := ref.Parse(left)
	to, toErr := ref.Parse(right)
	switch {
	case !found || (from.Tag == "") != (to.Tag == ""):
		return alias{}, errors.New("must be REPOSITORY:TAG=REPOSITORY:TAG or REPOSITORY=REPOSITORY")
	case cmp.Or(err, toErr) != nil:
		return alias{}, cmp.Or(err, toErr)
	case from.Digest+to.Digest != "":
		return alias{}, errors.New("must not have a digest")
	case from == to:
		return alias{}, errors.New("the same name twice")
	}
	return alias{from, to}, nil
}

// about tells whether an image may get a further name.
func (a aliases) about(r ref.Reference) bool {
	return slices.ContainsFunc(a, func(one alias) bool {
		return one.from == r || one.from.Tag == "" && one.from.Repository == r.Repository
	})
}

// total gives how many names there are to give, or false while that is unknown.
func (a aliases) total() (n int, known bool) {
	return len(a), !slices.ContainsFunc(a, func(one alias) bool { return one.from.Tag == "" })
}

// unlinked stands for the content of a blob that is to be linked from another
// repository: it is not sent if the registry cannot do that.
type unlinked struct{ from string }

func (b unlinked) Read([]byte) (int, error)       { return 0, b.err() }
func (b unlinked) Seek(int64, int) (int64, error) { return 0, b.err() }

func (b unlinked) err() error {
	return fmt.Errorf("the registry does not link it from repository %s", b.from)
}

// giveAliases gives further names to what is in the registry, once what this run
// has pushed is whole. The error ends the run.
func (p *pusher) giveAliases(ctx context.Context) error {
	p.gate = nil
	for _, a := range p.cfg.aliases {
		give := p.giveAll
		if a.from.Tag != "" {
			give = p.give
		}
		if err := give(ctx, a.from, a.to); err != nil {
			return err
		}
		p.up.wg.Wait() // the next may be about the name that this one gives
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// giveAll gives every tag of a repository its like in another.
func (p *pusher) giveAll(ctx context.Context, from, to ref.Reference) error {
	var tags []string
	for source := range p.results.sources {
		if source.Repository == from.Repository {
			tags = append(tags, source.Tag)
		}
	}
	slices.Sort(tags)
	ours := len(tags)
	for tag, err := range p.reg.Tags(ctx, from.Repository) {
		switch {
		case errors.Is(err, client.ErrNotFound):
		case err != nil:
			return p.cannotGive(ctx, to, fmt.Errorf("%s: list: %w", from.Repository, err))
		case !slices.Contains(tags[:ours], tag):
			tags = append(tags, tag)
		}
	}
	p.giver(from.Repository, to.Repository).all = true
	if len(tags) == 0 {
		return p.cannotGive(ctx, to, fmt.Errorf("%s: no such repository in the registry", from.Repository))
	}
	for _, tag := range tags {
		if err := p.give(ctx, ref.Reference{Repository: from.Repository, Tag: tag}, ref.Reference{Repository: to.Repository, Tag: tag}); err != nil {
			return err
		}
	}
	return nil
}

// give gives one image a further name: its blobs are linked and its manifests
// put, as they are.
func (p *pusher) give(ctx context.Context, from, to ref.Reference) error {
	if source := p.results.sources[from]; source != nil {
		switch source.record.Status {
		case record.StatusFailed:
			return p.cannotGive(ctx, to, fmt.Errorf("%s failed in this run", from))
		case record.StatusPlanned:
			return p.planAlias(ctx, source.record, to)
		}
	}
	img, err := p.reg.Image(ctx, from.Repository, from.Tag)
	if errors.Is(err, client.ErrNotFound) {
		err = errors.New("no such image in the registry")
	}
	if err != nil {
		return p.cannotGive(ctx, to, fmt.Errorf("%s: %w", from, err))
	}
	c := p.giver(from.Repository, to.Repository)
	rec := img.Record("", "")
	rec.Repository, rec.Tag = to.Repository, to.Tag
	if err := p.image(ctx, func(d v1.Hash) (io.ReadSeeker, int64) { return c.body(ctx, from.Repository, d), 0 }, img, to.Repository, rec); err != nil {
		return err
	}
	if from.Repository == to.Repository { // what refers to it is there
		return nil
	}
	return c.referrers(ctx, from.Repository, img)
}

// giver returns the copier that adds images of one repository to another, and with them
// what refers to them.
func (p *pusher) giver(from, to string) *copier {
	key := from + " " + to
	if p.givers[key] == nil {
		c := newCopier(p, p.reg)
		c.to = func(string) string { return to }
		c.body = func(_ context.Context, repository string, d v1.Hash) io.ReadSeeker {
			if repository != to {
				p.up.lend(repository, []v1.Descriptor{{Digest: d}})
			}
			return unlinked{repository}
		}
		p.givers[key] = c
	}
	return p.givers[key]
}

// planAlias tells of a name for an image that is not there yet.
func (p *pusher) planAlias(ctx context.Context, rec record.Image, to ref.Reference) error {
	have, err := p.reg.Digest(ctx, to.Repository, to.Tag)
	if err != nil {
		return p.cannotGive(ctx, to, err)
	}
	rec.Bundle, rec.Entry, rec.Repository, rec.Tag = "", "", to.Repository, to.Tag
	rec.PushedBytes, rec.ExistingBytes = 0, rec.Size
	if have == rec.Digest {
		rec.Status = record.StatusExists
	}
	p.results.settled(&item{record: p.named(rec)})
	return nil
}

// cannotGive records a name that could not be given. The error ends the run.
func (p *pusher) cannotGive(ctx context.Context, to ref.Reference, err error) error {
	if p.up.consider(to.Repository, err); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	rec := record.Image{Repository: to.Repository, Tag: to.Tag}
	if to.Tag != "" {
		rec = p.named(rec)
	}
	p.results.fail(rec, err)
	return nil
}
