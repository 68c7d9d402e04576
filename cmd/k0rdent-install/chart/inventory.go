package chart

import (
	"context"
	"errors"
	"io"
)

// ErrNotFound is wrapped by an Inventory's errors if the registry does not have what
// was requested; after any other error, that is unknown.
var ErrNotFound = errors.New("not in the registry")

// An Inventory reads the site's registry. Names of repositories are relative to the
// prefix of Site.Registry: kcm-controller, charts/kcm-templates. A reference is a tag
// or a digest. An Inventory must be safe for concurrent use.
type Inventory interface {
	// Repositories returns the repositories, in any order.
	Repositories(ctx context.Context) ([]string, error)
	// Tags returns the tags of a repository, in any order.
	Tags(ctx context.Context, repository string) ([]string, error)
	// Resolve returns the digest of a manifest, without fetching it if possible.
	// The error is a *client.MovedError if it is not the one that was pushed.
	Resolve(ctx context.Context, repository, reference string) (digest string, err error)
	// Manifest returns a manifest and its media type.
	Manifest(ctx context.Context, repository, reference string) (raw []byte, mediaType string, err error)
	// Blob opens a blob. The caller bounds what it reads, verifies the digest, and
	// closes the blob.
	Blob(ctx context.Context, repository, digest string) (io.ReadCloser, error)
}

// A Note informs the operator about derived values.
type Note struct {
	Value   string // path of the value it is about, or ""
	Text    string
	Warning bool // something will not fully work
}

// The kinds of a Need.
const (
	KindImage    = "image"
	KindChart    = "chart"
	KindArtifact = "artifact"
)

// A Need is something that a running platform requests from a registry.
type Need struct {
	Kind       string
	Reference  string   // as requested: HOST[:PORT]/PATH:TAG, or @DIGEST; PATH alone if any tag suffices
	RequiredBy []string // such as "Deployment kcm-controller-manager"
	Digest     string   // in the site's registry
	Missing    bool     // the site's registry does not have it
	Moved      error    // a *client.MovedError: the registry's content is not what was pushed
	Outside    bool     // it is requested from another registry
	Optional   bool     // the platform becomes ready without it; child clusters or KOF require it
	Value      string   // path of the value that names the image, "" for none
	Nearest    string   // the most similar name in the registry, or ""
	Remark     string   // anything else that matters

	found    bool   // do not look it up
	anyTag   bool   // any tag of the repository suffices
	byDigest string // a tag to read, since digests of the repository's indexes are pulled
}
