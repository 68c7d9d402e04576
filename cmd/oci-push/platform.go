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

// anywhere reports whether a manifest names no platform, such as an artifact
// inside an index.
func anywhere(m oci.Manifest) bool { return m.Platform == nil || m.Platform.OS == "" }

// survey counts the images of a run, and lists the platforms that they are for.
type survey struct {
	wanted  int // pushed or failed
	leftOut int // for other platforms only
	found   map[string]bool
	served  map[string]bool // wanted platforms that an image is for
}

// count counts an image.
func (s *survey) count(wanted oci.Platforms, img *oci.Image) {
	for _, m := range img.Manifests {
		if anywhere(m) || m.Platform.OS == "unknown" {
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

// checkPlatforms reports how many images were left out, and fails if no image
// was for one of the platforms, which is then most likely misspelled.
func (p *pusher) checkPlatforms() error {
	s := &p.survey
	if s.leftOut > 0 {
		p.progress.Warn("left out %[2]d of %[3]d images, which are not for %[1]s", p.cfg.platforms.String(), s.leftOut, s.leftOut+s.wanted)
	}
	for _, want := range p.cfg.platforms {
		if name := want.String(); !s.served[name] && len(s.found) > 0 {
			all := slices.Sorted(maps.Keys(s.found))
			return cli.Hint(fmt.Errorf("--platform %s: no image is for it", name), "the images are for %s", strings.Join(all, ", "))
		}
	}
	return nil
}

// narrow leaves out the manifests for platforms other than these, if any are
// given, and the blobs that only they need. An index keeps its bytes and thus
// its digest; it is pushed with children missing, as the distribution spec
// allows. A nil image means that nothing is left, for the returned reason.
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
		if !anywhere(m) && !slices.ContainsFunc(p, func(want v1.Platform) bool { return oci.Runs(want, *m.Platform) }) {
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

// blobsOf returns the digests that a manifest refers to. The manifest has been
// parsed before, so no error is possible.
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

// keep holds the blobs to send for each entry of a streamed bundle; nil means
// all.
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

// scan reads archives that cannot seek once for their manifests, which come
// after the blobs and alone determine the platform of a blob.
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
			continue // reported when its turn comes
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
