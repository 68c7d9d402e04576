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

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// copyAll copies everything that the catalog of another registry lists below
// its prefix. Whatever cannot be listed or read fails; the rest is copied.
func (p *pusher) copyAll(ctx context.Context, from *client.Registry) error {
	p.progress.Start("copying", 0, p.up.sent.Load)
	found, c := false, newCopier(p, from)
	c.all = true
	for repository, err := range from.Repositories(ctx) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			err = fmt.Errorf("registry %s: list: %w", from.Host(), err)
			if cli.HintOf(err) == "" {
				err = cli.Hint(err, "for a registry without a catalog, pipe image records in and give - as the argument")
			}
			return err
		}
		tags, err := c.tagsOf(ctx, repository)
		if err == nil && len(tags) == 0 {
			p.progress.Warn("%s: no tags; untagged manifests cannot be listed and are not copied", repository)
		}
		if err != nil {
			if err := c.failed(ctx, record.Image{Repository: repository}, "", fmt.Errorf("list of tags: %w", err)); err != nil {
				return err
			}
			found = true
		}
		for _, tag := range tags {
			found = true
			if err := c.image(ctx, record.Image{Repository: repository, Tag: tag}, tag); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("registry %s: nothing to copy", from.Host())
	}
	return nil
}

// copySelected copies the images that the records on stdin name.
func (p *pusher) copySelected(ctx context.Context, from *client.Registry, in pipe.Reader, stdin io.Reader) error {
	p.progress.Start("copying", 0, p.up.sent.Load)
	found, c := false, newCopier(p, from)
	for line, err := range in.Records(ctx, stdin) {
		if err != nil {
			return err
		}
		if line.Kind != (record.Image{}).Kind() {
			continue
		}
		var want record.Image
		if err := line.Decode(&want); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		found = true
		if err := c.image(ctx, record.Image{Repository: want.Repository, Tag: want.Tag, Digest: want.Digest}, want.Tag); err != nil {
			return err
		}
	}
	if !found {
		return errNoImages
	}
	return nil
}

// copier starts copying images of a registry, together with their referrers.
type copier struct {
	*pusher
	from *client.Registry
	to   string // for --alias, the repository that gets the images
	all  bool   // every tag is copied anyway

	tags   map[string][]string // by repository
	seen   map[string]bool     // images already started
	health *health             // of from
}

func newCopier(p *pusher, from *client.Registry) *copier {
	return &copier{pusher: p, from: from, tags: make(map[string][]string), seen: make(map[string]bool), health: newHealth(from)}
}

// body returns the content of a blob. For --alias it must be linked: it is not
// sent if the registry cannot do that.
func (c *copier) body(ctx context.Context, repository string, d v1.Hash) io.ReadSeeker {
	if c.to == "" {
		return c.from.Blob(ctx, repository, d)
	}
	if repository != c.to {
		c.up.addHome(repository, d)
	}
	return missing{fmt.Errorf("the registry cannot link it from repository %s", repository)}
}

// tagsOf lists the tags of a repository, once.
func (c *copier) tagsOf(ctx context.Context, repository string) ([]string, error) {
	if tags, known := c.tags[repository]; known {
		return tags, nil
	}
	var tags []string
	for tag, err := range c.from.Tags(ctx, repository) {
		if errors.Is(err, client.ErrNotFound) {
			break
		}
		if err != nil {
			return tags, err
		}
		tags = append(tags, tag)
	}
	c.tags[repository] = tags
	return tags, nil
}

// image starts copying one image, by its tag or else its digest, and gives the
// copy a tag. The error ends the run.
func (c *copier) image(ctx context.Context, want record.Image, tag string) error {
	key := want.Repository + " " + want.Tag + " " + want.Digest + " " + tag
	if c.seen[key] {
		return nil
	}
	c.seen[key] = true
	img, err := c.from.Image(ctx, want.Repository, cmp.Or(want.Tag, want.Digest))
	if err == nil && want.Digest != "" && want.Digest != img.Descriptor.Digest.String() {
		err = fmt.Errorf("%s has digest %s, not %s", c.from.Host(), img.Descriptor.Digest, want.Digest)
	}
	if err != nil {
		return c.failed(ctx, want, tag, err)
	}
	c.health.note(want.Repository, nil)
	rec := img.Record("", "")
	rec.Repository, rec.Tag = cmp.Or(c.to, want.Repository), tag
	if err := c.pusher.image(ctx, func(d v1.Hash) (io.ReadSeeker, int64) {
		return c.body(ctx, want.Repository, d), 0
	}, img, rec.Repository, rec); err != nil {
		return err
	}
	if c.to == want.Repository { // its referrers are already there
		return nil
	}
	return c.referrers(ctx, want.Repository, img)
}

// referrers starts copying what refers to an image or a part of it, such as
// signatures, and what refers to those in turn.
func (c *copier) referrers(ctx context.Context, repository string, img *oci.Image) error {
	if img, _ = narrow(c.cfg.platforms, img); img == nil {
		return nil
	}
	for _, m := range img.Manifests {
		d := m.Descriptor.Digest
		found, err := c.from.Referrers(ctx, repository, d)
		var tags []string
		if err == nil && !c.all {
			tags, err = c.tagsOf(ctx, repository)
		}
		if err != nil {
			if err := c.failed(ctx, record.Image{Repository: repository, Subject: d.String()}, "", fmt.Errorf("list of referrers of %s: %w", d, err)); err != nil {
				return err
			}
		}
		for _, tag := range tags {
			if ref.IsFallback(tag) && strings.HasPrefix(tag, client.FallbackTag(d)) {
				if err := c.image(ctx, record.Image{Repository: repository, Tag: tag}, tag); err != nil {
					return err
				}
			}
		}
		for _, r := range found {
			if slices.ContainsFunc(img.Manifests, func(m oci.Manifest) bool { return m.Descriptor.Digest.String() == r }) {
				continue // it is copied as a part
			}
			if err := c.image(ctx, record.Image{Repository: repository, Digest: r}, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// failed records an image that could not be copied and was to have that tag. The
// error ends the run.
func (c *copier) failed(ctx context.Context, want record.Image, tag string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := c.health.note(want.Repository, err); err != nil {
		return err
	}
	if c.to != "" {
		if errors.Is(err, client.ErrNotFound) {
			err = errors.New("no such image in the registry")
		}
		err = fmt.Errorf("%s: %w", ref.Reference{Repository: want.Repository, Tag: want.Tag}, err)
	}
	want.Repository, want.Tag = cmp.Or(c.to, want.Repository), tag
	if want.Tag != "" || want.Digest != "" {
		want = c.named(want)
	}
	c.results.fail(want, err)
	return nil
}
