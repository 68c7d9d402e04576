package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
)

// matches tells whether a manifest is for one of these platforms. One that names
// none, such as an artifact inside an index, is for everybody.
func matches(p oci.Platforms, m oci.Manifest) bool {
	return m.Platform == nil || m.Platform.OS == "" ||
		slices.ContainsFunc(p, func(want v1.Platform) bool { return oci.Runs(want, *m.Platform) })
}

// survey counts the images of a run, and knows the platforms that they are for.
type survey struct {
	wanted  int // to be pushed, and failures
	leftOut int // of other platforms only
	found   map[string]bool
	served  map[string]bool // wanted platforms that an image is for
}

// meet counts an image.
func (s *survey) meet(wanted oci.Platforms, img *oci.Image) {
	if s.found == nil {
		s.found, s.served = make(map[string]bool), make(map[string]bool)
	}
	for _, m := range img.Manifests {
		if m.Platform == nil || m.Platform.OS == "" || m.Platform.OS == "unknown" {
			continue
		}
		s.found[m.Platform.String()] = true
		for _, want := range wanted {
			if oci.Runs(want, *m.Platform) {
				s.served[want.String()] = true
			}
		}
	}
}

// checkPlatforms reports how many images were left out, and fails if no image at
// all was for one of the platforms: it is most likely misspelled.
func (p *pusher) checkPlatforms() error {
	s := &p.met
	if s.leftOut > 0 {
		p.progress.Warn("left out, as not for %s: %d of %d images", p.cfg.platforms.String(), s.leftOut, s.leftOut+s.wanted)
	}
	for _, want := range p.cfg.platforms {
		if name := want.String(); !s.served[name] && len(s.found) > 0 {
			all := slices.Sorted(maps.Keys(s.found))
			return cli.Hint(fmt.Errorf("--platform %s: no image is for it", name), "the images are for %s", strings.Join(all, ", "))
		}
	}
	return nil
}

// narrow leaves out the manifests of other platforms than these, if any are
// given, and the blobs that only they need. An index keeps its bytes and so its
// digest; the registry gets it with children missing, as the distribution spec
// allows. A nil image means that nothing is left, for the reason that is given.
func narrow(p oci.Platforms, img *oci.Image) (out *oci.Image, reason string) {
	if len(p) == 0 || img.Type == oci.TypeChart || img.Type == oci.TypeArtifact {
		return img, ""
	}
	kept := *img
	kept.Manifests, kept.Missing = nil, slices.Clone(img.Missing)
	need := make(map[v1.Hash]bool)
	single := 0
	for _, m := range img.Manifests {
		if m.Descriptor.MediaType.IsIndex() {
			kept.Manifests = append(kept.Manifests, m)
			continue
		}
		if !matches(p, m) {
			kept.Missing = append(kept.Missing, m.Descriptor)
			continue
		}
		single++
		kept.Manifests = append(kept.Manifests, m)
		for _, d := range blobsOf(m) {
			need[d] = true
		}
	}
	if single == 0 {
		return nil, fmt.Sprintf("holds %s, not %s", strings.Join(img.Platforms, " "), p.String())
	}
	unneeded := func(d v1.Descriptor) bool { return !need[d.Digest] }
	kept.Blobs = slices.DeleteFunc(slices.Clone(img.Blobs), unneeded)
	kept.Missing = slices.DeleteFunc(kept.Missing, func(d v1.Descriptor) bool {
		return !d.MediaType.IsImage() && !d.MediaType.IsIndex() && unneeded(d)
	})
	return &kept, ""
}

// blobsOf gives the digests of what a manifest names. The manifest has been
// parsed before, so an error cannot be.
func blobsOf(m oci.Manifest) []v1.Hash {
	parsed, err := v1.ParseManifest(strings.NewReader(string(m.Raw)))
	if err != nil {
		return nil
	}
	all := []v1.Hash{parsed.Config.Digest}
	for _, l := range parsed.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// keep has, for each entry of a bundle that streams, the blobs to be sent; nil
// means all.
type keep map[string]map[v1.Hash]bool

func (k keep) wants(entry string, d v1.Hash) bool { return k == nil || k[entry][d] }

// seekable reports whether an entry's blobs can be read after its manifests.
func seekable(e *bundle.Entry) bool {
	if e.At == nil {
		return false
	}
	packed, err := oci.Packed(e.At, e.Size)
	return err == nil && !packed
}

// scan reads once, for their manifests alone, the archives that cannot seek: they
// come after the blobs, and only they tell which platform a blob is for.
func (p *pusher) scan(ctx context.Context, path string) (keep, error) {
	if len(p.cfg.platforms) == 0 {
		return nil, nil
	}
	b, err := pipe.Bundle{Path: path}.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	p.progress.Start("looking", b.Size, b.Offset)
	defer p.progress.Close()
	k := make(keep)
	for e, err := range b.Entries(ctx) {
		if errors.Is(err, bundle.ErrEntry) {
			continue // told when its turn comes
		}
		if err != nil {
			return nil, pipe.Bundle{Path: path}.Named(err)
		}
		if seekable(e) {
			continue
		}
		k[e.Path] = make(map[v1.Hash]bool)
		archive, err := oci.Load(ctx, e.At, e.Size, e, nil)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			continue // this too
		}
		images, err := archive.Images()
		if err != nil {
			continue
		}
		for _, img := range images {
			if img, _ = narrow(p.cfg.platforms, img); img == nil {
				continue
			}
			for _, d := range img.Blobs {
				k[e.Path][d.Digest] = true
			}
		}
	}
	return k, nil
}
