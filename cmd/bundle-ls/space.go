package main

import (
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/record"
)

// space adds up the bytes of repositories. A blob counts for each repository that
// has it, and as shared for all but the first.
type space struct {
	*site
	// seen has 64 bits of each digest and which repository had it last. That is
	// some 40 bytes a blob, and no two of a hundred million are expected to collide.
	seen    map[uint64]int32
	current record.Repository
	index   int32 // of the current repository
}

func newSpace(s *site) *space { return &space{site: s, seen: make(map[uint64]int32)} }

// add counts an image, whose repository follows those before it.
func (u *space) add(f *found) error {
	if f.repository != u.current.Repository {
		if err := u.flush(); err != nil {
			return err
		}
		u.index++
		u.current = record.Repository{Registry: u.reg.Host(), Prefix: u.reg.Prefix(), Repository: f.repository}
	}
	u.current.Tags++
	for _, m := range f.image.Manifests {
		u.count(m.Descriptor)
	}
	for _, b := range f.image.Blobs {
		u.count(b)
	}
	return nil
}

// count counts a blob of the current repository.
func (u *space) count(b v1.Descriptor) {
	key := short(b.Digest)
	last, known := u.seen[key]
	if known && last == u.index {
		return
	}
	u.seen[key] = u.index
	u.current.Size += b.Size
	if known {
		u.current.SharedBytes += b.Size
	} else {
		u.bytes += b.Size
	}
}

// flush writes the record of the current repository, if there is one.
func (u *space) flush() error {
	if u.current.Repository == "" {
		return nil
	}
	u.counts["repositories"]++
	return u.out.Write(u.current)
}

// short returns 64 bits of a digest.
func short(d v1.Hash) uint64 {
	n, _ := strconv.ParseUint(d.Hex[:min(16, len(d.Hex))], 16, 64)
	return n
}
