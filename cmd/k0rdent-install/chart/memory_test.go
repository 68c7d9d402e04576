package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// A memory is a registry in memory.
type memory struct {
	tags  map[string]map[string]string // repository, tag: digest
	blobs map[string][]byte            // by digest, manifests too
	types map[string]string            // media types of manifests
}

func newMemory() *memory {
	return &memory{map[string]map[string]string{}, map[string][]byte{}, map[string]string{}}
}

func sum(p []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(p)) }

func (m *memory) blob(p []byte) string {
	m.blobs[sum(p)] = p
	return sum(p)
}

type object = map[string]any

// push stores a manifest with its layers.
func (m *memory) push(repository, tag, mediaType string, manifest any) {
	raw, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	d := m.blob(raw)
	m.types[d] = mediaType
	if m.tags[repository] == nil {
		m.tags[repository] = map[string]string{}
	}
	m.tags[repository][tag] = d
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

func (m *memory) image(repository, tag string) {
	m.push(repository, tag, manifestType, object{"schemaVersion": 2, "mediaType": manifestType, "annotations": object{"of": repository + tag}})
}

func (m *memory) index(repository, tag string) {
	m.push(repository, tag, indexType, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []any{}, "annotations": object{"of": repository + tag}})
}

// layer describes a blob; title may be "".
func (m *memory) layer(mediaType, title string, p []byte) object {
	d := object{"mediaType": mediaType, "digest": m.blob(p), "size": len(p)}
	if title != "" {
		d["annotations"] = object{titleAnnotation: title}
	}
	return d
}

func (m *memory) chart(name, version string, tgz []byte) {
	m.push("charts/"+name, version, manifestType, object{"schemaVersion": 2, "mediaType": manifestType,
		"config": m.layer("application/vnd.cncf.helm.config.v1+json", "", []byte("{}")),
		"layers": []any{m.layer(chartLayer, "", tgz)}})
}

// artifact stores files in the form that the Cluster API operator reads.
func (m *memory) artifact(repository, tag string, files map[string]string) {
	var layers []any
	for _, name := range slices.Sorted(maps.Keys(files)) {
		layers = append(layers, m.layer("application/vnd.oci.image.layer.v1.tar", name, []byte(files[name])))
	}
	m.push(repository, tag, manifestType, object{"schemaVersion": 2, "mediaType": manifestType,
		"config": m.layer("application/vnd.oci.empty.v1+json", "", []byte("{}")), "layers": layers})
}

func (m *memory) Repositories(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(m.tags)), nil
}

func (m *memory) Tags(_ context.Context, repository string) ([]string, error) {
	tags, ok := m.tags[repository]
	if !ok {
		return nil, fmt.Errorf("%s: %w", repository, ErrNotFound)
	}
	return slices.Collect(maps.Keys(tags)), nil
}

func (m *memory) Resolve(_ context.Context, repository, reference string) (string, error) {
	for tag, d := range m.tags[repository] {
		if tag == reference || d == reference {
			return d, nil
		}
	}
	return "", fmt.Errorf("%s:%s: %w", repository, reference, ErrNotFound)
}

func (m *memory) Manifest(ctx context.Context, repository, reference string) ([]byte, string, error) {
	d, err := m.Resolve(ctx, repository, reference)
	return m.blobs[d], m.types[d], err
}

func (m *memory) Blob(_ context.Context, repository, digest string) (io.ReadCloser, error) {
	p, ok := m.blobs[digest]
	if !ok {
		return nil, fmt.Errorf("%s@%s: %w", repository, digest, ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}
