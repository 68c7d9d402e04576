package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
	standin "k0rdent-airgap/tests/k0s"
)

// version133 and so on are the tags of images in these tests.
const (
	v132 = "v1.32.8+k0s.0"
	v133 = "v1.33.1+k0s.10"
)

// run1 runs the tool as a build without an embedded k0s.
func run1(t *testing.T, stdin io.Reader, args ...string) (out, errs string, err error) {
	t.Helper()
	return runBuild(t, embedded{}, stdin, args...)
}

func runBuild(t *testing.T, own embedded, stdin io.Reader, args ...string) (out, errs string, err error) {
	t.Helper()
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	var o, e bytes.Buffer
	err = runAs(context.Background(), own, args, stdin, &o, &e)
	return o.String(), e.String(), err
}

// records parses the tool's output.
func records(t *testing.T, out string) []record.File {
	t.Helper()
	var all []record.File
	for line, err := range record.Read(strings.NewReader(out)) {
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if line.Kind != (record.File{}).Kind() {
			continue
		}
		var f record.File
		if err := line.Decode(&f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// program returns a k0s for amd64.
func k0sFor(version string) []byte { return standin.Program("amd64", version) }

// A member is an entry of a layer.
type member struct {
	name string
	typ  byte // 0 means a file
	body []byte
	link string
	size int64 // overrides the size of the body, which is then truncated
}

// layerTar makes a layer.
func layerTar(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.typ, Mode: 0o755, Linkname: m.link, Size: int64(len(m.body))}
		if m.typ == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.size > 0 {
			h.Size = m.size
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
		if m.size > 0 {
			return b.Bytes()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// k0sLayer makes a layer like the vendor's.
func k0sLayer(t *testing.T, program []byte) []byte {
	t.Helper()
	return zipped(t, layerTar(t, member{name: "usr/", typ: tar.TypeDir}, member{name: "usr/local/", typ: tar.TypeDir},
		member{name: "usr/local/bin/", typ: tar.TypeDir}, member{name: inImage, body: program}))
}

func zipped(t *testing.T, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digestOf(p []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(p)) }

// A platformImage is an image for one platform: its layers, lowest first.
type platformImage struct {
	arch   string
	layers [][]byte
}

type descriptor struct {
	MediaType string            `json:"mediaType"`
	Digest    string            `json:"digest"`
	Size      int               `json:"size"`
	Platform  map[string]string `json:"platform,omitempty"`
}

// blobs is the content of an OCI archive, and its top-level descriptor.
type blobs struct {
	by  map[string][]byte // by digest
	top descriptor
}

func (b *blobs) add(mediaType string, content any) descriptor {
	p, ok := content.([]byte)
	if !ok {
		p, _ = json.Marshal(content)
	}
	d := descriptor{MediaType: mediaType, Digest: digestOf(p), Size: len(p)}
	b.by[d.Digest] = p
	return d
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
)

// blobsOf makes an image, or an index if there are several platforms.
func blobsOf(images ...platformImage) blobs {
	b := blobs{by: map[string][]byte{}}
	var tops []descriptor
	for _, image := range images {
		var layers []descriptor
		for _, l := range image.layers {
			layers = append(layers, b.add("application/vnd.oci.image.layer.v1.tar+gzip", l))
		}
		config := b.add("application/vnd.oci.image.config.v1+json", map[string]any{"os": "linux", "architecture": image.arch})
		d := b.add(typeManifest, map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": layers})
		d.Platform = map[string]string{"os": "linux", "architecture": image.arch}
		tops = append(tops, d)
	}
	b.top = tops[0]
	if len(tops) > 1 {
		b.top = b.add(typeIndex, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": tops})
	}
	return b
}

// archive writes blobs in the order of skopeo: by digest, index.json last.
func (b blobs) archive(t *testing.T) []byte {
	t.Helper()
	var all []member
	for d, p := range b.by {
		all = append(all, member{name: "blobs/sha256/" + strings.TrimPrefix(d, "sha256:"), body: p})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{b.top}})
	return layerTar(t, append(all, member{name: "index.json", body: index}, member{name: "oci-layout", body: []byte(`{"imageLayoutVersion":"1.0.0"}`)})...)
}

// image makes an archive like the vendor's for amd64.
func image1(t *testing.T, version string) []byte {
	t.Helper()
	return blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(version))}}).archive(t)
}

// An entry is a file of a bundle.
type entry struct {
	name    string
	content []byte
}

// k0sAt names an image as the vendor does.
func k0sAt(version string, content []byte) entry {
	return entry{"k0sproject/k0s_" + strings.Replace(version, "+", "-", 1) + ".tar", content}
}

// The formats of a bundle: a stream, and two that can be read in any order.
var forms = []string{"tar.gz", "tar", "dir"}

// writeBundle writes a bundle and returns its path.
func writeBundle(t *testing.T, form string, entries ...entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle")
	if form == "dir" {
		for _, e := range entries {
			writeFile(t, filepath.Join(path, e.name), e.content, 0o644)
		}
		return path
	}
	var all []member
	for _, e := range entries {
		all = append(all, member{name: e.name, body: e.content})
	}
	p := layerTar(t, all...)
	if form == "tar.gz" {
		p = zipped(t, p)
	}
	writeFile(t, path, p, 0o644)
	return path
}

func writeFile(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

// checkFile compares a file's content and mode with the expected ones.
func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes with %s, %v, want %d with %s", path, len(got), digestOf(got), err, len(want), digestOf(want))
	}
}

// names lists a directory, including hidden files.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
