package oci

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Members that a layout defines (image-layout.md).
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	dockerFile = "manifest.json" // of a docker-archive
)

// A members reader checks the tar members of one archive as they come.
type members struct {
	tar     *tar.Reader
	archive *Archive
	seen    map[string]bool // of the members that a layout defines, other than blobs
	count   int
	chart   bool   // a directory at the top has a Chart.yaml
	layout  []byte // oci-layout's content
}

func newMembers(r io.Reader) *members {
	return &members{tar: tar.NewReader(r), archive: newArchive(), seen: map[string]bool{}}
}

// next reads the next member unless it is a blob, whose digest and size it
// returns. The error is io.EOF at the end.
func (m *members) next() (digest v1.Hash, size int64, err error) {
	h, err := m.tar.Next()
	if err != nil {
		return digest, 0, tarError(err)
	}
	name, digest, err := m.take(h)
	switch {
	case err != nil:
	case name == indexFile:
		m.archive.Index, err = readSmall(m.tar, name, h.Size)
	case name == layoutFile:
		m.layout, err = readSmall(m.tar, name, h.Size)
	}
	return digest, h.Size, err
}

// take checks a member and returns its clean name, and the digest of a blob
// (zero otherwise). A name of "" means that the member is ignored: directories
// and files that the layout does not define. A member may occur again, as in a
// tar that was appended to: the last one of the layout's own files counts, and
// each copy of a blob is checked against its digest.
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
	// Anything else below blobs/ (.DS_Store, AppleDouble, digests of
	// algorithms that no registry accepts) is ignored.
	digest, notBlob := v1.NewHash(strings.Replace(strings.TrimPrefix(name, "blobs/"), "/", ":", 1))
	blob := strings.HasPrefix(name, "blobs/") && notBlob == nil
	if dir, base := path.Split(name); base == "Chart.yaml" && strings.Count(dir, "/") == 1 {
		m.chart = true
	}
	if !blob && name != layoutFile && name != indexFile && name != dockerFile {
		return "", v1.Hash{}, nil // docker-archives have links among these
	}
	if h.Typeflag == tar.TypeLink && path.Clean(h.Linkname) == name {
		return "", v1.Hash{}, nil // tar was given the file twice and linked it to itself
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeCont || len(h.PAXRecords["GNU.sparse.major"]) > 0 || len(h.PAXRecords["GNU.sparse.map"]) > 0 {
		return "", v1.Hash{}, invalid("member %s: not a regular file", name)
	}
	if !blob {
		m.seen[name] = true
		return name, v1.Hash{}, nil
	}
	if size, again := m.archive.Sizes[digest]; again && size != h.Size {
		return "", v1.Hash{}, invalid("member %s: occurs twice, with %d and %d bytes", name, size, h.Size)
	}
	m.archive.Sizes[digest] = h.Size
	return name, digest, nil
}

// cleanMember refuses names that no layout has. Nothing is ever written under
// them, but an archive that contains one is not read any further.
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

// finish determines the kind of archive once all members have been read.
func (m *members) finish() error {
	m.archive.docker = m.seen[dockerFile]
	switch {
	case m.seen[layoutFile] && m.seen[indexFile]:
		return checkLayout(m.layout)
	case m.seen[dockerFile] && !m.seen[layoutFile]:
		return ErrDockerArchive
	case len(m.archive.Sizes) > 0 || m.seen[layoutFile]:
		// The tar reader does not notice a tar that was cut between two
		// members.
		return fmt.Errorf("%w: it has blobs, but not both %s and %s", ErrTruncated, indexFile, layoutFile)
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
