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

// fromImage reads k0s from an image whose layers are available in any order.
func (w *request) fromImage(ctx context.Context, images []*oci.Image, v *k0s.Version, source string, open func(v1.Descriptor) (io.ReadCloser, error)) []found {
	var all []found
	for _, want := range w.platforms {
		f := found{version: v, platform: want, source: source}
		f.sink, f.err = w.openLayers(ctx, images, v, want, open)
		all = append(all, f)
	}
	return all
}

func (w *request) openLayers(ctx context.Context, images []*oci.Image, v *k0s.Version, want v1.Platform, open func(v1.Descriptor) (io.ReadCloser, error)) (out sink, err error) {
	layers, err := layersFor(images, want)
	if err != nil {
		return nil, err
	}
	scan := newScanner(func(m elf.Machine) (sink, error) {
		if err := checkMachine(m, want); err != nil {
			return nil, err
		}
		out = w.sink(v, want)
		return out, nil
	})
	p, err := find(len(layers), func(i int) (layer, error) {
		in, err := open(layers[i])
		if err != nil {
			return layer{}, err
		}
		defer in.Close()
		verified := oci.Verify(&interruptible{ctx, in}, layers[i].Digest, layers[i].Size)
		l := scan.scan(verified)
		_, err = io.Copy(io.Discard, verified)
		return l, err
	})
	if err != nil {
		if out != nil {
			out.drop()
		}
		return nil, err
	}
	return p.sink, nil
}

// fromStream reads k0s from an archive that streams. The manifest follows the
// layers, so every k0s is kept until then.
func (w *request) fromStream(ctx context.Context, r io.Reader, v *k0s.Version, source string, k k0sEntry) ([]found, error) {
	layers := make(map[v1.Hash]layer)
	kept := 0
	scan := newScanner(func(m elf.Machine) (sink, error) {
		want, ok := w.platformOf(machineName(m))
		if !ok {
			return nil, nil
		}
		if kept++; kept > maxCandidates*len(w.platforms) {
			return nil, fmt.Errorf("more than %d layers hold a k0s for a platform", maxCandidates)
		}
		return w.sink(v, want), nil
	})
	chosen := make(map[sink]bool)
	defer func() {
		for _, l := range layers {
			if l.program != nil && l.program.sink != nil && !chosen[l.program.sink] {
				l.program.sink.drop()
			}
		}
	}()
	archive, err := oci.Read(ctx, r, func(b oci.Blob) error {
		layers[b.Digest] = scan.scan(b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	images, err := usable(archive, k)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, want := range w.platforms {
		f := found{version: v, platform: want, source: source}
		if f.sink, f.err = passed(images, want, layers); f.err == nil {
			chosen[f.sink] = true
		}
		all = append(all, f)
	}
	return all, nil
}

// passed finds k0s in layers that have been read.
func passed(images []*oci.Image, want v1.Platform, layers map[v1.Hash]layer) (sink, error) {
	names, err := layersFor(images, want)
	if err != nil {
		return nil, err
	}
	p, err := find(len(names), func(i int) (layer, error) {
		l, ok := layers[names[i].Digest]
		if !ok {
			return layer{}, fmt.Errorf("layer %v is missing", names[i].Digest)
		}
		return l, nil
	})
	if err != nil {
		return nil, err
	}
	return p.sink, checkMachine(p.machine, want)
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
