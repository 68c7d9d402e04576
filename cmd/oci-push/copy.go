package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// copyAll copies everything that the catalog of another registry lists below
// its prefix.
func (p *pusher) copyAll(ctx context.Context, from *client.Registry) error {
	p.progress.Start("copying", 0, p.up.sent.Load)
	found := false
	for want, err := range listed(ctx, from) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return cli.Hint(fmt.Errorf("registry %s: list: %w", from.Host(), err), "a registry that does not list what it has needs records on stdin, and - as the operand")
		}
		found = true
		if err := p.copy(ctx, from, want); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("registry %s: nothing to copy", from.Host())
	}
	return nil
}

// listed gives every repository and tag that a registry lists below its prefix.
func listed(ctx context.Context, from *client.Registry) iter.Seq2[record.Image, error] {
	return func(yield func(record.Image, error) bool) {
		for repository, err := range from.Repositories(ctx) {
			if err != nil {
				yield(record.Image{}, err)
				return
			}
			for tag, err := range from.Tags(ctx, repository) {
				if !yield(record.Image{Repository: repository, Tag: tag}, err) || err != nil {
					return
				}
			}
		}
	}
}

// copySelected copies what the records on stdin name.
func (p *pusher) copySelected(ctx context.Context, from *client.Registry, in pipe.Reader, stdin io.Reader) error {
	p.progress.Start("copying", 0, p.up.sent.Load)
	found := false
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
		if err := p.copy(ctx, from, record.Image{Repository: want.Repository, Tag: want.Tag, Digest: want.Digest}); err != nil {
			return err
		}
	}
	if !found {
		return errNoImages
	}
	return nil
}

// copy puts one image of another registry under way. The error ends the run.
func (p *pusher) copy(ctx context.Context, from *client.Registry, want record.Image) error {
	img, err := from.Image(ctx, want.Repository, want.Tag)
	if ctx.Err() != nil || errors.Is(err, client.ErrUnreachable) {
		return errors.Join(context.Cause(ctx), err)
	}
	if err == nil && want.Digest != "" && want.Digest != img.Descriptor.Digest.String() {
		err = fmt.Errorf("%s has digest %s, not %s", from.Host(), img.Descriptor.Digest, want.Digest)
	}
	if err != nil {
		p.results.fail(p.named(want), err)
		return nil
	}
	rec := img.Record("", "")
	rec.Repository, rec.Tag = want.Repository, want.Tag
	return p.image(ctx, func(d v1.Hash) (io.ReadSeeker, int64) {
		return from.Blob(ctx, want.Repository, d), 0
	}, img, want.Repository, rec)
}
