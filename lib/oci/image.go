package oci

import (
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/ref"
)

// The types of images.
const (
	TypeImage    = "image"    // one manifest whose config and layers are those of a container image
	TypeIndex    = "index"    // an index, usually of one image for several platforms
	TypeChart    = "chart"    // a Helm chart
	TypeArtifact = "artifact" // any other manifest
)

// ChartConfig is the media type of a Helm chart's config, which is Chart.yaml
// as JSON (helm.sh, HIP-0006).
const ChartConfig types.MediaType = "application/vnd.cncf.helm.config.v1+json"

// Annotations of index.json that name an image. Docker and BuildKit write the
// tag into the first and the whole name into the second.
const (
	refName  = "org.opencontainers.image.ref.name"
	fullName = "io.containerd.image.name"
)

// An Image is what the descriptors of index.json with one digest lead to.
type Image struct {
	// Descriptor is index.json's, its media type filled in if it had none.
	Descriptor v1.Descriptor
	// Names are the image's names in index.json: each a tag or a full
	// reference.
	Names []string
	// Subject is the digest of the manifest that this one refers to, as a
	// signature does; zero if there is none.
	Subject v1.Hash
	// Type is one of the Type constants.
	Type string
	// Manifests has every distinct manifest and index that the archive holds
	// for this image, children before parents, the root last.
	Manifests []Manifest
	// Blobs has every distinct config and layer that the archive holds.
	Blobs []v1.Descriptor
	// Missing lists what the archive lacks: children of an index (their
	// media types are those of manifests), which registries may accept as a
	// sparse index, and blobs, without which no registry takes the
	// manifest. Layers meant to be fetched elsewhere (foreign,
	// non-distributable) are in neither list if they are absent.
	Missing []v1.Descriptor
	// Platforms are the distinct platforms, "linux/arm64/v8", of the images
	// that the archive holds, in order.
	Platforms []string
	// Chart is set for TypeChart if the config could be read.
	Chart *Chart
	// Size is the sum of Blobs in bytes.
	Size int64

	cosign string // the suffix of its cosign tag, if cosign saved it
}

// A Manifest is one manifest or index, with its bytes as they must be pushed.
type Manifest struct {
	Descriptor v1.Descriptor
	Raw        []byte
	Platform   *v1.Platform // nil if unknown
}

// Chart is the config of a Helm chart.
type Chart struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	AppVersion string `json:"appVersion"`
}

// MissingBlobs returns those of Missing without which the image is unusable.
func (i *Image) MissingBlobs() []v1.Descriptor {
	return slices.DeleteFunc(slices.Clone(i.Missing), func(d v1.Descriptor) bool { return isManifest(d.MediaType) })
}

// MissingManifests returns those of Missing that are children of an index.
func (i *Image) MissingManifests() []v1.Descriptor {
	return slices.DeleteFunc(slices.Clone(i.Missing), func(d v1.Descriptor) bool { return !isManifest(d.MediaType) })
}

// addName adds the name in a descriptor of index.json.
func (i *Image) addName(d v1.Descriptor) {
	name := d.Annotations[refName]
	if _, tag := ref.ParseAnnotation(d.Annotations[fullName]); tag != "" && !strings.ContainsAny(name, ":/") {
		name = d.Annotations[fullName]
	}
	if suffix, ok := cosignKinds[d.Annotations["kind"]]; ok {
		i.cosign = suffix
	}
	if name != "" && !slices.Contains(i.Names, name) {
		i.Names = append(i.Names, name)
	}
}

func isManifest(m types.MediaType) bool { return m.IsImage() || m.IsIndex() }

// platform returns the platform in an image config, or nil if it has none. The
// rest of the config is left to the runtime.
func platform(config []byte) *v1.Platform {
	var c struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
		OSVersion    string `json:"os.version"`
	}
	if json.Unmarshal(config, &c) != nil || c.OS == "" {
		return nil
	}
	return &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion}
}

// addPlatform adds a platform that a node can have. "unknown" stands for build
// attestations, which run nowhere.
func (i *Image) addPlatform(p *v1.Platform) {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return
	}
	if s := p.String(); !slices.Contains(i.Platforms, s) {
		i.Platforms = append(i.Platforms, s)
	}
}
