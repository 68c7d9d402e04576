package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
)

// maxCandidates limits the layers of a streamed archive that may hold a k0s for
// a requested platform: each is kept on disk until the manifest says which one
// counts. The vendor's archives have one.
const maxCandidates = 4

// layersFor returns the layers of the image for a platform, lowest first.
func layersFor(images []*oci.Image, want v1.Platform) ([]v1.Descriptor, error) {
	var have []string
	for _, image := range images {
		have = append(have, image.Platforms...)
		for _, m := range image.Manifests {
			if m.Descriptor.MediaType.IsIndex() || m.Platform == nil || !oci.Runs(want, *m.Platform) {
				continue
			}
			parsed, err := v1.ParseManifest(bytes.NewReader(m.Raw))
			if err != nil {
				return nil, err
			}
			return parsed.Layers, nil
		}
	}
	return nil, fmt.Errorf("contains %s, not %s", strings.Join(have, ", "), want)
}

// layers are those of one archive or image: read as they stream by, before the
// manifest that says which ones count, or one by one once they are needed.
type layers struct {
	req     *request
	version *k0s.Version
	scanner *scanner
	read    map[v1.Hash]layer
	open    func(v1.Descriptor) (io.ReadCloser, error) // opens one that has not been read
	chosen  map[*sink]bool
}

func (w *request) layers(ctx context.Context, v *k0s.Version) *layers {
	kept := 0
	return &layers{
		req: w, version: v, read: make(map[v1.Hash]layer), chosen: make(map[*sink]bool),
		scanner: newScanner(func(m elf.Machine) (*sink, error) {
			want, ok := w.platformOf(machineName(m))
			if !ok {
				return nil, nil
			}
			if kept++; kept > maxCandidates*len(w.platforms) {
				return nil, fmt.Errorf("more than %d layers hold a k0s for a platform", maxCandidates)
			}
			return w.sink(ctx, v, want), nil
		}),
	}
}

// find returns the k0s in images for each requested platform.
func (l *layers) find(ctx context.Context, images []*oci.Image, source string) []found {
	var all []found
	for _, want := range l.req.platforms {
		f := found{version: l.version, platform: want, source: source}
		f.sink, f.err = l.program(ctx, images, want)
		all = append(all, f)
	}
	return all
}

func (l *layers) program(ctx context.Context, images []*oci.Image, want v1.Platform) (*sink, error) {
	all, err := layersFor(images, want)
	if err != nil {
		return nil, err
	}
	p, err := find(len(all), func(i int) (layer, error) { return l.at(ctx, all[i]) })
	if err == nil {
		err = checkMachine(p.machine, want)
	}
	if err != nil {
		return nil, err
	}
	l.chosen[p.sink] = true
	return p.sink, nil
}

// at returns a layer, which it reads unless it has been read.
func (l *layers) at(ctx context.Context, d v1.Descriptor) (layer, error) {
	if got, ok := l.read[d.Digest]; ok {
		return got, nil
	}
	in, err := l.open(d)
	if err != nil {
		return layer{}, err
	}
	defer in.Close()
	verified := oci.Verify(&interruptible{ctx, in}, d.Digest, d.Size)
	got := l.scanner.scan(verified)
	if _, err := io.Copy(io.Discard, verified); err != nil {
		got.drop()
		return layer{}, err
	}
	l.read[d.Digest] = got
	return got, nil
}

// close drops every k0s that was not chosen.
func (l *layers) close() {
	for _, one := range l.read {
		if one.program != nil && !l.chosen[one.program.sink] {
			one.drop()
		}
	}
}

// fromArchive reads k0s from an entry: from r, its bytes, where the entry is a
// stream or compressed.
func (w *request) fromArchive(ctx context.Context, k k0sEntry, r io.Reader, source string) ([]found, error) {
	l := w.layers(ctx, &k.version)
	defer l.close()
	archive, err := oci.Load(ctx, k.at, k.size, r, func(b oci.Blob) error {
		l.read[b.Digest] = l.scanner.scan(b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	images, err := usable(archive, k)
	if err != nil {
		return nil, err
	}
	l.open = func(d v1.Descriptor) (io.ReadCloser, error) {
		blob, ok := archive.Blob(d.Digest)
		if !ok {
			return nil, fmt.Errorf("layer %v is missing", d.Digest)
		}
		return io.NopCloser(blob), nil
	}
	return l.find(ctx, images, source), nil
}

// usable returns the images of an entry: the one that a record named, or those
// that match the entry's name.
func usable(archive *oci.Archive, k k0sEntry) ([]*oci.Image, error) {
	if k.digest == "" {
		image, err := archive.Main(k.path)
		return []*oci.Image{image}, err
	}
	images, err := archive.Images()
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		if image.Descriptor.Digest.String() == k.digest {
			return []*oci.Image{image}, nil
		}
	}
	return nil, fmt.Errorf("image %s, which its record names, is missing", k.digest)
}
