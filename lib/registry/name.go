package registry

import (
	"fmt"

	"k0rdent-airgap/lib/ref"
)

// ValidName reports whether s is a repository name as distribution-spec defines
// it. Such a name is safe as a relative path.
func ValidName(s string) bool { return ref.CheckRepository(s) == nil }

// ValidTag reports whether s is a tag as distribution-spec defines it.
func ValidTag(s string) bool { return ref.CheckTag(s) == nil }

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
