package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/ref"
)

// A bundleRequest is a bundle to search, and what records say about it.
type bundleRequest struct {
	pipe.Bundle
	images map[string]image // by entry; nil if no record names the images of k0s
	newest *k0s.Version     // the newest in it; nil if unknown
}

// An image is what a record says about an image of k0s.
type image struct{ tag, digest string }

// A k0sEntry is an entry of a bundle that contains a k0s.
type k0sEntry struct {
	path    string
	version k0s.Version
	digest  string // from its record
	at      io.ReaderAt
	size    int64
}

// fromBundle searches a bundle for k0s. The result includes those in have that
// are still wanted. If it returns without an error, the bundle has the digest
// that a record promised, if any.
func (w *request) fromBundle(ctx context.Context, want *bundleRequest, stdin io.Reader, have []found) ([]found, error) {
	b, err := want.Open(ctx, stdin)
	if errors.Is(err, bundle.ErrFormat) {
		if program, failed := elf.Open(want.Path); failed == nil {
			program.Close()
			err = cli.Hint(err, "to install k0s from a file, use --from %s", want.Path)
		}
	}
	if err != nil {
		return have, err
	}
	defer b.Close()
	w.log.Debug("bundle opened", "path", want.Path, "format", b.Format, "bytes", b.Size, "digest", want.Digest)
	w.progress.Start("looking for k0s", b.Size, b.Offset)
	defer w.progress.Close()
	s := search{req: w, bundle: want, have: have}
	if err = want.Named(s.walk(ctx, b)); err == nil {
		err = want.Check(ctx, b)
	}
	if err == nil && len(s.have) == 0 {
		return nil, w.absent(want.Path, s.seen)
	}
	if err != nil {
		err = interrupted(ctx, err)
	}
	return s.have, err
}

// search is the state of one walk through a bundle.
type search struct {
	req    *request
	bundle *bundleRequest
	have   []found
	seen   []k0s.Version
	later  []k0sEntry // entries that can be read in any order
	read   int        // entries that were read
}

func (s *search) walk(ctx context.Context, b *bundle.Bundle) error {
	for e, err := range b.Entries(ctx) {
		if errors.Is(err, bundle.ErrEntry) {
			entry, problem := pipe.Refused(err)
			s.req.progress.Problem(fmt.Sprintf("%s: entry %q", s.bundle.Path, entry), problem)
			continue
		}
		if err != nil {
			return err
		}
		k, ok := s.entry(e)
		if !ok {
			continue
		}
		if k.at != nil {
			s.later = append(s.later, k)
			continue
		}
		if s.wanted(k) {
			if err := s.use(ctx, k, e); err != nil {
				return err
			}
		}
		if s.enough() {
			return nil
		}
	}
	slices.SortStableFunc(s.later, func(a, b k0sEntry) int { return b.version.Compare(a.version) })
	for _, k := range s.later { // newest first
		if !s.wanted(k) {
			continue
		}
		if err := s.use(ctx, k, nil); err != nil {
			return err
		}
	}
	return nil
}

// entry reports whether an entry holds a k0s, and which.
func (s *search) entry(e *bundle.Entry) (k0sEntry, bool) {
	k := k0sEntry{path: e.Path, at: e.At, size: e.Size}
	var tag string
	if s.bundle.images != nil {
		img, ok := s.bundle.images[e.Path]
		if !ok {
			return k, false
		}
		tag, k.digest = img.tag, img.digest
	} else {
		name, _, err := ref.Predict(e.Path, false)
		if err != nil || name.Repository != repository {
			return k, false
		}
		tag = name.Tag
	}
	var err error
	if k.version, err = k0s.ParseVersion(tag); err != nil {
		s.req.progress.Warn("entry %s: skipped: tag %s is not a k0s version", e.Path, tag)
		return k, false
	}
	s.seen = append(s.seen, k.version)
	return k, true
}

// wanted reports whether to read an entry, given what was read before.
func (s *search) wanted(k k0sEntry) bool {
	if n := s.bundle.newest; n != nil && !s.req.name && s.req.version == nil && k.version.Compare(*n) != 0 {
		return false
	}
	return s.req.wants(k.version, s.have)
}

// enough reports whether the rest of a stream cannot hold anything needed.
func (s *search) enough() bool {
	switch {
	case s.bundle.images != nil && len(s.seen) == len(s.bundle.images):
		return true
	case s.req.name:
		return s.req.version != nil && s.read > 0
	}
	return (s.req.version != nil || s.bundle.newest != nil) && s.read > 0
}

// use reads an entry. That it cannot be used does not end a search for several,
// and is part of the result: a newer entry may supersede it, an older one does
// not. The errors are those of the bundle itself.
func (s *search) use(ctx context.Context, k k0sEntry, r io.Reader) error {
	s.req.log.Debug("reading", "entry", k.path, "version", k.version.String())
	source := "bundle " + s.bundle.Path + " " + k.path
	got, err := s.req.fromArchive(ctx, k, r, source)
	if err != nil {
		if _, damage := errors.AsType[*bundle.DamageError](err); damage || ctx.Err() != nil {
			return fmt.Errorf("entry %s: %w", k.path, err)
		}
		for _, p := range s.req.platforms {
			got = append(got, found{version: &k.version, platform: p, source: source, err: err})
		}
	}
	s.read++
	for i := range got {
		if err := got[i].err; err != nil {
			got[i].err = fmt.Errorf("%s: entry %s: %w", s.bundle.Path, k.path, err)
		}
	}
	s.have = s.req.add(s.have, got...)
	return nil
}
