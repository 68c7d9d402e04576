package samplebundle

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// A builder turns the catalogue into archives.
type builder struct {
	Options
	corpus   *corpus
	products []product
	scale    float64           // bytes a unit of weight
	at       int               // next place in the corpus
	bases    map[string]*layer // base layers, shared by images, by name and platform
	tops     map[string]*blob  // top manifests already made, by repository
}

// plan decides what a bundle holds: all archives, in bundle order.
func plan(o Options) ([]*archive, error) {
	b := &builder{Options: o, corpus: newCorpus(o.Seed)}
	var err error
	if o.Bundle != "" {
		b.products, err = furtherProducts(o.Bundle, b.release())
	} else {
		b.products, err = products(o.Archives, b.release())
	}
	if err != nil {
		return nil, err
	}
	archives, err := b.archives()
	if err != nil || o.Size == 0 {
		return archives, err
	}
	// The first round, with only the fixed parts, determines how much is left.
	left, weight := o.Size, 0.0
	for _, a := range archives {
		left -= a.size() + 512
	}
	for _, p := range b.products {
		weight += p.weight
	}
	if left <= 0 || weight == 0 {
		return archives, nil
	}
	b.scale = float64(left) / weight
	return b.archives()
}

func (b *builder) release() string {
	return cmp.Or(b.Release, map[string]string{BareMetal: DefaultBareMetal, Ceph: DefaultCeph}[b.Bundle], DefaultRelease)
}

func (b *builder) archives() ([]*archive, error) {
	b.at, b.bases, b.tops = 0, map[string]*layer{}, map[string]*blob{}
	var all []*archive
	for i, p := range b.products {
		one := b.archive
		if p.kind == "file" {
			one = b.file
		}
		a, err := one(p, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}
		all = append(all, a)
	}
	if b.Bundle != "" {
		return inOrder(all), nil
	}
	docker, err := b.dockerArchive()
	if err != nil {
		return nil, err
	}
	all = append(all, docker, stray("README.txt", "A sample bundle. It holds no software.\n"))
	return inOrder(all), nil
}

func inOrder(all []*archive) []*archive {
	slices.SortFunc(all, func(x, y *archive) int { return strings.Compare(x.entry.Path, y.entry.Path) })
	return all
}

// archive makes the i-th product of the catalogue.
func (b *builder) archive(p product, i int) (*archive, error) {
	top, blobs, err := b.content(&p)
	if err != nil {
		return nil, err
	}
	e := Entry{Path: p.path + "_" + p.tag + ".tar", Kind: KindOCI, Repository: p.path, Tag: p.tag}
	if b.Bundle != "" {
		b.rename(&e, p)
	}
	if i%3 != 1 { // skopeo writes the name only when it was given one
		e.Annotation = p.tag
	}
	if p.path == "velero/velero" { // and then whatever it was given
		e.Annotation = "registry.mirantis.com/k0rdent-enterprise/" + p.path + ":" + p.tag
	}
	d := top.descriptor()
	if e.Annotation != "" {
		d.Annotations = map[string]string{refName: e.Annotation}
	}
	if p.kind == "sbom" {
		e.Subject = b.tops[p.path].digest
	}
	b.tops[p.path] = top
	a := ociArchive(e, d, blobs)
	b.describe(&a.entry, p)
	if b.Sparse && p.path == b.sparsePath() {
		a.sparse()
	}
	return a, nil
}

// content makes the blobs of an archive and its top manifest.
func (b *builder) content(p *product) (top *blob, blobs []*blob, err error) {
	switch p.kind {
	case "image":
		return b.image(*p, "amd64", p.weight)
	case "multi":
		return b.multi(*p)
	case "chart", "provider", "cluster":
		return b.chart(*p)
	case "components":
		top, blobs = b.components(*p)
	case "signature":
		top, blobs = b.signature(p)
	case "sbom":
		top, blobs = b.sbom(*p)
	default:
		return nil, nil, fmt.Errorf("catalogue: no such kind: %s", p.kind)
	}
	return top, blobs, nil
}

// describe fills in what a reader is to find out about the archive.
func (b *builder) describe(e *Entry, p product) {
	switch p.kind {
	case "image":
		e.Type, e.Platforms = "image", []string{"linux/amd64"}
	case "multi":
		e.Type, e.Platforms = "index", []string{"linux/amd64", "linux/arm64"}
	case "chart", "provider", "cluster":
		m := b.chartMetaOf(p)
		e.Type, e.Chart = "chart", &Chart{m.Name, m.Version, m.AppVersion}
	default:
		e.Type = "artifact"
	}
}

// sparsePath picks the index that Options.Sparse makes sparse.
func (b *builder) sparsePath() string {
	first := ""
	for _, p := range b.products {
		if p.path == "k0sproject/etcd" {
			return p.path
		}
		if p.kind == "multi" && first == "" {
			first = p.path
		}
	}
	return first
}

// chart makes an archive as helm push makes it.
func (b *builder) chart(p product) (*blob, []*blob, error) {
	tgz, meta, err := b.chartTgz(p)
	if err != nil {
		return nil, nil, err
	}
	config, content := jsonBlob(typeHelmConfig, parseMeta(meta)), dataBlob(typeHelmContent, tgz)
	top := jsonBlob(typeManifest, manifest{
		SchemaVersion: 2,
		Config:        config.descriptor(),
		Layers:        []descriptor{content.descriptor()},
		Annotations:   map[string]string{"org.opencontainers.image.title": p.name(), "org.opencontainers.image.version": p.chartVersion()},
	})
	return top, []*blob{config, content, top}, nil
}

func (b *builder) chartMetaOf(p product) chartMeta {
	files := map[string][]byte{}
	if err := b.chartDir(files, "x", p.kind, p.name(), p.chartVersion()); err != nil {
		panic(err) // the files are embedded, and were read before
	}
	return parseMeta(files["x/Chart.yaml"])
}

// components makes the artifact that the Cluster API operator fetches, as oras
// push makes it.
func (b *builder) components(p product) (*blob, []*blob) {
	name := strings.TrimSuffix(p.name(), "-components")
	empty := dataBlob(typeEmpty, []byte("{}"))
	meta := dataBlob(typePlainLayer, fmt.Appendf(nil, `apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Metadata
releaseSeries:
  - major: 1
    minor: 0
    contract: v1beta1
# %s %s
`, name, p.tag))
	pr := providers[name]
	objects := dataBlob(typePlainLayer, fmt.Appendf(nil, `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %s-controller-manager
  namespace: %s-system
spec:
  selector:
    matchLabels:
      cluster.x-k8s.io/provider: %[1]s
  template:
    metadata:
      labels:
        cluster.x-k8s.io/provider: %[1]s
    spec:
      containers:
        - name: manager
          image: registry.k8s.io/%[3]s:%[4]s
`, name, name, pr.controller, p.tag))
	titled := func(b *blob, title string) descriptor {
		d := b.descriptor()
		d.Annotations = map[string]string{"org.opencontainers.image.title": title}
		return d
	}
	config := empty.descriptor()
	config.Data = base64.StdEncoding.EncodeToString([]byte("{}"))
	top := jsonBlob(typeManifest, manifest{
		SchemaVersion: 2,
		MediaType:     typeManifest,
		ArtifactType:  "application/vnd.unknown.artifact.v1",
		Config:        config,
		Layers:        []descriptor{titled(meta, "metadata.yaml"), titled(objects, "components.yaml")},
	})
	return top, []*blob{empty, meta, objects, top}
}

// signature makes what cosign attaches to an image: a manifest under a tag that
// is derived from the image's digest. The signature in it is not a real one.
func (b *builder) signature(p *product) (*blob, []*blob) {
	signed := b.tops[p.path]
	p.tag = strings.Replace(signed.digest, ":", "-", 1) + ".sig"
	payload := dataBlob(typeSimpleSigning, fmt.Appendf(nil,
		`{"critical":{"identity":{"docker-reference":"registry.mirantis.com/k0rdent-enterprise/%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`,
		p.path, signed.digest))
	layer := payload.descriptor()
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString([]byte("signature of " + signed.digest))}
	config := jsonBlob(typeConfig, imageConfig{RootFS: rootFS{Type: "layers", DiffIDs: []string{payload.digest}}})
	top := jsonBlob(typeManifest, manifest{SchemaVersion: 2, MediaType: typeManifest, Config: config.descriptor(), Layers: []descriptor{layer}})
	return top, []*blob{payload, config, top}
}

// sbom makes an artifact that refers to an image by "subject".
func (b *builder) sbom(p product) (*blob, []*blob) {
	of := b.tops[p.path].descriptor()
	empty := dataBlob(typeEmpty, []byte("{}"))
	doc := dataBlob(typeSPDX, fmt.Appendf(nil, `{"spdxVersion":"SPDX-2.3","name":"%s","documentNamespace":"%s"}`, p.path, of.Digest))
	top := jsonBlob(typeManifest, manifest{
		SchemaVersion: 2,
		MediaType:     typeManifest,
		ArtifactType:  typeSPDX,
		Config:        empty.descriptor(),
		Layers:        []descriptor{doc.descriptor()},
		Subject:       &of,
	})
	return top, []*blob{empty, doc, top}
}

// stray makes an entry that is not an archive.
func stray(name, text string) *archive {
	m := dataMember(name, []byte(text))
	return &archive{entry: Entry{Path: name, Kind: KindStray}, raw: &m}
}
