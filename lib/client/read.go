package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/oci"
)

// maxManifest is the size limit of a manifest or config, in bytes: what the
// distribution spec requires registries to accept.
const maxManifest = 4 << 20

// accept lists the media types of manifests; without it registries may convert.
var accept = map[string]string{"Accept": strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2), "*/*",
}, ", ")}

// Digest returns the digest that a tag or digest refers to (end-3), or "" if
// the repository has none. If a registry does not state it, the manifest is
// read.
func (r *Registry) Digest(ctx context.Context, repository, reference string) (digest string, err error) {
	err = r.retry(ctx, func() error {
		digest = ""
		resp, err := r.ask(ctx, repository, request{method: http.MethodHead, url: r.url(repository, "manifests", reference), header: accept}, http.StatusOK)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		stated := resp.Header.Get("Docker-Content-Digest")
		if _, err := v1.NewHash(stated); err == nil {
			digest = stated
			return nil
		}
		m, err := r.getManifest(ctx, repository, reference)
		if err == nil {
			digest = m.Digest.String()
		}
		return err
	})
	return digest, err
}

// Manifest gets a manifest or index of at most 4 MiB by tag or digest (end-3),
// and checks its bytes against the digest. The error for one that does not
// exist is ErrNotFound.
func (r *Registry) Manifest(ctx context.Context, repository, reference string) (v1.Descriptor, []byte, error) {
	m, err := r.manifest(ctx, repository, reference)
	return m.Descriptor, m.raw, err
}

// dated is a manifest as a registry served it.
type dated struct {
	v1.Descriptor
	raw      []byte
	modified time.Time // zero if the registry does not say
}

// manifest is Manifest with the time.
func (r *Registry) manifest(ctx context.Context, repository, reference string) (m dated, err error) {
	err = r.retry(ctx, func() error {
		m, err = r.getManifest(ctx, repository, reference)
		return err
	})
	if err != nil {
		return dated{}, err
	}
	if want, err := v1.NewHash(reference); err == nil && want != m.Digest && want.Algorithm == m.Digest.Algorithm {
		return dated{}, fmt.Errorf("manifest %s: %w: content is %s", want, oci.ErrDigest, m.Digest)
	}
	return m, nil
}

func (r *Registry) getManifest(ctx context.Context, repository, reference string) (dated, error) {
	raw, header, err := r.get(ctx, repository, r.url(repository, "manifests", reference), accept, maxManifest)
	if err == nil {
		err = checkManifest(raw)
	}
	if err != nil {
		return dated{}, err
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	m := dated{Descriptor: v1.Descriptor{MediaType: types.MediaType(kind), Size: int64(len(raw))}, raw: raw}
	m.modified, _ = http.ParseTime(header.Get("Last-Modified"))
	m.Digest, _, err = v1.SHA256(bytes.NewReader(raw))
	return m, err
}

// Image gets the manifests that a tag or digest leads to, and the configs that
// describe a platform or a chart, each checked against its digest. Anything
// below the root that the repository lacks is in the image's Missing.
func (r *Registry) Image(ctx context.Context, repository, reference string) (*oci.Image, error) {
	img, _, err := r.DatedImage(ctx, repository, reference)
	return img, err
}

// DatedImage is like Image, and also returns when the registry received the
// manifest or tag, or the zero time if it does not say (Last-Modified).
func (r *Registry) DatedImage(ctx context.Context, repository, reference string) (*oci.Image, time.Time, error) {
	root, err := r.manifest(ctx, repository, reference)
	if err != nil {
		return nil, time.Time{}, err
	}
	img, err := oci.Follow(root.Descriptor, func(d v1.Descriptor, manifest bool) ([]byte, error) {
		if d.Digest == root.Digest {
			return root.raw, nil
		}
		var raw []byte
		var err error
		if manifest {
			_, raw, err = r.Manifest(ctx, repository, d.Digest.String())
		} else {
			raw, err = r.small(ctx, repository, d.Digest)
		}
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return raw, err
	})
	return img, root.modified, err
}

// small gets a blob of at most maxManifest bytes.
func (r *Registry) small(ctx context.Context, repository string, d v1.Hash) ([]byte, error) {
	b := r.Blob(ctx, repository, d)
	defer b.Close()
	return readCapped(b, maxManifest)
}

// PutManifest pushes a manifest's raw bytes under a tag or digest (end-7). If
// it refers to another manifest and the registry does not list referrers, it is
// added to the index of referrers.
func (r *Registry) PutManifest(ctx context.Context, repository, reference, mediaType string, raw []byte) error {
	listed, err := r.putManifest(ctx, repository, reference, mediaType, raw)
	if err != nil || listed {
		return err
	}
	return r.noteReferrer(ctx, repository, mediaType, raw)
}

// putManifest is PutManifest without the index. It reports whether the registry
// lists referrers.
func (r *Registry) putManifest(ctx context.Context, repository, reference, mediaType string, raw []byte) (listed bool, err error) {
	q := request{
		method: http.MethodPut, url: r.url(repository, "manifests", reference), header: map[string]string{"Content-Type": mediaType},
		body: bytes.NewReader(raw), size: int64(len(raw)),
	}
	err = r.retry(ctx, func() error {
		resp, err := r.ask(ctx, repository, q, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return err
		}
		if err := r.published(ctx, repository, reference, raw, resp.Header); err != nil {
			return err
		}
		listed = resp.Header.Get("OCI-Subject") != ""
		r.wrote.Store(true)
		return nil
	})
	return listed, err
}
