package ref

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
)

// A Digest names content: "sha256:" or "sha512:" and lower-case hexadecimal. One
// that ParseDigest returned is safe as a path.
type Digest string

// DigestRule is the rule that ParseDigest enforces, for errors.
const DigestRule = "must be sha256: with 64, or sha512: with 128, lower-case hexadecimal digits"

// ParseDigest returns the digest that s is.
func ParseDigest(s string) (Digest, error) {
	algorithm, hex, _ := strings.Cut(s, ":")
	h := NewHash(algorithm)
	if h == nil || len(hex) != 2*h.Size() || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", &problem{"digest", s, DigestRule}
	}
	return Digest(s), nil
}

// NewHash returns the hash of an algorithm, or nil for one that has no digests.
func NewHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// Sum returns the digest of what was written to h, the hash of algorithm.
func Sum(algorithm string, h hash.Hash) Digest {
	return Digest(fmt.Sprintf("%s:%x", algorithm, h.Sum(nil)))
}

// Algorithm returns the part before the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return algorithm
}

// Path returns the place of the content below the blobs directory of an image
// layout (image-spec, "OCI Image Layout").
func (d Digest) Path() string { return strings.Replace(string(d), ":", "/", 1) }
