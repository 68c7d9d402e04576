package registry

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"k0rdent-airgap/lib/ref"
)

// Store holds the content that the handler serves. Names, digests, tags and
// upload ids have passed Parse. Besides the errors that it lists, a method may
// return any other error for a fault of its own, and one that writes ErrQuota and
// ErrReadOnly; a read-only store returns ErrUnsupported from all that write.
// Methods are safe for concurrent use.
type Store interface {
	// Blob returns the blob or manifest d of a repository.
	// Errors: ErrBlobUnknown, ErrNameUnknown.
	Blob(ctx context.Context, name string, d Digest) (Content, error)

	// Manifest returns a manifest by tag or, if tag is "", by digest.
	// Errors: ErrManifestUnknown, ErrNameUnknown.
	Manifest(ctx context.Context, name, tag string, d Digest) (Content, error)

	// Tags returns tags in lexical order, starting after last: up to limit, or fewer
	// if the store returns less at a time. more reports whether others follow.
	// Errors: ErrNameUnknown.
	Tags(ctx context.Context, name, last string, limit int) (tags []string, more bool, err error)

	// Repositories returns the names of repositories in the same way.
	Repositories(ctx context.Context, last string, limit int) (names []string, more bool, err error)

	// Referrers returns descriptors of the manifests whose subject is d, ordered by
	// digest, starting after last; artifactType "" means any. more reports whether
	// the page is full.
	// Errors: ErrNameUnknown.
	Referrers(ctx context.Context, name string, d Digest, artifactType, last string) (list []Descriptor, more bool, err error)

	// StartUpload opens a session and returns its id. FinishUpload with a digest of
	// another algorithm reads the bytes again.
	// Errors: ErrNoSpace, ErrTooMany, ErrUnsupported.
	StartUpload(ctx context.Context, s Session, algorithm string) (id string, err error)

	// UploadSize returns the number of bytes that a session has received.
	// Errors: ErrUploadUnknown.
	UploadSize(ctx context.Context, s Session) (int64, error)

	// WriteUpload appends body to a session and returns its new size. The part must
	// begin where the session ends, unless its start is negative. What arrived
	// before body failed is kept, so that the client can resume.
	// Errors: ErrUploadUnknown, ErrRange, ErrSizeInvalid, ErrNoSpace (which ends
	// the session), ErrUnsupported, and body's own.
	WriteUpload(ctx context.Context, s Session, part Part, body io.Reader) (int64, error)

	// FinishUpload makes a session's bytes a blob of the repository. Once it returns
	// nil, the blob survives a power failure.
	// Errors: ErrUploadUnknown, ErrDigestInvalid (which ends the session),
	// ErrNoSpace, ErrUnsupported.
	FinishUpload(ctx context.Context, s Session, d Digest) error

	// CancelUpload ends a session.
	// Errors: ErrUploadUnknown, ErrUnsupported.
	CancelUpload(ctx context.Context, s Session) error

	// Mount adds a blob of any repository to this one.
	// Errors: ErrBlobUnknown, ErrNoSpace, ErrUnsupported.
	Mount(ctx context.Context, name string, d Digest) error

	// DeleteBlob removes a blob, but not a manifest, from a repository.
	// Errors: ErrBlobUnknown, ErrNameUnknown, ErrUnsupported.
	DeleteBlob(ctx context.Context, name string, d Digest) error

	// PutManifest stores a manifest and points tags at it; if it fails, some may.
	// Once it returns nil, all of it survives a power failure.
	// Errors: ErrManifestInvalid, ErrManifestTooLarge, ErrManifestBlobUnknown,
	// ErrDigestInvalid, ErrNoSpace, ErrUnsupported, and body's own.
	PutManifest(ctx context.Context, name string, put ManifestPut, body io.Reader) (Stored, error)

	// DeleteManifest removes a manifest and all its tags from a repository or, if
	// tag is not "", only that tag.
	// Errors: ErrManifestUnknown, ErrNameUnknown, ErrUnsupported.
	DeleteManifest(ctx context.Context, name, tag string, d Digest) error
}

// Each returns all names that list returns, after last: list is called for one page
// after another, and reports whether more follow.
func Each(last string, list func(last string) (names []string, more bool, err error)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for last, more := last, true; more; {
			var names []string
			var err error
			if names, more, err = list(last); err != nil {
				yield("", err)
				return
			}
			more = more && len(names) > 0
			for _, last = range names {
				if !yield(last, nil) {
					return
				}
			}
		}
	}
}

// Content is a blob or a manifest. Only Open opens it, so that a HEAD request
// costs no more than a look-up.
type Content struct {
	Digest    Digest
	MediaType string // of a manifest
	Size      int64
	Tagged    time.Time // when the tag that was asked for was set, or zero
	Open      func() (io.ReadSeekCloser, error)
}

// All returns the content itself, which the caller knows to be small.
func (c Content) All() ([]byte, error) {
	f, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, c.Size))
}

// Part is the piece of an upload that a request announces.
type Part struct {
	Start  int64 // offset of its first byte; negative: the end of the session
	Length int64 // negative if unknown
}

// ManifestPut describes a manifest that is pushed.
type ManifestPut struct {
	MediaType string   // from the client, without parameters; may be ""
	Digest    Digest   // from the client; "" if it sent only a tag
	Tags      []string // that will point at it
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

// Digest is a content digest. A parsed one is safe in a path.
type Digest = ref.Digest

// ParseDigest parses a digest that a client sent. The error is ErrDigestInvalid.
func ParseDigest(s string) (Digest, error) {
	d, err := ref.ParseDigest(s)
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrDigestInvalid, ref.DigestRule)
	}
	return d, nil
}
