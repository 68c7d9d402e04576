package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// errBadSignature stops everything behind a bundle whose signature is wrong.
var errBadSignature = errors.New("its signature is bad; nothing was pushed")

// errNoImages tells a run that had nothing to do from one that did it: what was
// to write the records has most likely failed.
var errNoImages = errors.New("stdin: no image records")

// selection is the images that the records on stdin ask for. Records may come
// in any order and at any pace: while they still come, an entry that nobody
// has asked for may be asked for yet.
type selection struct {
	mu      sync.Mutex
	changed *sync.Cond
	want    map[string]map[string][]record.Image // by bundle and entry
	bundles []string                             // in the order of their first record
	digests map[string]string                    // of bundles that were verified, by path
	begun   map[string]bool                      // bundles that are or were being read
	count   int
	ended   bool // no further record comes
	aliases aliases
	err     error
}

func newSelection(a aliases) *selection {
	s := &selection{
		aliases: a,
		want:    make(map[string]map[string][]record.Image),
		digests: make(map[string]string), begun: make(map[string]bool),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// read takes the image records of r and passes all others on.
func (s *selection) read(r io.Reader, out *record.Writer) {
	err := s.readAll(r, out)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.changed.Broadcast()
}

func (s *selection) readAll(r io.Reader, out *record.Writer) error {
	for line, err := range record.Read(r) {
		if err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		switch line.Kind {
		case record.Image{}.Kind():
			var image record.Image
			if err := line.Decode(&image); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			if err := s.add(image); err != nil {
				return fmt.Errorf("stdin: line %d: %w", line.Number, err)
			}
			continue
		case record.Bundle{}.Kind():
			var b record.Bundle
			if err := line.Decode(&b); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			if err := s.verified(b); err != nil {
				// The record goes on all the same, so that it stops the tools
				// behind this one as well.
				return errors.Join(fmt.Errorf("bundle %s: %w", b.Path, err), out.Pass(line))
			}
		}
		if err := out.Pass(line); err != nil {
			return err
		}
	}
	return nil
}

// verified notes what a bundle record promises. It must come before the records
// of what the bundle holds: later, some of that may be published already.
func (s *selection) verified(b record.Bundle) error {
	if b.Signature == record.SignatureBad {
		return errBadSignature
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Digest == "" || s.digests[b.Path] == b.Digest {
		return nil
	}
	if s.begun[b.Path] {
		return cli.Hint(errors.New("its record came after those of its images"), "keep the bundle record before them when sorting")
	}
	s.digests[b.Path] = b.Digest
	return nil
}

// promised gives what the records say of a bundle as a whole.
func (s *selection) promised(path string) promise {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := s.digests[path]
	if digest == "" {
		return nil
	}
	return func(context.Context) (string, error) { return digest, nil }
}

func (s *selection) add(image record.Image) error {
	switch {
	case image.Bundle == "-":
		return cli.Hint(errors.New("the bundle was on bundle-ls's stdin and cannot be read again"), "name the file, or give the stream to oci-push itself: oci-push --to … -")
	case image.Bundle == "" || image.Entry == "" || image.Repository == "" || image.Tag == "":
		return errors.New("image record lacks bundle, entry, repository or tag")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.want[image.Bundle]
	if entries == nil {
		entries = make(map[string][]record.Image)
		s.want[image.Bundle] = entries
		s.bundles = append(s.bundles, image.Bundle)
	}
	entries[image.Entry] = append(entries[image.Entry], image)
	s.count++
	s.changed.Broadcast()
	return nil
}

// watch wakes all who wait when the context ends.
func (s *selection) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
}

// nextBundle waits for a bundle of which images are wanted. It gives "" when
// there is none left.
func (s *selection) nextBundle(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case s.err != nil:
			return "", s.err
		case len(s.bundles) > 0:
			s.begun[s.bundles[0]] = true
			return s.bundles[0], nil
		case s.ended && s.count == 0 && len(s.aliases) == 0:
			return "", cli.Hint(errNoImages, "bundle-ls writes them; to push a whole bundle, name it: oci-push --to … BUNDLE")
		case s.ended:
			return "", nil
		}
		s.changed.Wait()
	}
}

// take gives what is wanted of an entry, if anything, and forgets it. It waits
// until it can tell.
func (s *selection) take(ctx context.Context, bundle, entry string) ([]record.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if s.err != nil {
			return nil, s.err
		}
		if images := s.want[bundle][entry]; images != nil {
			delete(s.want[bundle], entry)
			return images, nil
		}
		if s.ended {
			return nil, nil
		}
		s.changed.Wait()
	}
}

// leave gives what was wanted of a bundle and not taken, in the order of its
// entries, once all records are in. With again, some of it was asked for after
// its entry had passed: the bundle must be read once more.
func (s *selection) leave(bundle string, entries map[string]bool) (missing []record.Image, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for entry, images := range s.want[bundle] {
		if entries[entry] {
			again = true
			continue
		}
		missing = append(missing, images...)
		delete(s.want[bundle], entry)
	}
	if !again {
		delete(s.want, bundle)
		s.bundles = slices.DeleteFunc(s.bundles, func(b string) bool { return b == bundle })
	}
	slices.SortFunc(missing, func(a, b record.Image) int {
		if a.Entry < b.Entry {
			return -1
		}
		return 1
	})
	return missing, again
}

// total gives how many names images are to get, or 0 while that is unknown.
func (s *selection) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	further, known := s.aliases.total()
	if !s.ended || !known {
		return 0
	}
	return s.count + further
}
