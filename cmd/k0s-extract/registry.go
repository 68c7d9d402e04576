package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/ref"
)

// A reference is where a registry has k0s: HOST[:PORT]/REPOSITORY, and then
// nothing, :TAG, @DIGEST or both.
type reference struct{ host, repository, tag, digest string }

// parseReference reads --from as a reference. ok is false for what rather is
// the name of a file: a host has a dot or a port in it, or is localhost.
func parseReference(from string) (r reference, ok bool) {
	host, rest, found := strings.Cut(from, "/")
	if !found || strings.HasPrefix(host, ".") || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return reference{}, false
	}
	r.host = host
	rest, r.digest, _ = strings.Cut(rest, "@")
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, r.tag = rest[:colon], rest[colon+1:]
	}
	r.repository = rest
	return r, true
}

func (r reference) check(from string) error {
	err := ref.CheckRepository(r.repository)
	if err == nil && r.tag != "" {
		err = ref.CheckTag(r.tag)
	}
	if err == nil && r.digest != "" {
		_, err = v1.NewHash(r.digest)
	}
	if err != nil {
		return cli.Hint(cli.Misuse("--from %q: %w", from, err), "use HOST[:PORT]/.../k0sproject/k0s:TAG, or the name of a file")
	}
	return nil
}

func (r reference) String() string {
	s := r.host + "/" + r.repository
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

// isReference tells whether --from names an image rather than a file.
func isReference(from string) (reference, bool) {
	r, ok := parseReference(from)
	if !ok {
		return r, false
	}
	_, err := os.Stat(from)
	return r, err != nil
}

// fromRegistry takes k0s out of an image that a registry has.
func (w *wish) fromRegistry(ctx context.Context, r reference, o client.Options) ([]found, error) {
	reg, err := client.New(o)
	if err != nil {
		return nil, err
	}
	if err := reg.Connect(ctx); err != nil {
		return nil, interrupted(ctx, fmt.Errorf("registry %s: %w", r.host, err))
	}
	wanted, err := w.tags(ctx, reg, r)
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("registry %s: %w", r.host, err))
	}
	var all []found
	for _, t := range wanted {
		news, err := w.fromTag(ctx, reg, t)
		if err != nil {
			drop(all)
			return nil, interrupted(ctx, fmt.Errorf("%s: %w", t.reference, err))
		}
		all = append(all, news...)
	}
	return all, nil
}

// tagged is an image and the version that its tag tells, if it tells one.
type tagged struct {
	reference
	version *k0s.Version
}

// tags settles which images are wanted. Without a tag, those that the
// registry lists tell which versions there are.
func (w *wish) tags(ctx context.Context, reg *client.Registry, r reference) ([]tagged, error) {
	if r.tag != "" || r.digest != "" {
		t := tagged{reference: r, version: w.version}
		if v, err := k0s.ParseVersion(r.tag); err == nil {
			if w.version != nil && w.version.Compare(v) != 0 {
				return nil, cli.Misuse("%s is not k0s %s", r, w.version)
			}
			t.version = &v
		}
		return []tagged{t}, w.known(t.version, r.String())
	}
	byTag := make(map[k0s.Version]string)
	var seen, wanted []k0s.Version
	for tag, err := range reg.Tags(ctx, r.repository) {
		if err != nil {
			return nil, err
		}
		v, err := k0s.ParseVersion(tag)
		if err != nil || byTag[v] != "" {
			continue
		}
		byTag[v] = tag
		seen = append(seen, v)
		if w.version == nil || w.version.Compare(v) == 0 {
			wanted = append(wanted, v)
		}
	}
	if len(wanted) == 0 {
		return nil, w.absent(r.repository, seen)
	}
	if !w.every {
		wanted = []k0s.Version{newest(wanted)}
	}
	var all []tagged
	for _, v := range wanted {
		one := r
		one.tag = byTag[v]
		all = append(all, tagged{one, &v})
	}
	return all, nil
}

func (w *wish) fromTag(ctx context.Context, reg *client.Registry, t tagged) ([]found, error) {
	name := t.digest
	if name == "" {
		name = t.tag
	} else if err := unmoved(ctx, reg, t.reference); err != nil {
		return nil, err
	}
	img, err := reg.Image(ctx, t.repository, name)
	if err != nil {
		return nil, err
	}
	w.log.Debug("image", "reference", t.String(), "digest", img.Descriptor.Digest.String())
	news := w.fromImage(ctx, []*oci.Image{img}, t.version, "registry "+t.String(), func(d v1.Descriptor) (io.ReadCloser, error) {
		in := &counted{Blob: reg.Blob(ctx, t.repository, d.Digest), progress: w.progress}
		w.progress.Start("reading k0s", d.Size, in.n.Load)
		return in, nil
	})
	for i := range news {
		if err := news[i].err; err != nil {
			news[i].err = fmt.Errorf("%s: %w", t.reference, err)
		}
	}
	return news, nil
}

// unmoved returns an error if the registry has something else under the tag of
// a reference than its digest: what was verified has been replaced.
func unmoved(ctx context.Context, reg *client.Registry, r reference) error {
	if r.tag == "" {
		return nil
	}
	have, err := reg.Digest(ctx, r.repository, r.tag)
	if err != nil || have == "" || have == r.digest {
		return err
	}
	return cli.Hint(fmt.Errorf("the tag has moved: the registry has %s, not %s", have, r.digest),
		"push the verified bundle again, and find out who else may write to the registry")
}

// counted tells a person how far a layer has come.
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
