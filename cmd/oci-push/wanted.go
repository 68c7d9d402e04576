package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// nextBundle waits for a bundle of which images are wanted. It returns "" if
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
			s.rests.begin(s.bundles[0])
			return s.bundles[0], nil
		case s.ended && s.count == 0 && !s.rests.any && len(s.aliases) == 0:
			return "", cli.Hint(errNoImages, "bundle-ls writes them; to push a whole bundle, name it: oci-push --to … BUNDLE")
		case s.ended:
			return "", nil
		}
		s.wait()
	}
}

// take removes and returns the wanted images of an entry, if any. It waits for
// a record about the entry. If none follows, it returns the rest record that
// says so.
func (s *selection) take(ctx context.Context, bundle, entry string, index int) ([]record.Image, *record.Rest, error) {
	name := entryName{bundle, entry}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.rests.decided = index + 1 }()
	for {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if s.err != nil {
			return nil, nil, s.err
		}
		if rest := s.rests.of(bundle, index); rest != nil {
			return nil, rest, nil
		}
		if images := s.want[bundle][entry]; images != nil && s.through(name) {
			delete(s.want[bundle], entry)
			return images, nil, nil
		}
		if s.ended || s.settled[name] && s.want[bundle][entry] == nil {
			return nil, nil, nil
		}
		s.wait()
	}
}

// through reports whether the records of an entry are complete. An archive may
// have several, which arrive together: after one, it waits a while for more.
func (s *selection) through(name entryName) bool {
	if s.ended || s.latest != name {
		return true
	}
	left := s.more - time.Since(s.since)
	if left > 0 {
		time.AfterFunc(left, s.wake)
	}
	return left <= 0
}

// leave returns the wanted images of a bundle that were not taken, in the order
// of its entries. If again is true, some were requested after their entry had
// passed, so the bundle must be read once more.
func (s *selection) leave(bundle string, entries map[string]bool) (missing []record.Image, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again = s.rests.end(bundle)
	for entry, images := range s.want[bundle] {
		if entries[entry] {
			again = true
			continue
		}
		missing = append(missing, images...)
		delete(s.want[bundle], entry)
	}
	if !again {
		s.forget(bundle)
	}
	sortByEntry(missing)
	return missing, again
}

// abandon returns everything that is or will be wanted of an unreadable bundle,
// once all records have arrived or ctx has ended.
func (s *selection) abandon(ctx context.Context, bundle string) (missing []record.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && ctx.Err() == nil {
		s.wait()
	}
	for _, images := range s.want[bundle] {
		missing = append(missing, images...)
	}
	s.forget(bundle)
	sortByEntry(missing)
	return missing
}

func (s *selection) forget(bundle string) {
	delete(s.want, bundle)
	delete(s.rests.all, bundle)
	s.bundles = slices.DeleteFunc(s.bundles, func(b string) bool { return b == bundle })
}

func sortByEntry(images []record.Image) {
	slices.SortStableFunc(images, func(a, b record.Image) int { return cmp.Compare(a.Entry, b.Entry) })
}

// total returns the number of names to create for images, or 0 while that is
// unknown.
func (s *selection) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	further, known := s.aliases.total()
	if !s.whole || !known || s.rests.any {
		return 0
	}
	return s.count + further
}
