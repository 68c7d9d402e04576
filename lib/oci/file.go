package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// A file is held in a registry as an artifact of one layer, in the form of
// image-spec 1.1, "Guidelines for Artifact Usage": an empty config, the type of
// the artifact, and the file's name where oras and podman look for it.
const (
	fileLayer      = types.MediaType("application/octet-stream")
	emptyConfig    = types.MediaType("application/vnd.oci.empty.v1+json")
	titleKey       = "org.opencontainers.image.title"
	emptyConfigRaw = "{}"
)

// fileManifest is the manifest of a file. Its fields are in the order of
// image-spec, and one file always has the same bytes.
type fileManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Annotations   map[string]string `json:"annotations"`
}

// EmptyConfig returns the config of a file's artifact, and its descriptor.
func EmptyConfig() (v1.Descriptor, []byte) {
	raw := []byte(emptyConfigRaw)
	return v1.Descriptor{MediaType: emptyConfig, Digest: sumOf(raw), Size: int64(len(raw)), Data: raw}, raw
}

// File returns the artifact that holds a file, given the file's path below the
// address of an HTTP server.
func File(name string, digest v1.Hash, size int64) (*Image, error) {
	config, _ := EmptyConfig()
	layer := v1.Descriptor{MediaType: fileLayer, Digest: digest, Size: size, Annotations: map[string]string{titleKey: path.Base(name)}}
	raw, err := json.Marshal(fileManifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: ref.FileArtifact,
		Config: config, Layers: []v1.Descriptor{layer}, Annotations: map[string]string{ref.FileNameKey: name},
	})
	if err != nil {
		return nil, err
	}
	top := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: sumOf(raw), Size: int64(len(raw))}
	return &Image{
		Descriptor: top, Type: TypeArtifact, Manifests: []Manifest{{Descriptor: top, Raw: raw}},
		Blobs: []v1.Descriptor{config, layer}, Size: config.Size + layer.Size,
	}, nil
}

// FileRecord returns the record of a file of a bundle, without its digest.
func FileRecord(bundle, entry string, size int64) (record.File, error) {
	name, err := ref.FileName(entry)
	at := ref.ForFile(name)
	return record.File{Bundle: bundle, Entry: entry, Name: name, Size: size, Repository: at.Repository, Tag: at.Tag}, err
}

// sumBlock is how much of a file is read at a time, in bytes.
const sumBlock = 256 << 10

// Sum reads r to its end and returns its digest. The error is r's, or the cause
// of ctx.
func Sum(ctx context.Context, r io.Reader) (v1.Hash, error) {
	h, block := sha256.New(), make([]byte, sumBlock)
	for {
		n, err := r.Read(block)
		h.Write(block[:n])
		switch {
		case ctx.Err() != nil:
			return v1.Hash{}, context.Cause(ctx)
		case err == io.EOF:
			return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}, nil
		case err != nil:
			return v1.Hash{}, err
		}
	}
}

func sumOf(raw []byte) v1.Hash {
	sum := sha256.Sum256(raw)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}
