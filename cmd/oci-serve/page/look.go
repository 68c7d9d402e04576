package page

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"

	"k0rdent-airgap/lib/ref"
	"k0rdent-airgap/lib/registry"
)

const (
	// maxRead bounds the manifests and configs that are read for one page, in
	// bytes, maxDocument each of them. Real ones have a few kilobytes.
	maxRead, maxDocument = 4 << 20, 256 << 10
	// maxPlatforms bounds the platforms that are shown of an image.
	maxPlatforms = 16
	// maxText bounds a text that a manifest chose, in characters.
	maxText = 200
	// rowTags is how many tags of a repository the list shows.
	rowTags = 3
)

const (
	chartConfig  = "application/vnd.cncf.helm.config.v1+json"
	imageConfig  = "application/vnd.oci.image.config.v1+json"
	dockerConfig = "application/vnd.docker.container.image.v1+json"
)

// item is what a tag or a digest leads to.
type item struct {
	Kind        string // image, chart, artifact; "" if it cannot be read
	Digest      registry.Digest
	Platforms   []string
	Bytes       int64
	Partial     bool // not everything was counted
	Description string
}

// document has those fields of manifests, indexes and configs that are shown.
type document struct {
	Config      *descriptor       `json:"config"`
	Layers      []descriptor      `json:"layers"`
	Manifests   []descriptor      `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
	platform                      // of a config
}

type descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"`
	Platform  *platform `json:"platform"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return short(text)
}

// look reads manifests for one page, up to its budget in bytes.
type look struct {
	store  registry.Store
	budget int64
}

var errTooMuch = errors.New("too much to read for one page")

// read reads a manifest or a config. The error is errTooMuch if that would be
// too much, and a *json.SyntaxError or the like if it is something else.
func (l *look) read(c registry.Content) (*document, error) {
	if c.Size > maxDocument || c.Size > l.budget {
		return nil, errTooMuch
	}
	l.budget -= c.Size
	text, err := c.All()
	if err != nil {
		return nil, err
	}
	var d document
	return &d, json.Unmarshal(text, &d)
}

// at returns what a tag leads to. A manifest that cannot be read has a digest
// alone. Errors: registry.ErrManifestUnknown, registry.ErrNameUnknown.
func (l *look) at(ctx context.Context, name, tag string) (*item, error) {
	c, err := l.store.Manifest(ctx, name, tag, "")
	if err != nil {
		return nil, err
	}
	what := &item{Digest: c.Digest, Partial: true}
	d, err := l.read(c)
	if err != nil {
		return what, nil
	}
	what.Partial = false
	what.Description = short(d.Annotations["org.opencontainers.image.description"])
	counted := make(map[string]bool)
	if d.Manifests == nil {
		what.Kind = kind(d)
		what.count(d, counted)
		if platform := l.platform(ctx, name, d); platform != "" && what.Kind == "image" {
			what.Platforms = []string{platform}
		}
		return what, nil
	}
	what.Kind = "image"
	for i, child := range d.Manifests {
		if i == maxPlatforms {
			what.Partial = true
			break
		}
		if err := l.child(ctx, name, child, what, counted); err != nil {
			return nil, err
		}
	}
	return what, nil
}

// child adds a manifest of an index. One that the registry does not hold is left
// out: copies are often made of one platform.
func (l *look) child(ctx context.Context, name string, child descriptor, what *item, counted map[string]bool) error {
	digest, err := registry.ParseDigest(child.Digest)
	if err != nil {
		return nil
	}
	c, err := l.store.Manifest(ctx, name, "", digest)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	// Attestations have the platform unknown/unknown.
	if p := child.Platform; p != nil && p.OS != "unknown" {
		if text := p.String(); !slices.Contains(what.Platforms, text) {
			what.Platforms = append(what.Platforms, text)
		}
	}
	d, err := l.read(c)
	if err != nil {
		what.Partial = true
		return nil
	}
	what.count(d, counted)
	return nil
}

// count adds the sizes of a manifest's config and layers, each blob's once.
func (what *item) count(d *document, counted map[string]bool) {
	blobs := d.Layers
	if d.Config != nil {
		blobs = append(blobs, *d.Config)
	}
	for _, b := range blobs {
		if !counted[b.Digest] && b.Size > 0 {
			counted[b.Digest] = true
			what.Bytes += min(b.Size, math.MaxInt64-what.Bytes)
		}
	}
}

// platform returns the platform that an image's config names, or "".
func (l *look) platform(ctx context.Context, name string, d *document) string {
	if d.Config == nil {
		return ""
	}
	digest, err := registry.ParseDigest(d.Config.Digest)
	if err != nil {
		return ""
	}
	c, err := l.store.Blob(ctx, name, digest)
	if err != nil {
		return ""
	}
	config, err := l.read(c)
	if err != nil || config.OS == "" {
		return ""
	}
	return config.platform.String()
}

// row returns a repository for the list: its first tags, and if there is but one,
// what that leads to.
func (l *look) row(ctx context.Context, name string) (repository, error) {
	tags, more, err := l.store.Tags(ctx, name, "", rowTags+1)
	if err != nil {
		return repository{}, err
	}
	row := repository{Name: name, Link: link("repository", name), More: more || len(tags) > rowTags}
	for _, t := range tags[:min(len(tags), rowTags)] {
		if ref.IsFallback(t) { // it belongs to a digest, not to a version
			row.More = true
			continue
		}
		row.Tags = append(row.Tags, named{t, link("repository", name, "tag", t)})
	}
	if len(tags) == 1 && !more {
		if row.Only, err = l.at(ctx, name, tags[0]); errors.Is(err, registry.ErrManifestUnknown) {
			err = nil
		}
	}
	return row, err
}

// kind returns what a manifest that is not an index describes.
func kind(d *document) string {
	if d.Config != nil {
		switch d.Config.MediaType {
		case chartConfig:
			return "chart"
		case imageConfig, dockerConfig:
			return "image"
		}
	}
	return "artifact"
}

// short cuts a text that somebody else chose.
func short(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}
