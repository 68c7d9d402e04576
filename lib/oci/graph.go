package oci

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// maxDepth bounds nested indexes. Nobody nests more than two.
	maxDepth = 8
	// maxDescriptors bounds what one manifest or index may list.
	maxDescriptors = 10_000
	// maxParsed bounds the JSON parsed for one archive, since index.json may
	// name the same large index thousands of times.
	maxParsed = 2 * maxHeld
)

// document is a manifest or an index: content and media type together decide
// which.
type document struct {
	MediaType types.MediaType `json:"mediaType"`
	Subject   *v1.Descriptor  `json:"subject"`
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Manifests []v1.Descriptor `json:"manifests"`
}

// graph follows the descriptors of one archive, or of one image of a registry.
type graph struct {
	load   Fetch
	sizes  map[v1.Hash]int64 // of the archive's blobs; nil in a registry, where those below a manifest are assumed to exist
	parsed int64
	image  *Image
	seen   map[v1.Hash]bool // of image
}

// images follows index.json.
func (a *Archive) images() ([]*Image, error) {
	g := &graph{load: a.load, sizes: a.Sizes}
	index, err := g.parse(indexFile, a.Index)
	if err != nil {
		return nil, err
	}
	switch {
	case index.Manifests == nil && a.docker: // some versions of Docker 25 omit the list
		return nil, ErrDockerArchive
	case index.Manifests == nil:
		return nil, invalid("%s: no list of manifests", indexFile)
	}
	var images []*Image
	byDigest := map[v1.Hash]*Image{}
	for _, d := range index.Manifests {
		if again := byDigest[d.Digest]; again != nil { // listed once per name
			again.addName(d)
			continue
		}
		g.image, g.seen = &Image{Descriptor: d}, map[v1.Hash]bool{}
		g.image.addName(d)
		byDigest[d.Digest] = g.image
		if err := g.manifest(d, 0); err != nil {
			return nil, err
		}
		if len(g.image.Manifests) == 0 {
			return nil, invalid("index.json names manifest %v, which the archive lacks", d.Digest)
		}
		g.image.Descriptor.MediaType = g.image.Manifests[len(g.image.Manifests)-1].Descriptor.MediaType
		images = append(images, g.image)
	}
	return images, nil
}

// manifest adds what d leads to, children first.
func (g *graph) manifest(d v1.Descriptor, depth int) error {
	if g.seen[d.Digest] {
		return nil
	}
	g.seen[d.Digest] = true
	if err := g.check(d); err != nil {
		return err
	}
	if depth > maxDepth {
		return invalid("indexes nested more than %d deep", maxDepth)
	}
	raw, err := g.load(d, true)
	if err != nil {
		return err
	}
	if raw == nil {
		if d.MediaType == "" {
			d.MediaType = types.OCIManifestSchema1
		}
		g.image.Missing = append(g.image.Missing, d)
		return nil
	}
	doc, err := g.parse("manifest "+d.Digest.String(), raw)
	if err != nil {
		return err
	}
	if d.MediaType, err = mediaType(d, doc); err != nil {
		return err
	}
	m := Manifest{Descriptor: d, Raw: raw, Platform: d.Platform}
	if d.MediaType.IsIndex() {
		err = g.index(doc, depth)
	} else {
		err = g.single(doc, &m)
	}
	if depth == 0 && d.MediaType.IsIndex() {
		g.image.Type = TypeIndex
	}
	if depth == 0 && doc.Subject != nil {
		g.image.Subject = doc.Subject.Digest
	}
	g.image.Manifests = append(g.image.Manifests, m)
	return err
}

// index adds the children of an index.
func (g *graph) index(doc *document, depth int) error {
	for _, child := range doc.Manifests {
		add := g.manifest
		if child.MediaType != "" && !isManifest(child.MediaType) {
			// An index may list any blob (image-index.md, "manifests").
			add = func(d v1.Descriptor, _ int) error { return g.blob(d) }
		}
		if err := add(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// single adds the blobs of an image manifest and sets its type and platform.
func (g *graph) single(doc *document, m *Manifest) error {
	for _, d := range append([]v1.Descriptor{*doc.Config}, doc.Layers...) {
		if err := g.blob(d); err != nil {
			return err
		}
	}
	kind := TypeArtifact
	switch {
	case doc.Config.MediaType.IsConfig() && hasFilesystem(doc.Layers):
		kind = TypeImage
		if m.Platform == nil {
			config, err := g.load(*doc.Config, false)
			if err != nil {
				return err
			}
			m.Platform = platform(config)
		}
		g.image.addPlatform(m.Platform)
	case doc.Config.MediaType == ChartConfig:
		kind = TypeChart
		config, err := g.load(*doc.Config, false)
		if err != nil {
			return err
		}
		var chart Chart
		if json.Unmarshal(config, &chart) == nil {
			g.image.Chart = &chart
		}
	}
	g.image.Type = kind // the root sets that of an index, last
	return nil
}

// hasFilesystem reports whether layers are a container image's, and not those
// of an artifact that reuses its config, such as a cosign signature. An image
// may have no layers.
func hasFilesystem(layers []v1.Descriptor) bool {
	return len(layers) == 0 || slices.ContainsFunc(layers, func(d v1.Descriptor) bool {
		m := string(d.MediaType)
		return strings.HasPrefix(m, "application/vnd.oci.image.layer.") || strings.HasPrefix(m, "application/vnd.docker.image.rootfs.")
	})
}

// blob adds a config or a layer.
func (g *graph) blob(d v1.Descriptor) error {
	if g.seen[d.Digest] {
		return nil
	}
	g.seen[d.Digest] = true
	if err := g.check(d); err != nil {
		return err
	}
	_, present := g.sizes[d.Digest]
	elsewhere := len(d.URLs) > 0 || !d.MediaType.IsDistributable()
	switch {
	case present, g.sizes == nil && !elsewhere:
		g.image.Blobs = append(g.image.Blobs, d)
		g.image.Size += d.Size
	case !elsewhere:
		g.image.Missing = append(g.image.Missing, d)
	}
	return nil
}

// check compares a descriptor with the blob of its digest.
func (g *graph) check(d v1.Descriptor) error {
	if d.Digest == (v1.Hash{}) {
		return invalid("descriptor without a digest")
	}
	if d.Size < 0 {
		return invalid("descriptor of %v has size %d", d.Digest, d.Size)
	}
	if size, ok := g.sizes[d.Digest]; ok && size != d.Size {
		return invalid("descriptor of %v has size %d, but the archive has %d bytes", d.Digest, d.Size, size)
	}
	return nil
}

// parse reads a manifest or an index. It refuses a document that could be
// either, which one program would read as an image and another as an index
// (image-spec GHSA-77vh-xpmg-72qh).
func (g *graph) parse(what string, raw []byte) (*document, error) {
	if g.parsed += int64(len(raw)); g.parsed > maxParsed {
		return nil, invalid("manifests lead to more than %d MiB of JSON", maxParsed>>20)
	}
	doc := &document{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := decoder.Decode(doc); err != nil {
		return nil, invalid("%s: %v", what, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, invalid("%s: more than one JSON value", what)
	}
	if doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil) {
		return nil, invalid("%s: both an image and an index", what)
	}
	if n := max(len(doc.Manifests), len(doc.Layers)); n > maxDescriptors {
		return nil, invalid("%s lists %d descriptors, more than %d", what, n, maxDescriptors)
	}
	return doc, nil
}

// mediaType returns the media type of a document, from its descriptor, its own
// field, or its shape (the field is optional in OCI manifests).
func mediaType(d v1.Descriptor, doc *document) (types.MediaType, error) {
	m := d.MediaType
	if m == "" {
		m = doc.MediaType
	}
	if m == "" && doc.Config != nil {
		m = types.OCIManifestSchema1
	}
	if m == "" && doc.Manifests != nil {
		m = types.OCIImageIndex
	}
	switch {
	case !isManifest(m):
		return "", invalid("manifest %v: media type %.80q is not supported", d.Digest, m)
	case doc.MediaType != "" && doc.MediaType != m:
		return "", invalid("manifest %v: media type is %s in its descriptor and %.80s in itself", d.Digest, m, doc.MediaType)
	case m.IsImage() && (doc.Config == nil || doc.Manifests != nil), m.IsIndex() && (doc.Config != nil || doc.Layers != nil):
		return "", invalid("manifest %v: content does not match media type %s", d.Digest, m)
	}
	return m, nil
}
