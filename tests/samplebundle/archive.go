package samplebundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Media types of the OCI image specification, of Helm and of cosign.
const (
	typeManifest      = "application/vnd.oci.image.manifest.v1+json"
	typeIndex         = "application/vnd.oci.image.index.v1+json"
	typeConfig        = "application/vnd.oci.image.config.v1+json"
	typeEmpty         = "application/vnd.oci.empty.v1+json"
	typeLayer         = "application/vnd.oci.image.layer.v1.tar+gzip"
	typePlainLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeHelmConfig    = "application/vnd.cncf.helm.config.v1+json"
	typeHelmContent   = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	typeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	typeSPDX          = "application/spdx+json"

	// refName is the annotation that holds the tag in an image layout.
	refName = "org.opencontainers.image.ref.name"
)

// The JSON documents of the OCI image specification, as far as they are used
// here. They stand apart from the code under test on purpose.
type (
	platform struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	}
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Data        string            `json:"data,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
		Platform    *platform         `json:"platform,omitempty"`
	}
	manifest struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType,omitempty"`
		ArtifactType  string            `json:"artifactType,omitempty"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Subject       *descriptor       `json:"subject,omitempty"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
	index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType,omitempty"`
		Manifests     []descriptor `json:"manifests"`
	}
)

// A blob knows its digest and writes its bytes as often as it is asked to.
type blob struct {
	mediaType string
	digest    string
	size      int64
	write     func(io.Writer) error
}

func dataBlob(mediaType string, p []byte) *blob {
	return &blob{mediaType, digestOf(p), int64(len(p)), func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	}}
}

// jsonBlob encodes one of the types above, which cannot fail.
func jsonBlob(mediaType string, v any) *blob { return dataBlob(mediaType, encode(v)) }

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("samplebundle: %v", err)) // only our own plain structs come here
	}
	return p
}

func digestOf(p []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(p)) }

func (b *blob) descriptor() descriptor {
	return descriptor{MediaType: b.mediaType, Digest: b.digest, Size: b.size}
}

// A member is one file of an archive.
type member struct {
	name  string
	size  int64
	link  string // symbolic link to this, if set
	write func(io.Writer) error
}

func dataMember(name string, p []byte) member {
	b := dataBlob("", p)
	return member{name: name, size: b.size, write: b.write}
}

// An archive is one tar of the bundle: what to write and what it is to be
// recognised as.
type archive struct {
	entry   Entry
	dirs    []string
	members []member
	cut     int64   // bytes that are missing at the end
	raw     *member // content that is not a tar, instead of all the above
	link    byte    // type of a link, which stands in the bundle instead of a file
	target  string  // of the link
}

// ociArchive puts blobs into the order in which skopeo writes them: two
// directories, the blobs by digest, index.json, oci-layout.
func ociArchive(e Entry, top descriptor, blobs []*blob) *archive {
	a := &archive{entry: e, dirs: []string{"blobs/", "blobs/sha256/"}}
	blobs = slices.SortedFunc(slices.Values(blobs), func(x, y *blob) int { return cmp.Compare(x.digest, y.digest) })
	blobs = slices.CompactFunc(blobs, func(x, y *blob) bool { return x.digest == y.digest })
	for _, b := range blobs {
		a.members = append(a.members, member{name: blobName(b.digest), size: b.size, write: b.write})
		a.entry.Blobs = append(a.entry.Blobs, Blob{b.digest, b.mediaType, b.size})
	}
	idx := encode(index{SchemaVersion: 2, Manifests: []descriptor{top}})
	a.members = append(a.members,
		dataMember("index.json", idx),
		dataMember("oci-layout", []byte(`{"imageLayoutVersion": "1.0.0"}`)))
	a.entry.Digest, a.entry.MediaType = top.Digest, top.MediaType
	return a
}

func blobName(digest string) string {
	return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:")
}

// member finds a member by name; a defect is made by changing it.
func (a *archive) member(name string) *member {
	for i := range a.members {
		if a.members[i].name == name {
			return &a.members[i]
		}
	}
	panic("samplebundle: no member " + name) // a mistake in this package
}

func (a *archive) replace(name string, p []byte) { *a.member(name) = dataMember(name, p) }

func (a *archive) remove(name string) {
	a.member(name)
	a.members = slices.DeleteFunc(a.members, func(m member) bool { return m.name == name })
}

// size is the length of the tar: a header a member, content in whole blocks,
// two zero blocks at the end.
func (a *archive) size() int64 {
	if a.raw != nil {
		return a.raw.size
	}
	n := int64(512*len(a.dirs) + 1024)
	for _, m := range a.members {
		n += 512 + (m.size+511)&^511
	}
	return n - a.cut
}

// write writes the tar with the header fields that skopeo fills, but no times.
func (a *archive) write(w io.Writer) error {
	if a.raw != nil {
		return a.raw.write(w)
	}
	if a.cut > 0 {
		w = &cutWriter{w, a.size()}
	}
	tw := tar.NewWriter(w)
	header := func(h tar.Header) error {
		h.Uname, h.Gname, h.Format = "root", "root", tar.FormatUSTAR
		return tw.WriteHeader(&h)
	}
	for _, d := range a.dirs {
		if err := header(tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o40755}); err != nil {
			return err
		}
	}
	for _, m := range a.members {
		h := tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: 0o100644, Size: m.size}
		if m.link != "" {
			h = tar.Header{Typeflag: tar.TypeSymlink, Name: m.name, Linkname: m.link, Mode: 0o777}
		}
		if err := header(h); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if m.write == nil {
			continue
		}
		if err := m.write(tw); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return tw.Close()
}

// cutWriter drops what goes beyond its first left bytes.
type cutWriter struct {
	w    io.Writer
	left int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	if n > 0 {
		c.left -= n
		if _, err := c.w.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// content reads a small member back.
func (a *archive) content(name string) []byte {
	var b bytes.Buffer
	if err := a.member(name).write(&b); err != nil {
		panic(err) // it is in memory
	}
	return b.Bytes()
}

// sparse removes the last image of an index from the archive, as a copy for
// one platform leaves it.
func (a *archive) sparse() {
	var idx index
	decode(a.content(blobName(a.entry.Digest)), &idx)
	keep := map[string]bool{a.entry.Digest: true}
	for i, d := range idx.Manifests {
		var m manifest
		decode(a.content(blobName(d.Digest)), &m)
		last := i == len(idx.Manifests)-1
		for _, x := range append(m.Layers, m.Config, d) {
			if last && !keep[x.Digest] {
				a.remove(blobName(x.Digest))
				a.entry.Blobs = slices.DeleteFunc(a.entry.Blobs, func(b Blob) bool { return b.Digest == x.Digest })
			}
			keep[x.Digest] = true
		}
		if last {
			a.entry.Missing = append(a.entry.Missing, d.Digest)
		}
	}
}

// decode reads back what encode wrote.
func decode(p []byte, v any) {
	if err := json.Unmarshal(p, v); err != nil {
		panic(fmt.Sprintf("samplebundle: %v", err))
	}
}
