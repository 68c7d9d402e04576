package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// image requests one image from the mirrors, as containerd does, and writes its
// record.
func (c *checker) image(ctx context.Context, i wantedImage) error {
	r := record.Image{Reference: i.name, Tag: i.image.Tag, Status: record.StatusFailed}
	var tried []*mirror
	var why []string
	var hint string
	count := &c.failed.unknown
	entries, dir, err := c.entries(i.image.Host)
	switch {
	case errors.Is(err, errNoMirrors) || errors.Is(err, os.ErrPermission): // it cannot be determined
		return err
	case err != nil: // with this configuration, containerd uses no mirror
		why = append(why, err.Error())
	}
	for _, e := range entries {
		m := c.mirror(ctx, dir, e)
		tried = append(tried, m)
		r.Registry, r.Repository = m.host, ref.Site{Prefix: m.prefix}.Repository(i.image.Repository)
		digest, err := m.ask(ctx, r.Repository, i.image, c.in.digests[i.image])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			r.Digest, r.Status = digest, record.StatusExists
			return c.results.image(r)
		}
		why = append(why, err.Error())
		hint = cmp.Or(hint, cli.HintOf(err))
		if _, moved := errors.AsType[*client.MovedError](err); moved { // containerd tries no other mirror
			count, tried = &c.failed.moved, nil
			break
		}
		if m.err == nil {
			count = &c.failed.missing
		}
	}
	*count++
	for _, m := range tried {
		if near := c.nearest(ctx, m, i.image); near != "" {
			why = append(why, near)
			break
		}
	}
	r.Error = strings.Join(why, "; ")
	c.progress.Problem(i.name, cli.Hint(errors.New(r.Error), "%s", hint))
	return c.results.image(r)
}

// ask returns the digest of an image at the mirror. Its error is a
// *client.MovedError if that is not the wanted one.
func (m *mirror) ask(ctx context.Context, repository string, image ref.Reference, want string) (string, error) {
	digest, err := "", m.err
	if err == nil {
		digest, err = m.reg.Digest(ctx, repository, image.Identifier())
	}
	switch {
	case err != nil:
		if m.err == nil && (m.reg.Fatal(err) || cli.Code(err) == cli.CodeTryAgain) {
			m.err = err
		}
		return "", fmt.Errorf("%s: %w", m.entry.URL, err)
	case digest == "":
		return "", fmt.Errorf("%s has no %s:%s", m.host, repository, image.Identifier())
	case want != "" && want != digest:
		return "", cli.Hint(&client.MovedError{Reference: m.host + "/" + repository + ":" + image.Tag, Have: digest, Want: want},
			"%s", client.MovedHint("k0s-mirror-config"))
	}
	return digest, nil
}
