package samplebundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// streamDefects damage the bundle as a file.
var streamDefects = []defect{
	{name: "truncated-mid-entry", about: "the file ends inside an entry", want: Truncated, victim: big, damage: func(r raw) []byte {
		all, n := r.gzipTo(r.at)
		return all[:n+(len(all)-n)/2]
	}},
	{name: "truncated-at-entry", about: "the file ends where an entry would begin", want: Truncated, damage: func(r raw) []byte {
		all, n := r.gzipTo(r.at)
		return all[:n]
	}},
	{name: "truncated-trailer", about: "the last four bytes of the gzip trailer are missing", want: Truncated, keeps: true, damage: func(r raw) []byte {
		all, _ := r.gzipTo(r.at)
		return all[:len(all)-4]
	}},
	{name: "no-end-of-archive", about: "sound gzip, but the tar lacks its two zero blocks", want: Truncated, keeps: true, damage: func(r raw) []byte {
		all, _ := raw{tar: r.tar[:len(r.tar)-1024]}.gzipTo(r.at)
		return all
	}},
	{name: "flipped-bit", about: "one bit of the compressed data is wrong", want: Corrupt, victim: big, damage: func(r raw) []byte {
		all, n := r.gzipTo(r.at)
		all[n+(len(all)-n)/2] ^= 0x10
		return all
	}},
	{name: "wrong-crc", about: "the gzip checksum is wrong", want: Corrupt, keeps: true, damage: func(r raw) []byte {
		all, _ := r.gzipTo(r.at)
		all[len(all)-8] ^= 1
		return all
	}},
	{name: "multi-member", about: "several gzip members, as parallel compressors write them", want: Fine, damage: func(r raw) []byte {
		first, _ := raw{tar: r.tar[:r.at+700]}.gzipTo(0)
		second, _ := raw{tar: r.tar[r.at+700:]}.gzipTo(0)
		return append(first, second...)
	}},
	{name: "top-directory", about: "everything is in one directory", want: Fine, options: Options{Top: "airgap-bundle-1.2.3"}},
	{name: "dot-slash", about: `names begin with "./"`, want: Fine, options: Options{DotSlash: true}},
	{name: "dot-slash-top-directory", about: `names begin with "./" and a directory`, want: Fine, options: Options{DotSlash: true, Top: "airgap-bundle-1.2.3"}},
}

// entryDefects damage the content of one entry.
var entryDefects = []defect{
	{name: "wrong-layer-digest", about: "a layer's bytes differ from its digest", want: Mismatch, change: func(t *tiny) {
		t.victim.spoil(t.victim.topManifest().Layers[1].Digest)
	}},
	{name: "wrong-manifest-digest", about: "the manifest's bytes differ from its digest", want: Mismatch, change: func(t *tiny) {
		name := blobName(t.victim.entry.Digest)
		t.victim.replace(name, bytes.Replace(t.victim.content(name), []byte(`"schemaVersion":2`), []byte(`"schemaVersion": 2`), 1))
	}},
	{name: "wrong-manifest-size", about: "index.json gives the manifest another size", want: Mismatch, change: func(t *tiny) {
		d := t.victim.topDescriptor()
		d.Size++
		t.victim.replace("index.json", encode(index{SchemaVersion: 2, Manifests: []descriptor{d}}))
	}},
	{name: "wrong-layer-size", about: "the manifest gives a layer another size", want: Mismatch, change: func(t *tiny) {
		m := t.victim.topManifest()
		m.Layers[1].Size--
		t.victim.setManifest(encode(m))
	}},
	{name: "missing-layer", about: "the archive lacks a layer", want: Incomplete, change: func(t *tiny) {
		t.victim.remove(blobName(t.victim.topManifest().Layers[1].Digest))
	}},
	{name: "missing-config", about: "the archive lacks the image's config", want: Incomplete, change: func(t *tiny) {
		t.victim.remove(blobName(t.victim.topManifest().Config.Digest))
	}},
	{name: "missing-manifest", about: "the archive lacks the manifest that index.json names", want: Incomplete, change: func(t *tiny) {
		t.victim.remove(blobName(t.victim.entry.Digest))
	}},
	{name: "sparse-index", about: "the archive lacks one image of a multi-platform index", want: Sparse,
		victim: product{kind: "multi", path: "zz/victim", tag: "v1.0"}, change: func(t *tiny) { t.victim.sparse() }},
	{name: "inner-truncated", about: "the archive, not the bundle, ends inside a blob", want: Incomplete, change: func(t *tiny) {
		t.victim.cut = t.victim.size() - 2*512 - 512 - 100
	}},
	{name: "no-index", about: "the archive lacks index.json", want: Invalid, change: func(t *tiny) { t.victim.remove("index.json") }},
	{name: "index-not-json", about: "index.json is not JSON", want: Invalid, change: func(t *tiny) {
		t.victim.replace("index.json", []byte("<html>504 Gateway Time-out</html>"))
	}},
	{name: "index-empty", about: "index.json names nothing", want: Invalid, change: func(t *tiny) {
		t.victim.replace("index.json", []byte(`{"schemaVersion":2,"manifests":[]}`))
	}},
	{name: "giant-manifest", about: "a manifest of more than 4 MiB, which registries refuse", want: Invalid, change: func(t *tiny) {
		m := t.victim.topManifest()
		m.Annotations = map[string]string{"padding": strings.Repeat("0123456789abcdef", 5<<20/16)}
		t.victim.setManifest(encode(m))
	}},
	{name: "index-bomb", about: "an index of 100,000 images, none of them there", want: Invalid, change: indexBomb},
	{name: "unknown-manifest-type", about: "index.json names something that is not a manifest", want: Invalid, change: func(t *tiny) {
		d := t.victim.topDescriptor()
		d.MediaType = "application/vnd.example.unknown+json"
		t.victim.replace("index.json", encode(index{SchemaVersion: 2, Manifests: []descriptor{d}}))
	}},
	{name: "unknown-layer-type", about: "a layer of an unknown media type, which is still copied", want: Fine, change: func(t *tiny) {
		m := t.victim.topManifest()
		m.Layers[1].MediaType = "application/vnd.example.unknown"
		t.victim.setManifest(encode(m))
	}},
	{name: "index-first", about: "oci-layout and index.json come before the blobs, as some tools write them", want: Fine, change: func(t *tiny) {
		slices.Reverse(t.victim.members)
	}},
	{name: "empty-file", about: "an empty file with the name of an archive", want: Invalid, change: func(t *tiny) { t.victim.become("") }},
	{name: "text-file", about: "a text file with the name of an archive", want: Invalid, change: func(t *tiny) {
		t.victim.become("<html>404 Not Found</html>\n")
	}},
	{name: "gzip-bomb", about: "64 MiB of zeros with the name of an archive", want: Invalid, damage: bomb},
}

// nameDefects concern names and references.
var nameDefects = []defect{
	{name: "path-dotdot", about: `a name with ".."`, want: Hostile, entry: "../escape_v1.0.tar", change: func(t *tiny) {
		t.victim.entry.Path = "../escape_v1.0.tar"
	}},
	{name: "path-dotdot-inside", about: `a name that leaves the bundle in the middle`, want: Hostile, entry: "zz/../../escape_v1.0.tar", change: func(t *tiny) {
		t.victim.entry.Path = "zz/../../escape_v1.0.tar"
	}},
	{name: "path-absolute", about: "an absolute name", want: Hostile, entry: "/etc/escape_v1.0.tar", change: func(t *tiny) {
		t.victim.entry.Path = "/etc/escape_v1.0.tar"
	}},
	{name: "symlink", about: "a symbolic link to a path outside the bundle", want: Hostile, change: func(t *tiny) {
		t.victim.link, t.victim.target = tar.TypeSymlink, "/etc/passwd"
	}},
	{name: "hardlink", about: "a hard link to another entry", want: Hostile, change: func(t *tiny) {
		t.victim.link, t.victim.target = tar.TypeLink, t.entries[0].entry.Path
	}},
	{name: "duplicate-entry", about: "one path twice, with different content", want: Duplicate, change: func(t *tiny) {
		t.entries = append(t.entries, t.another(victimPath))
	}},
	{name: "same-reference", about: "two paths that stand for one reference, with different content", want: Duplicate, change: func(t *tiny) {
		t.entries = append(t.entries, t.another("zz/victim:v1.0.tar"))
	}},
	{name: "several-underscores", about: "the last underscore is a guess", want: Ambiguous, entry: "zz/my_app_v1.0.tar",
		victim: product{kind: "image", path: "zz/my_app", tag: "v1.0"}},
	{name: "underscores-annotated", about: "the annotation determines the underscore", want: Fine, entry: "zz/app_1.0_build.tar",
		victim: product{kind: "image", path: "zz/app", tag: "1.0_build"}, change: func(t *tiny) { t.victim.annotate("1.0_build") }},
	{name: "underscores-chart", about: "the chart's version determines the underscore", want: Fine, entry: "charts/sample_1.0.0_build.tar",
		victim: product{kind: "chart", path: "charts/sample", tag: "1.0.0_build"}},
	{name: "colon", about: "a colon between name and tag", want: Fine, entry: "zz/victim:v1.0.tar", change: func(t *tiny) {
		t.victim.entry.Path = "zz/victim:v1.0.tar"
	}},
	{name: "port", about: "a directory named like a host with a port", want: Invalid, entry: "localhost:5000/victim_v1.0.tar", change: func(t *tiny) {
		t.victim.entry.Path = "localhost:5000/victim_v1.0.tar"
	}},
	{name: "no-tag", about: "a name without a tag", want: Invalid, entry: "zz/victim.tar", change: func(t *tiny) {
		t.victim.entry.Path = "zz/victim.tar"
	}},
}

// big is a victim so long that its middle is more than one inflate window
// (32 KiB) behind the entries before it, which a reader has then seen.
var big = product{kind: "image", path: "zz/victim", tag: "v1.0", weight: 200_000}

const bombSize = 64 << 20

// bomb replaces the victim with 64 MiB of zeros, as gzip members of 1 MiB. That is
// more than the tools may hold, and tests inflate it dozens of times.
func bomb(r raw) []byte {
	var head bytes.Buffer
	h := &tar.Header{Typeflag: tar.TypeReg, Name: victimPath, Mode: 0o644, Size: bombSize}
	if err := tar.NewWriter(&head).WriteHeader(h); err != nil {
		panic(fmt.Sprintf("samplebundle: %v", err)) // a sound header, into memory
	}
	member := func(p []byte) []byte {
		all, _ := raw{tar: p}.gzipTo(0)
		return all
	}
	return slices.Concat(
		member(slices.Concat(r.tar[:r.at], head.Bytes())),
		bytes.Repeat(member(make([]byte, 1<<20)), bombSize>>20),
		member(make([]byte, 1024)))
}

// topDescriptor returns the descriptor in index.json.
func (a *archive) topDescriptor() descriptor {
	var idx index
	decode(a.content("index.json"), &idx)
	return idx.Manifests[0]
}

// topManifest returns an image's manifest.
func (a *archive) topManifest() manifest {
	var m manifest
	decode(a.content(blobName(a.entry.Digest)), &m)
	return m
}

// setManifest replaces the manifest and its descriptor in index.json, so that all digests
// are correct again.
func (a *archive) setManifest(p []byte) {
	name := blobName(a.entry.Digest)
	d := a.topDescriptor()
	d.Digest, d.Size = digestOf(p), int64(len(p))
	a.replace(name, p)
	a.member(name).name = blobName(d.Digest)
	a.replace("index.json", encode(index{SchemaVersion: 2, Manifests: []descriptor{d}}))
	i := slices.IndexFunc(a.entry.Blobs, func(b Blob) bool { return b.Digest == a.entry.Digest })
	a.entry.Blobs[i] = Blob{d.Digest, d.MediaType, d.Size}
	a.entry.Digest, a.entry.MediaType = d.Digest, d.MediaType
}

// annotate writes a reference name into index.json.
func (a *archive) annotate(name string) {
	d := a.topDescriptor()
	d.Annotations = map[string]string{refName: name}
	a.replace("index.json", encode(index{SchemaVersion: 2, Manifests: []descriptor{d}}))
	a.entry.Annotation = name
}

// spoil changes one byte of a blob.
func (a *archive) spoil(digest string) {
	name := blobName(digest)
	p := a.content(name)
	p[len(p)/2] ^= 1
	a.replace(name, p)
}

// become turns an entry into a file that is not an archive.
func (a *archive) become(text string) {
	m := dataMember("", []byte(text))
	a.raw = &m
}

// indexBomb puts an index with very many children in place of the manifest.
func indexBomb(t *tiny) {
	idx := index{SchemaVersion: 2, MediaType: typeIndex}
	for i := range 100_000 {
		idx.Manifests = append(idx.Manifests, descriptor{MediaType: typeManifest, Digest: fmt.Sprintf("sha256:%064x", i), Size: 500})
	}
	p := encode(idx)
	t.victim.setManifest(p)
	d := t.victim.topDescriptor()
	d.MediaType = typeIndex
	t.victim.replace("index.json", encode(index{SchemaVersion: 2, Manifests: []descriptor{d}}))
}
