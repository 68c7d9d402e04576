package oci

import (
	"encoding/json"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
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

const refName = "org.opencontainers.image.ref.name"

// An Image is what one descriptor of index.json leads to.
type Image struct {
	// Descriptor is index.json's, its media type filled in if it had none.
	Descriptor v1.Descriptor
	// Annotation is the descriptor's org.opencontainers.image.ref.name.
	Annotation string
	// Type is one of the Type constants.
	Type string
	// Manifests has every distinct manifest and index that the archive holds
	// for this image, children before parents, the root last.
	Manifests []Manifest
	// Blobs has every distinct config and layer that the archive holds.
	Blobs []v1.Descriptor
	// Missing has what the archive lacks: children of an index (their media
	// types are those of manifests), which registries may accept as a sparse
	// index, and blobs, without which no registry takes the manifest.
	// Layers meant to be fetched elsewhere (foreign, non-distributable) are
	// in neither list if they are absent.
	Missing []v1.Descriptor
	// Platforms are the distinct platforms, "linux/arm64/v8", of the images
	// that the archive holds, in order.
	Platforms []string
	// Chart is set for TypeChart if the config could be read.
	Chart *Chart
	// Size is the sum of Blobs in bytes.
	Size int64
}

// A Manifest is one manifest or index, with its bytes as they must be pushed.
type Manifest struct {
	Descriptor v1.Descriptor
	Raw        []byte
	Platform   *v1.Platform // nil if unknown
}

// Chart is what a chart's config says.
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

func isManifest(m types.MediaType) bool { return m.IsImage() || m.IsIndex() }

// platform tells what an image config runs on, nil if it does not say.
// Only this is read of the config: the rest is the runtime's business.
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

// addPlatform adds to the list what a node can run on. "unknown" stands for
// build attestations, which run nowhere.
func (i *Image) addPlatform(p *v1.Platform) {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return
	}
	if s := p.String(); !slices.Contains(i.Platforms, s) {
		i.Platforms = append(i.Platforms, s)
	}
}
