package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// member is one member of a test archive; the zero kind is a regular file.
type member struct {
	name, body string
	kind       byte
}

func makeTar(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.body)), Mode: 0o755, Typeflag: m.kind, Format: tar.FormatPAX}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.kind == tar.TypeSymlink {
			h.Linkname, h.Size, m.body = "../x", 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, m.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipOf(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(content)
	z.Close()
	return b.Bytes()
}

func zstdOf(t testing.TB, content []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(content, nil)
}

func digestOf(s string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256([]byte(s)))}
}

func digest512(s string) v1.Hash {
	return v1.Hash{Algorithm: "sha512", Hex: fmt.Sprintf("%x", sha512.Sum512([]byte(s)))}
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// layout collects the blobs of a test archive.
type layout struct {
	t     testing.TB
	blobs []member
}

// blob adds a blob and returns its descriptor.
func (l *layout) blob(media types.MediaType, body string) v1.Descriptor {
	d := v1.Descriptor{MediaType: media, Size: int64(len(body)), Digest: digestOf(body)}
	m := member{name: "blobs/sha256/" + d.Digest.Hex, body: body}
	for _, have := range l.blobs {
		if have.name == m.name {
			return d
		}
	}
	l.blobs = append(l.blobs, m)
	return d
}

// image adds an image for a platform with one layer.
func (l *layout) image(os, arch, layer string) v1.Descriptor {
	config := l.blob(types.OCIConfigJSON, fmt.Sprintf(`{"os":%q,"architecture":%q,"rootfs":{"type":"layers"}}`, os, arch))
	return l.manifest(config, l.blob(types.OCILayer, layer))
}

func (l *layout) manifest(config v1.Descriptor, layers ...v1.Descriptor) v1.Descriptor {
	return l.blob(types.OCIManifestSchema1, toJSON(l.t, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: layers}))
}

func (l *layout) index(children ...v1.Descriptor) v1.Descriptor {
	return l.blob(types.OCIImageIndex, toJSON(l.t, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: children}))
}

// archive packs the layout as skopeo does: blobs first, index.json last.
func (l *layout) archive(roots ...v1.Descriptor) []byte {
	index := toJSON(l.t, v1.IndexManifest{SchemaVersion: 2, Manifests: append([]v1.Descriptor{}, roots...)})
	return l.pack(index)
}

func (l *layout) pack(index string) []byte {
	all := []member{{name: "blobs/", kind: tar.TypeDir}, {name: "blobs/sha256/", kind: tar.TypeDir}}
	all = append(all, l.blobs...)
	return makeTar(l.t, append(all, member{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}, member{name: indexFile, body: index})...)
}

func at(d v1.Descriptor, name string) v1.Descriptor {
	d.Annotations = map[string]string{refName: name}
	return d
}

func on(d v1.Descriptor, os, arch string) v1.Descriptor {
	d.Platform = &v1.Platform{OS: os, Architecture: arch}
	return d
}

// both yields an archive as read by Read and by Load, and its images.
func both(t *testing.T, content []byte, check func(how string, a *Archive, images []*Image, err error)) {
	t.Helper()
	a, err := Read(context.Background(), bytes.NewReader(content), nil)
	var images []*Image
	if err == nil {
		images, err = a.Images()
	}
	check("Read", a, images, err)
	images = nil
	if a, err = Load(context.Background(), bytes.NewReader(content), int64(len(content)), nil, nil); err == nil {
		images, err = a.Images()
	}
	check("Load", a, images, err)
}
