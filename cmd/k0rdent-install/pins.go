package main

import (
	"context"
	"errors"
	"maps"
	"strings"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// pins are the digests that tags had when they were pushed, by
// REPOSITORY:TAG with the registry's prefix. Anyone who can write to the registry
// can move a tag later; root must not install what it then stands for.
type pins map[string]string

// pinsOf adds to known what image records say. A record of what was pushed has
// the whole reference; others are about the site's registry.
func pinsOf(known pins, images []record.Image, s *site) pins {
	all := maps.Clone(known)
	if all == nil {
		all = make(pins)
	}
	for _, r := range images {
		_, name, found := strings.Cut(r.Reference, "/") // the host may have several names
		if !found {
			name = s.reg.Repository(r.Repository) + ":" + r.Tag
		}
		all[name] = r.Digest
	}
	return all
}

// pinned returns the digest that a tag must have, or "" where none is known.
func (s *site) pinned(repository, reference string) string {
	return s.pins[s.reg.Repository(repository)+":"+reference]
}

// unmoved returns an error if a tag has another digest than the one that it must
// have.
func (s *site) unmoved(repository, tag, have string) error {
	want := s.pinned(repository, tag)
	if want == "" || want == have {
		return nil
	}
	moved := &chart.MovedError{Reference: s.reg.Reference(repository, tag), Have: have, Want: want}
	return cli.Hint(moved, "push the verified bundle again, and find out who else may write to the registry; "+
		"if the new content is intended, give k0rdent-install the records of the oci-push that sent it on stdin; those of install.sh are in /var/lib/k0rdentd/install/pushed")
}

// pinnedManifest gets a manifest by the digest that its tag must have.
func (s *site) pinnedManifest(ctx context.Context, repository, tag, digest string) (raw []byte, mediaType string, err error) {
	if _, err := s.Resolve(ctx, repository, tag); err != nil {
		return nil, "", err
	}
	d, raw, err := s.reg.Manifest(ctx, repository, digest)
	return raw, string(d.MediaType), s.wrap(repository, tag, err)
}

// isMoved returns the error about a tag that has moved, or nil.
func isMoved(err error) *chart.MovedError {
	moved, _ := errors.AsType[*chart.MovedError](err)
	return moved
}
