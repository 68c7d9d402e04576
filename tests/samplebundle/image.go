package samplebundle

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"k0rdent-airgap/tests/k0s"
)

type (
	imageConfig struct {
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Config       runConfig `json:"config"`
		RootFS       rootFS    `json:"rootfs"`
	}
	runConfig struct {
		Entrypoint []string `json:"Entrypoint,omitempty"`
		Env        []string `json:"Env,omitempty"`
	}
	rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
)

// bases are the layers that images share, with their weights; an image takes
// the first that is at most a third of it.
var bases = []struct {
	name   string
	weight float64
}{{"debian", 14}, {"alpine", 2.5}, {"static", 0}}

// image makes the image of one platform: a shared base, then its own layers.
func (b *builder) image(p product, arch string, weight float64) (*blob, []*blob, error) {
	base := bases[slices.IndexFunc(bases, func(x struct {
		name   string
		weight float64
	}) bool {
		return x.weight*3 <= weight
	})]
	first, err := b.base(base.name, arch, base.weight)
	if err != nil {
		return nil, nil, err
	}
	layers := []*layer{first}
	for i, files := range b.imageFiles(p, arch, weight-base.weight) {
		l, err := b.layer(files)
		if err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		layers = append(layers, l)
	}
	config := imageConfig{Architecture: arch, OS: "linux", RootFS: rootFS{Type: "layers"},
		Config: runConfig{Entrypoint: []string{"/" + program(p)}, Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}}}
	m := manifest{SchemaVersion: 2, MediaType: typeManifest}
	var blobs []*blob
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		m.Layers = append(m.Layers, l.blob.descriptor())
		blobs = append(blobs, l.blob)
	}
	c := jsonBlob(typeConfig, config)
	m.Config = c.descriptor()
	top := jsonBlob(typeManifest, m)
	return top, append(blobs, c, top), nil
}

// multi makes an index of two platforms.
func (b *builder) multi(p product) (*blob, []*blob, error) {
	idx := index{SchemaVersion: 2, MediaType: typeIndex}
	var blobs []*blob
	for _, arch := range []string{"amd64", "arm64"} {
		top, parts, err := b.image(p, arch, p.weight/2)
		if err != nil {
			return nil, nil, err
		}
		d := top.descriptor()
		d.Platform = &platform{Architecture: arch, OS: "linux"}
		idx.Manifests, blobs = append(idx.Manifests, d), append(blobs, parts...)
	}
	top := jsonBlob(typeIndex, idx)
	return top, append(blobs, top), nil
}

// imageFiles returns the files of each own layer of an image.
func (b *builder) imageFiles(p product, arch string, weight float64) [][]layerFile {
	bytes := max(int64(weight*b.scale), 256)
	name := program(p)
	if p.path == "k0sproject/k0s" {
		f := layerFile{name: name, mode: 0o755, path: b.K0s}
		version := strings.Replace(p.tag, "-k0s", "+k0s", 1)
		switch b.K0s {
		case "":
			f.literal, f.random, f.tail = stub(arch, version+"\n"), bytes, k0s.Payload()
		case StandIn:
			f.path, f.literal = "", k0s.Program(arch, version)
		}
		return [][]layerFile{{f}}
	}
	notice := layerFile{name: "usr/share/doc/" + p.name() + "/copyright", mode: 0o644,
		literal: fmt.Appendf(nil, "sample of %s:%s for linux/%s\n", p.path, p.tag, arch)}
	if weight < 20 {
		return [][]layerFile{{notice, {name: name, mode: 0o755, random: bytes}}}
	}
	return [][]layerFile{
		{{name: "usr/lib/" + p.name() + "/data", mode: 0o644, random: bytes * 3 / 10}},
		{{name: "etc/" + p.name() + "/config", mode: 0o644, random: bytes / 10}},
		{notice, {name: name, mode: 0o755, random: bytes - bytes*3/10 - bytes/10}},
	}
}

// program is the path of an image's main file.
func program(p product) string { return "usr/local/bin/" + p.name() }

func (b *builder) base(name, arch string, weight float64) (*layer, error) {
	key := name + "/" + arch
	if l := b.bases[key]; l != nil {
		return l, nil
	}
	l, err := b.layer([]layerFile{
		{name: "etc/os-release", mode: 0o644, literal: []byte("ID=" + name + "\nARCH=" + arch + "\n")},
		{name: "usr/lib/" + name, mode: 0o644, random: int64(weight * b.scale)},
	})
	b.bases[key] = l
	return l, err
}

func (b *builder) layer(files []layerFile) (*layer, error) {
	pieces, next, err := tarPieces(b.corpus, files, b.at)
	if err != nil {
		return nil, err
	}
	b.at = next
	return newLayer(b.corpus, pieces)
}

// dockerArchive makes the one member that is not an OCI archive, as skopeo copy
// docker-archive: writes it, with the links for old versions of Docker.
func (b *builder) dockerArchive() (*archive, error) {
	l, err := b.layer([]layerFile{{name: "usr/bin/skopeo", mode: 0o755, literal: stub("amd64", "skopeo version 1.17.0\n")}})
	if err != nil {
		return nil, err
	}
	var raw writerBuffer
	if err := l.deflate(discard{}, &raw); err != nil {
		return nil, err
	}
	layerHex := fmt.Sprintf("%x", sha256.Sum256(raw))
	config := encode(imageConfig{Architecture: "amd64", OS: "linux", RootFS: rootFS{Type: "layers", DiffIDs: []string{l.diffID}},
		Config: runConfig{Entrypoint: []string{"/usr/bin/skopeo"}}})
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	a := &archive{entry: Entry{Path: "skopeo_v1.17.0.tar", Kind: KindDocker}}
	a.members = []member{
		dataMember(layerHex+".tar", raw),
		{name: layerHex + "/layer.tar", link: "../" + layerHex + ".tar"},
		dataMember(layerHex+"/VERSION", []byte("1.0")),
		dataMember(layerHex+"/json", encode(map[string]string{"id": layerHex})),
		dataMember(configName, config),
		dataMember("repositories", encode(map[string]map[string]string{"skopeo": {"v1.17.0": layerHex}})),
		dataMember("manifest.json", encode([]map[string]any{{
			"Config": configName, "RepoTags": []string{"skopeo:v1.17.0"}, "Layers": []string{layerHex + ".tar"},
		}})),
	}
	return a, nil
}

// writerBuffer collects what is written to it.
type writerBuffer []byte

func (b *writerBuffer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
