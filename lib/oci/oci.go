// Package oci reads one OCI archive: a tar of an OCI image layout, as skopeo's
// oci-archive transport writes it (image-spec, image-layout.md).
//
// There are two ways in. Read takes a stream, in which blobs come in any order
// and index.json last, so that nothing says which blob is a manifest while it
// passes: what looks like JSON and is small is held back, all else is handed to
// a callback as it passes. Open takes a file that can seek and reads nothing
// but tar headers and the JSON that matters.
//
// Some people compress an archive once more; Read inflates it as it passes.
//
// Either gives an Archive, whose Images are what index.json names, each with
// its manifests bottom-up and all blobs they need.
//
// Nothing is trusted. Every byte that Read passes on and every JSON that either
// holds is checked against the digest that names it. Memory is bounded: JSON by
// maxHeld, the list of members by maxMembers (together some 50 MiB at worst; the
// vendor's archives take some 20 kB); inflating takes 1 MiB for gzip, and at most
// zstdWindow for zstd.
package oci

import (
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What an archive may turn out to be, or to suffer from. Test with errors.Is.
var (
	// ErrNotArchive: the content is no OCI archive; the text says why.
	ErrNotArchive = errors.New("not an OCI archive")
	// ErrDockerArchive: the content is what `docker save` used to write.
	ErrDockerArchive = errors.New("a docker-archive, not an OCI archive")
	// ErrChartPackage: the content is what "helm package" writes.
	ErrChartPackage = errors.New("a Helm chart package, not an OCI archive")
	// ErrTruncated: the archive's tar ends too early.
	ErrTruncated = errors.New("archive truncated")
	// ErrInvalid: the archive breaks the OCI image specification, or exceeds
	// a limit of this package.
	ErrInvalid = errors.New("invalid OCI archive")
	// ErrDigest: a blob's content is not what its name says.
	ErrDigest = errors.New("digest mismatch")
)

const (
	// maxJSON is the largest manifest, index or config taken. Registries
	// must take manifests of 4 MiB (distribution-spec, "Pushing Manifests").
	maxJSON = 4 << 20
	// maxHeld bounds the JSON held of one archive. Once half of it is taken,
	// only pieces up to smallJSON are held, so that bills of materials, which
	// are large and need not be held, leave room for manifests and configs.
	maxHeld   = 32 << 20
	smallJSON = 256 << 10
	// maxMembers bounds the members of one archive; an image for ten
	// platforms has some 200.
	maxMembers = 1 << 16
)

// An Archive is what was found in one OCI archive.
type Archive struct {
	// Index is index.json as it stands.
	Index []byte
	// JSON holds, by digest and verified, every manifest and index that
	// index.json leads to. Of other blobs, Read adds all that look like JSON
	// (they were not given to the callback), Open those configs that tell a
	// platform or a chart.
	JSON map[v1.Hash][]byte
	// Sizes has every blob in the archive and its length.
	Sizes map[v1.Hash]int64

	at      io.ReaderAt // nil after Read
	fetch   Fetch       // set by Follow alone
	offsets map[v1.Hash]int64
	held    int64 // bytes in JSON
	docker  bool  // it is a docker-archive as well
	walk    func() ([]*Image, error)
}

func newArchive() *Archive {
	a := &Archive{
		JSON:    map[v1.Hash][]byte{},
		Sizes:   map[v1.Hash]int64{},
		offsets: map[v1.Hash]int64{},
	}
	a.walk = sync.OnceValues(a.images)
	return a
}

// Images returns what index.json names, in its order. The error is ErrInvalid
// or ErrDigest and tells the first thing that does not fit together. Blobs and
// children that the archive lacks are no error: see Image.Missing.
func (a *Archive) Images() ([]*Image, error) { return a.walk() }

// Blob gives access to a blob of an archive that was opened by Open. What it
// reads is not verified: wrap it in Verify.
func (a *Archive) Blob(digest v1.Hash) (*io.SectionReader, bool) {
	size, ok := a.Sizes[digest]
	if !ok || a.at == nil {
		return nil, false
	}
	return io.NewSectionReader(a.at, a.offsets[digest], size), true
}
