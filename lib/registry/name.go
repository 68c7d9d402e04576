package registry

import (
	"fmt"

	"k0rdent-airgap/lib/ref"
)

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
