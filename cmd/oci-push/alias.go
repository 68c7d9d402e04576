package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// pushAliases adds names to images in the registry, once the images of this run
// are complete: their blobs are linked and their manifests pushed unchanged. The
// error ends the run.
func (p *pusher) pushAliases(ctx context.Context) error {
	p.gate = nil
	copiers := make(map[alias]*copier) // by repositories
	for _, a := range p.cfg.aliases {
		key := alias{ref.Reference{Repository: a.from.Repository}, ref.Reference{Repository: a.to.Repository}}
		c := copiers[key]
		if c == nil {
			c = newCopier(p, p.reg)
			c.to, c.health = a.to.Repository, p.up.health
			copiers[key] = c
		}
		tags := []string{a.from.Tag}
		if a.from.Tag == "" {
			var err error
			if tags, err = c.allTags(ctx, a.from.Repository); err != nil {
				err = c.failed(ctx, record.Image{Repository: a.from.Repository}, "", err)
			}
			if err != nil {
				return err
			}
		}
		for _, tag := range tags {
			if err := c.alias(ctx, ref.Reference{Repository: a.from.Repository, Tag: tag}, cmp.Or(a.to.Tag, tag)); err != nil {
				return err
			}
		}
		p.up.wg.Wait() // the next one may refer to the name that this one creates
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// allTags lists the tags of a repository, those of this run first.
func (c *copier) allTags(ctx context.Context, repository string) (tags []string, err error) {
	c.all = true
	for source := range c.results.sources {
		if source.Repository == repository {
			tags = append(tags, source.Tag)
		}
	}
	slices.Sort(tags)
	listed, err := c.tagsOf(ctx, repository)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	for _, tag := range listed {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return nil, errors.New("no such repository in the registry")
	}
	return tags, nil
}

// alias adds a name to one image, or reports it if that does not exist yet.
func (c *copier) alias(ctx context.Context, from ref.Reference, tag string) error {
	want := record.Image{Repository: from.Repository, Tag: from.Tag}
	source := c.results.sources[from]
	switch {
	case source == nil:
	case source.record.Status == record.StatusFailed:
		return c.failed(ctx, want, tag, errors.New("failed in this run"))
	case source.record.Status == record.StatusPlanned:
		have, err := c.reg.Digest(ctx, c.to, tag)
		if err != nil {
			return c.failed(ctx, want, tag, err)
		}
		rec := source.record
		rec.Bundle, rec.Entry, rec.Repository, rec.Tag = "", "", c.to, tag
		rec.PushedBytes, rec.ExistingBytes = 0, rec.Size
		if have == rec.Digest {
			rec.Status = record.StatusExists
		}
		c.results.settled(&item{record: c.named(rec)})
		return nil
	}
	return c.image(ctx, want, tag)
}
