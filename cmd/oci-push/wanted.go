package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// nextBundle waits for a bundle of which images are wanted. It returns "" when
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

// take returns what is wanted of an entry, if anything, and forgets it. It waits
// for a record about the entry. Of an entry whose record does not come it returns
// the record that says so.
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

// through reports whether the records are through with an entry. An archive may
// have several, which come at once: for a while after one, more are waited for.
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

// leave returns what was wanted of a bundle and not taken, in the order of its
// entries. With again, some of it was asked for after its entry had passed, so the
// bundle must be read once more.
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

// abandon returns all that is and will be wanted of a bundle that cannot be
// read, once all records are in or ctx has ended.
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

// total gives how many names images are to get, or 0 while that is unknown.
func (s *selection) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	further, known := s.aliases.total()
	if !s.whole || !known || s.rests.any {
		return 0
	}
	return s.count + further
}
