package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/ref"
)

// Media types of a packaged chart (helm.sh/helm, pkg/registry/constants.go).
const (
	chartLayer       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	legacyChartLayer = "application/tar+gzip"
)

// maxComponents bounds one file of a components artifact, in bytes; the
// largest ones are some MiB of resource definitions.
const maxComponents = 64 << 20

// titleAnnotation is the name of a layer's file (OCI image specification,
// pre-defined annotation keys).
const titleAnnotation = "org.opencontainers.image.title"

// ErrUnusable is wrapped by errors about the content of the registry, as opposed to
// those of requests: repeating the request does not help.
var ErrUnusable = errors.New("unusable")

// Fetch returns the chart with a tag or digest. The error wraps ErrNotFound if there
// is none, and ErrUnusable if it is not a chart.
func Fetch(ctx context.Context, inv Inventory, repository, reference string) (*Chart, error) {
	m, err := fetchManifest(ctx, inv, repository, reference)
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if l.MediaType != chartLayer && l.MediaType != legacyChartLayer {
			continue
		}
		p, err := blob(ctx, inv, repository, l, maxArchive)
		if err != nil {
			return nil, err
		}
		c, err := Load(bytes.NewReader(p))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: contains no chart", ErrUnusable)
}

// open fetches the chart of a reference in the site's registry.
func (k *closure) open(ctx context.Context, s string) (*Chart, error) {
	repository, identifier, err := k.inside(s)
	if err != nil {
		return nil, err
	}
	return Fetch(ctx, k.inv, repository, identifier)
}

// manifest fetches the manifest of a reference in the site's registry.
func (k *closure) manifest(ctx context.Context, s string) (repository string, m *v1.Manifest, err error) {
	repository, identifier, err := k.inside(s)
	if err != nil {
		return "", nil, err
	}
	m, err = fetchManifest(ctx, k.inv, repository, identifier)
	return repository, m, err
}

// inside returns the repository of a reference in the site's registry, and its tag
// or digest.
func (k *closure) inside(s string) (repository, identifier string, err error) {
	r, err := ref.ParseImage(s)
	if err != nil {
		return "", "", fmt.Errorf("%w: not a valid reference", ErrUnusable)
	}
	repository, inside := k.site.inside(r.Name())
	if !inside {
		return "", "", fmt.Errorf("%w: not below %s", ErrUnusable, k.site.Registry)
	}
	return repository, r.Identifier(), nil
}

// fetchManifest fetches and parses the manifest of a tag or digest.
func fetchManifest(ctx context.Context, inv Inventory, repository, reference string) (*v1.Manifest, error) {
	raw, _, err := inv.Manifest(ctx, repository, reference)
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrUnusable, err)
	}
	return m, nil
}

// blob returns a blob of at most limit bytes. The error wraps ErrUnusable if the blob does
// not exist although a manifest names it, or does not match its digest and size.
func blob(ctx context.Context, inv Inventory, repository string, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%w: blob %v: %w", ErrUnusable, d.Digest, ErrTooBig)
	}
	body, err := inv.Blob(ctx, repository, d.Digest.String())
	var p []byte
	if err == nil {
		defer body.Close()
		p, err = io.ReadAll(oci.Verify(body, d.Digest, d.Size))
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, client.ErrNotFound): // the client opens a blob at the first read
		return nil, fmt.Errorf("%w: blob %v: %v", ErrUnusable, d.Digest, err)
	case errors.Is(err, oci.ErrDigest), errors.Is(err, oci.ErrTruncated), errors.Is(err, oci.ErrInvalid):
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return nil, fmt.Errorf("blob %v: %w", d.Digest, err)
}

// fetchFile returns the first of the files called names that an artifact contains.
func (k *closure) fetchFile(ctx context.Context, repository string, m *v1.Manifest, names []string) ([]byte, error) {
	for _, name := range names {
		for _, l := range m.Layers {
			if l.Annotations[titleAnnotation] == name {
				return blob(ctx, k.inv, repository, l, maxComponents)
			}
		}
	}
	return nil, fmt.Errorf("%w: contains no %s", ErrUnusable, strings.Join(names, " or "))
}
