package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// maxReferrers bounds a page of referrers, in bytes, unless its first is larger.
const maxReferrers = 512 << 10

// Tags implements Store. It omits tags of deleted manifests.
func (d *Disk) Tags(ctx context.Context, name, last string, limit int) ([]string, bool, error) {
	if !d.hasRepo(name) {
		return nil, false, ErrNameUnknown
	}
	for {
		deleted, err := d.deleted(name) // before the tags, which a sweep removes first
		if err != nil {
			return nil, false, err
		}
		tags, more, err := d.namesIn(ctx, tagsPath(name), last, limit)
		if err != nil || len(tags) == 0 || len(deleted) == 0 {
			return tags, more, err
		}
		last = tags[len(tags)-1]
		if tags, err = d.withoutDeleted(name, tags, deleted); err != nil || len(tags) > 0 || !more {
			return tags, more, err
		}
	}
}

// namesIn returns a page of the links in a directory. Concurrent requests for it
// share one read, unless something has changed meanwhile.
func (d *Disk) namesIn(ctx context.Context, dir, last string, limit int) ([]string, bool, error) {
	return d.share(ctx, dir, last, limit, func(limit int) ([]string, bool, error) {
		for tries := 0; ; tries++ {
			before := d.names.changes.Load()
			page := lowest{limit: limit, after: last}
			err := d.tree.eachName(dir, func(name []byte, kind byte) error {
				if kind == isLink || kind == isUnknown {
					page.add(name)
				}
				return nil
			})
			if err != nil {
				return nil, false, err
			}
			names, more, end := d.settled(dir, page)
			if len(names) == 0 && more { // none is durable yet
				last = end
				continue
			}
			// A change that failed meanwhile may have been seen.
			if d.names.changes.Load() == before || !d.names.failing() || tries == 3 {
				return names, more, nil
			}
		}
	})
}

// settled returns the durable names of a page: without those that are being added,
// and with those that are being removed. end is where the page ends.
func (d *Disk) settled(dir string, page lowest) (names []string, more bool, end string) {
	pending := d.names.pending(dir)
	for name, existed := range pending {
		if existed {
			page.add([]byte(name))
		}
	}
	names, more = page.done()
	if len(names) > 0 {
		end = names[len(names)-1]
	}
	return slices.DeleteFunc(names, func(name string) bool {
		existed, editing := pending[name]
		return editing && !existed
	}), more, end
}

type namesPage struct {
	names []string
	more  bool
}

// share shares the result of f among concurrent requests for the same page.
func (d *Disk) share(ctx context.Context, dir, last string, limit int, f func(limit int) ([]string, bool, error)) ([]string, bool, error) {
	if limit == 0 {
		return nil, true, nil
	}
	if limit == noLimit || limit > maxPage {
		limit = maxPage
	}
	key := fmt.Sprintf("%d %s %d %s", d.names.changes.Load(), dir, limit, last)
	v, err, _ := d.flights.Do(key, func() (any, error) {
		var p namesPage
		err := d.list(context.WithoutCancel(ctx), func() (err error) {
			p.names, p.more, err = f(limit)
			return err
		})
		return p, err
	})
	p, _ := v.(namesPage)
	return p.names, p.more, err
}

// Referrers implements Store. It reads types and annotations from the manifests.
func (d *Disk) Referrers(ctx context.Context, name string, subject Digest, artifactType, last string) ([]Descriptor, bool, error) {
	if !d.hasRepo(name) {
		return nil, false, ErrNameUnknown
	}
	if last != "" {
		last = referrerName(Digest(last))
	}
	var list []Descriptor
	size := 0
	links := func(last string) ([]string, bool, error) {
		return d.namesIn(ctx, referrersPath(name, subject), last, noLimit)
	}
	for link, err := range Each(last, links) {
		if err != nil {
			return nil, false, err
		}
		digest, err := ParseDigest(strings.Replace(link, "-", ":", 1))
		if err != nil {
			continue // not the registry's
		}
		desc, err := d.referrer(ctx, name, digest)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrManifestUnknown) { // deleted since
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if artifactType != "" && desc.ArtifactType != artifactType {
			continue
		}
		for key, value := range desc.Annotations {
			size += len(key) + len(value)
		}
		if size += 300; size > maxReferrers && len(list) > 0 {
			return list, true, nil
		}
		list = append(list, desc)
	}
	return list, false, nil
}

func (d *Disk) referrer(ctx context.Context, name string, digest Digest) (Descriptor, error) {
	mediaType, err := d.mediaType(name, digest)
	if err != nil {
		return Descriptor{}, err
	}
	m, size, err := d.parsed(ctx, name, digest, mediaType)
	if err != nil {
		return Descriptor{}, err
	}
	return m.referrer(digest, size), nil
}

// list runs f while few other lists read directories.
func (d *Disk) list(ctx context.Context, f func() error) error {
	if err := d.listing.Acquire(ctx, 1); err != nil {
		return &bodyError{err} // the client disconnected
	}
	defer d.listing.Release(1)
	return f()
}
