package oci

import (
	"archive/tar"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Members of a layout that mean something (image-layout.md).
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	dockerFile = "manifest.json" // of a docker-archive
)

// A members reader checks the tar members of one archive as they come.
type members struct {
	seen   map[string]bool // of those that mean something, but blobs
	blobs  map[v1.Hash]int64
	count  int
	chart  bool   // a directory at the top has a Chart.yaml
	layout []byte // oci-layout's content
}

// take checks a member and returns its clean name, and the digest of a blob
// (zero otherwise). A name of "" is of no interest: directories and files that
// the layout does not define. A member may come again, as it does in a tar that
// was appended to: of the layout's own files the last one counts, and a blob is
// what its digest says each time.
func (m *members) take(h *tar.Header) (string, v1.Hash, error) {
	if m.count++; m.count > maxMembers {
		return "", v1.Hash{}, invalid("more than %d members", maxMembers)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return "", v1.Hash{}, nil
	}
	name, err := cleanMember(h.Name)
	if err != nil || h.Typeflag == tar.TypeDir {
		return "", v1.Hash{}, err
	}
	// What else lies below blobs/ (.DS_Store, AppleDouble, digests of algorithms
	// that no registry takes) means nothing.
	digest, notBlob := v1.NewHash(strings.Replace(strings.TrimPrefix(name, "blobs/"), "/", ":", 1))
	blob := strings.HasPrefix(name, "blobs/") && notBlob == nil
	if dir, base := path.Split(name); base == "Chart.yaml" && strings.Count(dir, "/") == 1 {
		m.chart = true
	}
	if !blob && name != layoutFile && name != indexFile && name != dockerFile {
		return "", v1.Hash{}, nil // docker-archives have links among these
	}
	if h.Typeflag == tar.TypeLink && path.Clean(h.Linkname) == name {
		return "", v1.Hash{}, nil // tar was given the file twice, and links it to itself
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeCont || len(h.PAXRecords["GNU.sparse.major"]) > 0 || len(h.PAXRecords["GNU.sparse.map"]) > 0 {
		return "", v1.Hash{}, invalid("member %s: not a plain file", name)
	}
	if !blob {
		m.seen[name] = true
		return name, v1.Hash{}, nil
	}
	if size, again := m.blobs[digest]; again && size != h.Size {
		return "", v1.Hash{}, invalid("member %s: occurs twice, with %d and %d bytes", name, size, h.Size)
	}
	m.blobs[digest] = h.Size
	return name, digest, nil
}

// cleanMember refuses names that no layout has. Nothing is ever written under
// them, but an archive that tries deserves no further reading.
func cleanMember(name string) (string, error) {
	bad := name == "" || len(name) > 4096 || name[0] == '/' || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, unicode.IsControl)
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == ".."
	}
	if bad {
		return "", invalid("hostile member name %.80q", name)
	}
	return path.Clean(name), nil
}

// finish decides what kind of archive the members make, once all have been seen.
func (m *members) finish(a *Archive) error {
	a.docker = m.seen[dockerFile]
	switch {
	case m.seen[layoutFile] && m.seen[indexFile]:
		return checkLayout(m.layout)
	case m.seen[dockerFile] && !m.seen[layoutFile]:
		return ErrDockerArchive
	case len(m.blobs) > 0 || m.seen[layoutFile]:
		// The tar reader takes an end between two members for the proper one.
		return fmt.Errorf("%w: there are blobs, but not both of %s and %s", ErrTruncated, indexFile, layoutFile)
	case m.chart:
		return ErrChartPackage
	}
	return notArchive("a tar without %s", layoutFile)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func notArchive(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotArchive, fmt.Sprintf(format, args...))
}
