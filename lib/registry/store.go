package registry

import (
	"context"
	"fmt"
	"io"

	"k0rdent-airgap/lib/ref"
)

// Store holds the content that the handler serves. Names, digests, tags and
// upload ids that reach it have passed Parse. Every method may return, besides
// the errors that it lists, any other error for a fault of its own, and those
// that write ErrQuota and ErrReadOnly; one that
// cannot change anything returns ErrUnsupported from all methods that write.
// Methods may be called at the same time from several goroutines.
type Store interface {
	// Blob gives what a repository has under a digest, blob or manifest.
	// Errors: ErrBlobUnknown, ErrNameUnknown.
	Blob(ctx context.Context, name string, d Digest) (Content, error)

	// Manifest gives a manifest by tag or, if tag is "", by digest.
	// Errors: ErrManifestUnknown, ErrNameUnknown.
	Manifest(ctx context.Context, name, tag string, d Digest) (Content, error)

	// Tags returns tags in lexical order, starting after last: up to limit, or as
	// many as the store likes to return at once. more reports whether others follow.
	// Errors: ErrNameUnknown.
	Tags(ctx context.Context, name, last string, limit int) (tags []string, more bool, err error)

	// Repositories does the same for the names of repositories.
	Repositories(ctx context.Context, last string, limit int) (names []string, more bool, err error)

	// Referrers gives descriptors of the manifests whose subject is d, in the
	// order of their digests, those after last only; artifactType "" means any.
	// more says that the page is full.
	// Errors: ErrNameUnknown.
	Referrers(ctx context.Context, name string, d Digest, artifactType, last string) (list []Descriptor, more bool, err error)

	// StartUpload opens a session, whose id it chooses. algorithm is the one that FinishUpload is
	// expected to name; another one works, but reads the bytes again.
	// Errors: ErrNoSpace, ErrTooMany, ErrUnsupported.
	StartUpload(ctx context.Context, s Session, algorithm string) (id string, err error)

	// UploadSize gives the number of bytes that a session has received.
	// Errors: ErrUploadUnknown.
	UploadSize(ctx context.Context, s Session) (int64, error)

	// WriteUpload appends body to a session and gives its new size. The part
	// must begin where the session ends, unless its start is negative. What
	// arrived before body failed is kept, so that the client can go on.
	// Errors: ErrUploadUnknown, ErrRange, ErrSizeInvalid, ErrNoSpace (which ends
	// the session), ErrUnsupported, and body's own.
	WriteUpload(ctx context.Context, s Session, part Part, body io.Reader) (int64, error)

	// FinishUpload makes a session's bytes a blob of the repository. When it
	// returns nil, the blob survives a loss of power.
	// Errors: ErrUploadUnknown, ErrDigestInvalid (which ends the session),
	// ErrNoSpace, ErrUnsupported.
	FinishUpload(ctx context.Context, s Session, d Digest) error

	// CancelUpload ends a session.
	// Errors: ErrUploadUnknown, ErrUnsupported.
	CancelUpload(ctx context.Context, s Session) error

	// Mount makes a blob that any repository has a blob of this one as well.
	// Errors: ErrBlobUnknown, ErrNoSpace, ErrUnsupported.
	Mount(ctx context.Context, name string, d Digest) error

	// DeleteBlob takes a blob, but not a manifest, out of a repository.
	// Errors: ErrBlobUnknown, ErrNameUnknown, ErrUnsupported.
	DeleteBlob(ctx context.Context, name string, d Digest) error

	// PutManifest stores a manifest and points tags at it. If it fails, some may
	// point at it.
	// When it returns nil, both survive a loss of power.
	// Errors: ErrManifestInvalid, ErrManifestTooLarge, ErrManifestBlobUnknown,
	// ErrDigestInvalid, ErrNoSpace, ErrUnsupported, and body's own.
	PutManifest(ctx context.Context, name string, put ManifestPut, body io.Reader) (Stored, error)

	// DeleteManifest takes a manifest and all its tags out of a repository or,
	// if tag is not "", that tag alone.
	// Errors: ErrManifestUnknown, ErrNameUnknown, ErrUnsupported.
	DeleteManifest(ctx context.Context, name, tag string, d Digest) error
}

// Content is a blob or a manifest. It is not opened before Open is called, so
// that a HEAD request costs no more than looking it up.
type Content struct {
	Digest    Digest
	MediaType string // of a manifest
	Size      int64
	Open      func() (io.ReadSeekCloser, error)
}

// Part is the piece of an upload that a request says it carries.
type Part struct {
	Start  int64 // offset of its first byte; negative: the end of what is there
	Length int64 // negative: not known
}

// ManifestPut says what a manifest that arrives is to become.
type ManifestPut struct {
	MediaType string   // as the client gave it, without parameters; may be ""
	Digest    Digest   // what the client calls it; "" if it gave a tag only
	Tags      []string // to point at it
}

// Stored is a manifest that has been stored.
type Stored struct {
	Digest  Digest
	Subject Digest // "" if it has none
}

// Descriptor is an entry of a list of referrers (image-spec, descriptor).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Digest names content. One that ParseDigest returned is safe as a path.
type Digest = ref.Digest

// ParseDigest is ref.ParseDigest for what a client sent. The error is
// ErrDigestInvalid, and does not repeat it.
func ParseDigest(s string) (Digest, error) {
	d, err := ref.ParseDigest(s)
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrDigestInvalid, ref.DigestRule)
	}
	return d, nil
}
