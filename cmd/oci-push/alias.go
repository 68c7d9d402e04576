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

// alias is a value of --alias: an additional name for an image in the registry.
// Without tags, every tag of one repository is copied to the other.
type alias struct{ from, to ref.Reference }

// aliases holds the values of all --alias flags.
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
		return alias{}, errors.New("both names are the same")
	}
	return alias{from, to}, nil
}

// about reports whether an image may get another name.
func (a aliases) about(r ref.Reference) bool {
	return slices.ContainsFunc(a, func(one alias) bool {
		return one.from == r || one.from.Tag == "" && one.from.Repository == r.Repository
	})
}

// total returns the number of names to create, or false while that is unknown.
func (a aliases) total() (n int, known bool) {
	return len(a), !slices.ContainsFunc(a, func(one alias) bool { return one.from.Tag == "" })
}

// linkOnly stands for the content of a blob that must be linked from another
// repository: it is not sent if the registry cannot link it.
type linkOnly struct{ from string }

func (b linkOnly) Read([]byte) (int, error)       { return 0, b.err() }
func (b linkOnly) Seek(int64, int) (int64, error) { return 0, b.err() }

func (b linkOnly) err() error {
	return fmt.Errorf("the registry cannot link it from repository %s", b.from)
}

// pushAliases adds names to images in the registry, once the images of this run
// are complete. The error ends the run.
func (p *pusher) pushAliases(ctx context.Context) error {
	p.gate = nil
	for _, a := range p.cfg.aliases {
		aliasImage := p.aliasRepository
		if a.from.Tag != "" {
			aliasImage = p.aliasImage
		}
		if err := aliasImage(ctx, a.from, a.to); err != nil {
			return err
		}
		p.up.wg.Wait() // the next one may refer to the name that this one creates
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// aliasRepository copies every tag of a repository to another.
func (p *pusher) aliasRepository(ctx context.Context, from, to ref.Reference) error {
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
			return p.failAlias(ctx, to, fmt.Errorf("%s: list: %w", from.Repository, err))
		case !slices.Contains(tags[:ours], tag):
			tags = append(tags, tag)
		}
	}
	p.aliaser(from.Repository, to.Repository).all = true
	if len(tags) == 0 {
		return p.failAlias(ctx, to, fmt.Errorf("%s: no such repository in the registry", from.Repository))
	}
	for _, tag := range tags {
		if err := p.aliasImage(ctx, ref.Reference{Repository: from.Repository, Tag: tag}, ref.Reference{Repository: to.Repository, Tag: tag}); err != nil {
			return err
		}
	}
	return nil
}

// aliasImage adds a name to one image: its blobs are linked and its manifests
// pushed unchanged.
func (p *pusher) aliasImage(ctx context.Context, from, to ref.Reference) error {
	if source := p.results.sources[from]; source != nil {
		switch source.record.Status {
		case record.StatusFailed:
			return p.failAlias(ctx, to, fmt.Errorf("%s failed in this run", from))
		case record.StatusPlanned:
			return p.planAlias(ctx, source.record, to)
		}
	}
	img, err := p.reg.Image(ctx, from.Repository, from.Tag)
	if errors.Is(err, client.ErrNotFound) {
		err = errors.New("no such image in the registry")
	}
	if err != nil {
		return p.failAlias(ctx, to, fmt.Errorf("%s: %w", from, err))
	}
	c := p.aliaser(from.Repository, to.Repository)
	rec := img.Record("", "")
	rec.Repository, rec.Tag = to.Repository, to.Tag
	if err := p.image(ctx, func(d v1.Hash) (io.ReadSeeker, int64) { return c.body(ctx, from.Repository, d), 0 }, img, to.Repository, rec); err != nil {
		return err
	}
	if from.Repository == to.Repository { // its referrers are already there
		return nil
	}
	return c.referrers(ctx, from.Repository, img)
}

// aliaser returns the copier that adds images of one repository, and their
// referrers, to another.
func (p *pusher) aliaser(from, to string) *copier {
	key := from + " " + to
	if p.aliasers[key] == nil {
		c := newCopier(p, p.reg)
		c.to = func(string) string { return to }
		c.body = func(_ context.Context, repository string, d v1.Hash) io.ReadSeeker {
			if repository != to {
				p.up.addHome(repository, []v1.Descriptor{{Digest: d}})
			}
			return linkOnly{repository}
		}
		p.aliasers[key] = c
	}
	return p.aliasers[key]
}

// planAlias reports a name for an image that does not exist yet.
func (p *pusher) planAlias(ctx context.Context, rec record.Image, to ref.Reference) error {
	have, err := p.reg.Digest(ctx, to.Repository, to.Tag)
	if err != nil {
		return p.failAlias(ctx, to, err)
	}
	rec.Bundle, rec.Entry, rec.Repository, rec.Tag = "", "", to.Repository, to.Tag
	rec.PushedBytes, rec.ExistingBytes = 0, rec.Size
	if have == rec.Digest {
		rec.Status = record.StatusExists
	}
	p.results.settled(&item{record: p.named(rec)})
	return nil
}

// failAlias records a name that could not be created. The error ends the run.
func (p *pusher) failAlias(ctx context.Context, to ref.Reference, err error) error {
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
