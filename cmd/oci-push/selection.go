package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
)

// errNoImages means that a run had nothing to do: the program that was to write
// the records has most likely failed.
var errNoImages = errors.New("stdin: no image records")

// selection is the images that the records on stdin request. Records may arrive
// in any order and at any pace: while they arrive, an entry without a record
// may still be requested.
type selection struct {
	mu      sync.Mutex
	changed *sync.Cond
	want    map[string]map[string][]record.Image // by bundle and entry
	settled map[entryName]bool                   // entries of which nothing is wanted
	bundles []string                             // in the order of their first record
	digests map[string]string                    // of bundles that were verified, by path
	begun   map[string]bool                      // bundles that are or were being read
	rests   rests
	count   int
	skipped int           // entries that bundle-ls skipped
	failed  int           // entries that bundle-ls could not list
	ended   bool          // no more records follow
	whole   bool          // and all of them have arrived
	latest  entryName     // the entry of the last record
	since   time.Time     // when it arrived
	more    time.Duration // how long others for the same entry may take
	aliases aliases
	err     error
	waiting func(what string) // shows what the run is waiting for; "" for nothing
}

// entryName is an entry of a bundle.
type entryName struct{ bundle, entry string }

func newSelection(a aliases, waiting func(string)) *selection {
	s := &selection{
		aliases: a, waiting: waiting, more: 10 * time.Millisecond,
		want: make(map[string]map[string][]record.Image), settled: make(map[entryName]bool),
		digests: make(map[string]string), begun: make(map[string]bool),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// read reads the image records on stdin.
func (s *selection) read(ctx context.Context, in pipe.Reader, stdin io.Reader) {
	err := s.readAll(ctx, in, stdin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, err
	s.whole = err == nil && ctx.Err() == nil
	s.changed.Broadcast()
}

func (s *selection) readAll(ctx context.Context, in pipe.Reader, stdin io.Reader) error {
	for line, err := range in.Records(ctx, stdin) {
		if err != nil {
			return err
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
		case record.File{}.Kind():
			var f record.File
			if err := line.Decode(&f); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			if f.Entry == "" { // of a host
				if err := in.Out.Pass(line); err != nil {
					return err
				}
				continue
			}
			image := record.Image{Bundle: f.Bundle, Entry: f.Entry, Repository: f.Repository, Tag: f.Tag, Digest: f.Digest, Size: f.Size, Type: typeFile}
			if err := s.add(image); err != nil {
				return fmt.Errorf("stdin: line %d: %w", line.Number, err)
			}
		case record.Skipped{}.Kind(), record.Blob{}.Kind():
			var about record.Skipped // a blob names its entry by the same fields
			if err := line.Decode(&about); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			s.settle(entryName{about.Bundle, about.Entry})
			if line.Kind == about.Kind() {
				s.skip(about)
			}
		case record.Rest{}.Kind():
			var rest record.Rest
			if err := line.Decode(&rest); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			s.listRest(rest)
		case record.Bundle{}.Kind():
			var b record.Bundle
			if err := line.Decode(&b); err != nil {
				return fmt.Errorf("stdin: %w", err)
			}
			if err := s.verified(b); err != nil {
				return fmt.Errorf("bundle %s: %w", b.Path, err)
			}
		}
	}
	return nil
}

// settle records that an entry is done. A bundle-ls in the pipeline is no
// further than this record, so nothing waits for the next one.
func (s *selection) settle(e entryName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[e] = true
	s.latest, s.since = e, time.Now()
	s.changed.Broadcast()
}

// skip counts an entry that yields no image.
func (s *selection) skip(r record.Skipped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Status == record.StatusFailed {
		s.failed++
	} else {
		s.skipped++
	}
}

// unlisted returns how many entries were skipped by bundle-ls, and how many could
// not be listed, so far.
func (s *selection) unlisted() (skipped, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skipped, s.failed
}

// verified records the digest that a bundle record promises. It must arrive
// before the records of the bundle's images, which might otherwise be published
// already.
func (s *selection) verified(b record.Bundle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Digest == "" || s.digests[b.Path] == b.Digest {
		return nil
	}
	if s.begun[b.Path] {
		return cli.Hint(errors.New("its record came after those of its images"), "keep the bundle record first when sorting")
	}
	s.digests[b.Path] = b.Digest
	return nil
}

// bundle returns a bundle with the digest that the records promise.
func (s *selection) bundle(path string) pipe.Bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pipe.Bundle{Path: path, Digest: s.digests[path]}
}

func (s *selection) add(image record.Image) error {
	switch {
	case image.Bundle == "-":
		return cli.Hint(errors.New("the bundle was on bundle-ls's stdin and cannot be read again"), "name the file, or give the stream to oci-push itself: oci-push --to … -")
	case image.Bundle == "" || image.Entry == "" || image.Repository == "" || image.Tag == "" && image.Digest == "":
		return errors.New("image record lacks bundle, entry, repository, or tag and digest")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.entries(image.Bundle)
	entries[image.Entry] = append(entries[image.Entry], image)
	s.count++
	s.latest, s.since = entryName{image.Bundle, image.Entry}, time.Now()
	s.changed.Broadcast()
	return nil
}

// entries returns the wanted entries of a bundle, which is read when its turn
// comes.
func (s *selection) entries(bundle string) map[string][]record.Image {
	if s.want[bundle] == nil {
		s.want[bundle] = make(map[string][]record.Image)
		s.bundles = append(s.bundles, bundle)
	}
	return s.want[bundle]
}

// watch wakes all waiters when the context ends.
func (s *selection) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, s.wake)
}

func (s *selection) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// wait waits for a record, or for the end of ctx.
func (s *selection) wait() {
	s.waiting("waiting for records")
	s.changed.Wait()
	s.waiting("")
}
