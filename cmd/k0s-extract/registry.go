package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/ref"
)

// parseFrom parses --from as the name of an image. ok is false if it is the name
// of a file; the error is misuse.
func parseFrom(from string) (r ref.Reference, ok bool, err error) {
	if _, absent := os.Stat(from); !ref.HasHost(from) || absent == nil {
		return ref.Reference{}, false, nil
	}
	if scheme, _, found := strings.Cut(from, "://"); found {
		return r, true, cli.Hint(cli.Misuse("invalid --from %q: must not have a scheme", from), "omit %s://; --plain-http allows HTTP", scheme)
	}
	if r, err = ref.ParseImage(from); err != nil {
		err = cli.Hint(cli.Misuse("invalid --from %q: %w", from, err), "use HOST[:PORT]/.../k0sproject/k0s:TAG, or the name of a file")
	}
	return r, true, err
}

// connect returns a client of the registry at a host.
func connect(ctx context.Context, host string, o client.Options) (*client.Registry, error) {
	o.At = host
	reg, err := client.New(o)
	if err != nil {
		return nil, err
	}
	if err := reg.Connect(ctx); err != nil {
		return nil, interrupted(ctx, fmt.Errorf("registry %s: %w", host, err))
	}
	return reg, nil
}

// fromRegistry reads k0s from an image in a registry.
func (w *request) fromRegistry(ctx context.Context, r ref.Reference, o client.Options) ([]found, error) {
	reg, err := connect(ctx, r.Host, o)
	if err != nil {
		return nil, err
	}
	wanted, err := w.tags(ctx, reg, r)
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("registry %s: %w", r.Host, err))
	}
	return w.fromTags(ctx, reg, wanted)
}

// A tagged is an image, and the version in its tag, if it has one.
type tagged struct {
	ref.Reference
	version   *k0s.Version
	platforms oci.Platforms // for which it contains k0s; nil if unknown
}

// tags returns the images to read. Without a tag in the reference, the
// registry's list of tags determines the available versions.
func (w *request) tags(ctx context.Context, reg *client.Registry, r ref.Reference) ([]tagged, error) {
	if r.Tag != "" || r.Digest != "" {
		t := tagged{Reference: r, version: w.version}
		if v, err := k0s.ParseVersion(r.Tag); err == nil {
			if w.version != nil && w.version.Compare(v) != 0 {
				return nil, cli.Misuse("%s is not k0s %s", r, w.version)
			}
			t.version = &v
		}
		return []tagged{t}, w.known(t.version, r.String())
	}
	all := make(map[k0s.Version]tagged)
	for tag, err := range reg.Tags(ctx, r.Repository) {
		if err != nil {
			return nil, err
		}
		v, err := k0s.ParseVersion(tag)
		if _, again := all[v]; err == nil && !again {
			r.Tag = tag
			all[v] = tagged{Reference: r, version: &v}
		}
	}
	return w.choose(r.Repository, all)
}

// choose returns those of several versions that are requested, oldest first.
func (w *request) choose(where string, all map[k0s.Version]tagged) ([]tagged, error) {
	var wanted []tagged
	for v, t := range all {
		if w.version == nil || w.version.Compare(v) == 0 {
			wanted = append(wanted, t)
		}
	}
	if len(wanted) == 0 {
		return nil, w.absent(where, slices.Collect(maps.Keys(all)))
	}
	slices.SortFunc(wanted, func(a, b tagged) int { return a.version.Compare(*b.version) })
	if !w.name {
		wanted = wanted[len(wanted)-1:]
	}
	return wanted, nil
}

// fromTags reads k0s from images.
func (w *request) fromTags(ctx context.Context, reg *client.Registry, wanted []tagged) ([]found, error) {
	var all []found
	for _, t := range wanted {
		cfg := *w.config
		if len(cfg.platforms) == 0 {
			cfg.platforms = t.platforms
		}
		one := &request{&cfg, w.progress, w.log}
		got, err := one.fromTag(ctx, reg, t)
		if err != nil {
			drop(all)
			return nil, interrupted(ctx, fmt.Errorf("%s: %w", t.Reference, err))
		}
		all = append(all, got...)
	}
	return all, nil
}

func (w *request) fromTag(ctx context.Context, reg *client.Registry, t tagged) ([]found, error) {
	if t.Digest != "" {
		if err := unmoved(ctx, reg, t.Reference); err != nil {
			return nil, err
		}
	}
	img, err := reg.Image(ctx, t.Repository, t.Identifier())
	if err != nil {
		return nil, err
	}
	w.log.Debug("image", "reference", t.String(), "digest", img.Descriptor.Digest.String())
	l := w.layers(ctx, t.version)
	defer l.close()
	l.open = func(d v1.Descriptor) (io.ReadCloser, error) {
		in := &counted{Blob: reg.Blob(ctx, t.Repository, d.Digest), progress: w.progress}
		w.progress.Start("reading k0s", d.Size, in.n.Load)
		return in, nil
	}
	got := l.find(ctx, []*oci.Image{img}, "registry "+t.String())
	for i := range got {
		if err := got[i].err; err != nil {
			got[i].err = fmt.Errorf("%s: %w", t.Reference, err)
		}
	}
	return got, nil
}

// unmoved returns an error if the tag of a reference no longer has its digest:
// the image that was verified has been replaced.
func unmoved(ctx context.Context, reg *client.Registry, r ref.Reference) error {
	if r.Tag == "" {
		return nil
	}
	have, err := reg.Digest(ctx, r.Repository, r.Tag)
	if err != nil || have == "" || have == string(r.Digest) {
		return err
	}
	return cli.Hint(fmt.Errorf("the tag has moved: the registry has %s, not %s", have, r.Digest),
		"push the verified bundle again, and find out who else can write to the registry")
}

// counted counts the bytes of a layer, for progress.
type counted struct {
	*client.Blob
	n        atomic.Int64
	progress *cli.Progress
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Blob.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counted) Close() error {
	c.progress.Close()
	return c.Blob.Close()
}
