package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	others  map[string]int // entries that bundle-ls skipped or could not list, by status
	ended   bool           // no more records follow
	whole   bool           // and all of them have arrived
	latest  entryName      // the entry of the last record
	since   time.Time      // when it arrived
	more    time.Duration  // how long others for the same entry may take
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
		digests: make(map[string]string), begun: make(map[string]bool), others: make(map[string]int),
		rests: rests{all: make(map[string]record.Rest)},
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// read reads the records on stdin.
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
		host, err := s.accept(line)
		if err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if host {
			if err := in.Out.Pass(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// accept adds the information in a record. It reports whether that is about a
// file of a host, which this program does not replace.
func (s *selection) accept(line record.Line) (host bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	switch line.Kind {
	case record.Image{}.Kind():
		var image record.Image
		if err := line.Decode(&image); err != nil {
			return false, err
		}
		return false, s.add(line, image)
	case record.File{}.Kind():
		var f record.File
		if err := line.Decode(&f); err != nil || f.Entry == "" {
			return err == nil, err
		}
		return false, s.add(line, record.Image{Bundle: f.Bundle, Entry: f.Entry, Repository: f.Repository, Tag: f.Tag, Digest: f.Digest, Size: f.Size, Type: typeFile})
	case record.Skipped{}.Kind(), record.Blob{}.Kind():
		var about record.Skipped // a blob names its entry by the same fields
		if err := line.Decode(&about); err != nil {
			return false, err
		}
		// A bundle-ls in the pipeline is no further than this record, so
		// nothing waits for the next one.
		s.latest, s.since = entryName{about.Bundle, about.Entry}, time.Now()
		s.settled[s.latest] = true
		if line.Kind == about.Kind() {
			s.others[statusOf(about)]++
		}
	case record.Rest{}.Kind():
		var rest record.Rest
		if err := line.Decode(&rest); err != nil {
			return false, err
		}
		s.entries(rest.Bundle)
		s.rests.add(rest)
	case record.Bundle{}.Kind():
		var b record.Bundle
		if err := line.Decode(&b); err != nil {
			return false, err
		}
		return false, s.verified(b)
	}
	return false, nil
}

// statusOf returns the status of an entry that yields no image.
func statusOf(r record.Skipped) string { return cmp.Or(r.Status, record.StatusSkipped) }

// unlisted counts the entries that bundle-ls skipped or could not list so far,
// by their status.
func (s *selection) unlisted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.others)
}

// verified records the digest that a bundle record promises. It must arrive
// before the records of the bundle's images, which might otherwise be published
// already.
func (s *selection) verified(b record.Bundle) error {
	if b.Digest == "" || s.digests[b.Path] == b.Digest {
		return nil
	}
	if s.begun[b.Path] {
		return cli.Hint(fmt.Errorf("bundle %s: its record came after those of its images", b.Path), "keep the bundle record first when sorting")
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

// add adds a wanted image, which a record names.
func (s *selection) add(line record.Line, image record.Image) error {
	switch {
	case image.Bundle == "-":
		return cli.Hint(fmt.Errorf("line %d: the bundle was on bundle-ls's stdin and cannot be read again", line.Number), "name the file, or give the stream to oci-push itself: oci-push --to … -")
	case image.Bundle == "" || image.Entry == "" || image.Repository == "" || image.Tag == "" && image.Digest == "":
		return fmt.Errorf("line %d: image record lacks bundle, entry, repository, or tag and digest", line.Number)
	}
	entries := s.entries(image.Bundle)
	entries[image.Entry] = append(entries[image.Entry], image)
	s.count++
	s.latest, s.since = entryName{image.Bundle, image.Entry}, time.Now()
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

// wake wakes all waiters.
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
