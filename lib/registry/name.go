package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"regexp"
	"strings"
)

// maxName is the longest repository name that is accepted. Clients limit host
// and name together to 255 characters (distribution-spec, "Pulling manifests"),
// and a component must fit a file name.
const maxName = 255

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// ValidName tells whether s is a repository name as distribution-spec defines
// it. Such a name is safe as a relative path: no component is empty, starts
// with a dot or an underscore, or holds anything but [a-z0-9._-].
func ValidName(s string) bool {
	return len(s) <= maxName && nameForm.MatchString(s)
}

// ValidTag tells whether s is a tag as distribution-spec defines it.
func ValidTag(s string) bool { return tagForm.MatchString(s) }

// Digest names content: "sha256:" or "sha512:" and lower-case hexadecimal.
// Every Digest that ParseDigest returned is safe as a path.
type Digest string

// newHash gives the hash of an algorithm, or nil for one that is not known.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// hexLen gives the length of an algorithm's digest in hexadecimal, 0 for one
// that is not known.
func hexLen(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 2 * sha256.Size
	case "sha512":
		return 2 * sha512.Size
	}
	return 0
}

// ParseDigest checks a digest's form. The error is ErrDigestInvalid.
func ParseDigest(s string) (Digest, error) {
	algorithm, hex, ok := strings.Cut(s, ":")
	if !ok || hexLen(algorithm) == 0 {
		return "", fmt.Errorf("%w: must be sha256:HEX or sha512:HEX", ErrDigestInvalid)
	}
	if len(hex) != hexLen(algorithm) || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%w: must have %d lower-case hexadecimal digits for %s", ErrDigestInvalid, hexLen(algorithm), algorithm)
	}
	return Digest(s), nil
}

// Algorithm gives the part before the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return algorithm
}

// path gives the place of the content below a layout's or the pool's blobs
// directory (image-spec, image layout).
func (d Digest) path() string { return strings.Replace(string(d), ":", "/", 1) }

// sum gives the digest of what was written to h.
func sum(algorithm string, h hash.Hash) Digest {
	return Digest(fmt.Sprintf("%s:%x", algorithm, h.Sum(nil)))
}
