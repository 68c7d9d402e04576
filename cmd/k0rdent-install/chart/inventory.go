package chart

import (
	"context"
	"errors"
	"io"
)

// ErrNotFound is wrapped by an Inventory's errors if what was asked for is not
// in the registry; any other error means that the registry did not say.
var ErrNotFound = errors.New("not in the registry")

// An Inventory answers for the site's registry. Repositories are named below
// the prefix of Site.Registry: kcm-controller, charts/kcm-templates. A
// reference is a tag or a digest. Calls come from several goroutines.
type Inventory interface {
	// Repositories lists what the registry has.
	Repositories(ctx context.Context) ([]string, error)
	// Tags lists the tags of a repository, in any order.
	Tags(ctx context.Context, repository string) ([]string, error)
	// Resolve returns the digest of a manifest, without fetching it if possible.
	// A *client.MovedError means that it is not what was pushed.
	Resolve(ctx context.Context, repository, reference string) (digest string, err error)
	// Manifest returns a manifest and its media type.
	Manifest(ctx context.Context, repository, reference string) (raw []byte, mediaType string, err error)
	// Blob opens a blob. The caller reads no more of it than it can hold,
	// compares the digest, and closes it.
	Blob(ctx context.Context, repository, digest string) (io.ReadCloser, error)
}

// A Note is something that the operator should know about derived values.
type Note struct {
	Value   string // path of the value, "" if it is not about one
	Text    string
	Warning bool // true: something will work less well than it could
}

// Kinds of a Need.
const (
	KindImage    = "image"
	KindChart    = "chart"
	KindArtifact = "artifact"
)

// A Need is something that a running platform asks a registry for.
type Need struct {
	Kind      string
	Reference string   // as it is asked for: HOST[:PORT]/PATH:TAG, or @DIGEST; PATH alone where any tag will do
	WantedBy  []string // who asks, such as "Deployment kcm-controller-manager"
	Digest    string   // of what the site's registry has
	Missing   bool     // it is not there
	Moved     error    // a *client.MovedError: the registry has other content than was pushed
	Outside   bool     // it is asked from another registry than the site's
	Optional  bool     // the platform becomes ready without it; child clusters or KOF need it
	Value     string   // path of the value that would bring an image inside, "" for none
	Nearest   string   // what the registry has instead, "" if nothing is like it
	Remark    string   // what else there is to say

	found    bool   // nothing is left to look up
	anyTag   bool   // the repository is wanted, whatever its tags
	byDigest string // digests of indexes in it will be asked for; a tag to look at
}
