// Package oci reads one OCI archive: a tar of an OCI image layout, as skopeo's
// oci-archive transport writes it (image-spec, image-layout.md).
//
// There are two ways in. Read takes a stream, in which blobs come in any order
// and index.json last, so that nothing identifies a manifest while it passes:
// small blobs that look like JSON are held back, and all others are passed to a
// callback as they stream by. Open takes a seekable file and reads only tar
// headers and the JSON it needs.
//
// Some people compress an archive once more; Read inflates it on the fly.
//
// Both return an Archive, whose Images are those that index.json names, each
// with its manifests bottom-up and all the blobs they need.
//
// Nothing is trusted. Every byte that Read passes on and every JSON blob that
// either function holds is checked against its digest. Memory is bounded: JSON
// by maxHeld, the list of members by maxMembers (together about 50 MiB at
// worst; the vendor's archives take about 20 kB); inflating takes 1 MiB for
// gzip, and at most zstdWindow for zstd.
package oci

import (
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The errors of an archive. Test with errors.Is.
var (
	// ErrNotArchive: the content is not an OCI archive; the text says why.
	ErrNotArchive = errors.New("not an OCI archive")
	// ErrDockerArchive: the content is what `docker save` used to write.
	ErrDockerArchive = errors.New("a docker-archive, not an OCI archive")
	// ErrChartPackage: the content is what "helm package" writes.
	ErrChartPackage = errors.New("a Helm chart package, not an OCI archive")
	// ErrTruncated: the archive's tar ends too early.
	ErrTruncated = errors.New("archive truncated")
	// ErrInvalid: the archive violates the OCI image specification or
	// exceeds a limit of this package.
	ErrInvalid = errors.New("invalid OCI archive")
	// ErrDigest: a blob's content does not match its digest.
	ErrDigest = errors.New("digest mismatch")
)

const (
	// maxJSON is the largest manifest, index or config accepted. Registries
	// must take manifests of 4 MiB (distribution-spec, "Pushing
	// Manifests").
	maxJSON = 4 << 20
	// maxHeld bounds the JSON held of one archive. Once half of it is used,
	// only blobs of up to smallJSON are held, so that bills of materials,
	// which are large and need not be held, leave room for manifests and
	// configs.
	maxHeld   = 32 << 20
	smallJSON = 256 << 10
	// maxMembers bounds the members of one archive; an image for ten
	// platforms has about 200.
	maxMembers = 1 << 16
)

// An Archive is the contents of one OCI archive.
type Archive struct {
	// Index is index.json as it stands.
	Index []byte
	// JSON holds, by digest and verified, every manifest and index that
	// index.json leads to. Read adds all other blobs that look like JSON
	// (which are not passed to the callback), Open only the configs that
	// describe a platform or a chart.
	JSON map[v1.Hash][]byte
	// Sizes holds the length of every blob in the archive.
	Sizes map[v1.Hash]int64

	at      io.ReaderAt // nil after Read
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

// Images returns what index.json names, in its order. The error, ErrInvalid or
// ErrDigest, describes the first inconsistency. Missing blobs and children are
// not an error: see Image.Missing.
func (a *Archive) Images() ([]*Image, error) { return a.walk() }

// Blob returns a reader of a blob in an archive that was opened by Open. The
// content is not verified: wrap it in Verify.
func (a *Archive) Blob(digest v1.Hash) (*io.SectionReader, bool) {
	size, ok := a.Sizes[digest]
	if !ok || a.at == nil {
		return nil, false
	}
	return io.NewSectionReader(a.at, a.offsets[digest], size), true
}
