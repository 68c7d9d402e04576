package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Media types of a packaged chart (helm.sh/helm, pkg/registry/constants.go).
const (
	chartLayer       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	legacyChartLayer = "application/tar+gzip"
)

// maxComponents bounds one file of a components artifact, in bytes; the
// largest ones are some MiB of resource definitions.
const maxComponents = 64 << 20

// titleAnnotation names the file that a layer is (OCI image specification,
// pre-defined annotation keys).
const titleAnnotation = "org.opencontainers.image.title"

// errUnusable is wrapped by errors about what the registry gave, as opposed to
// those about asking it: nothing but another content would help.
var errUnusable = errors.New("unusable")

// open fetches the chart that a reference inside the site's registry stands
// for. Without it, the error wraps ErrNotFound; if it is no chart, errUnusable.
func (k *closure) open(ctx context.Context, reference string) (*Chart, error) {
	repository, m, err := k.manifest(ctx, reference)
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if l.MediaType != chartLayer && l.MediaType != legacyChartLayer {
			continue
		}
		p, err := k.blob(ctx, repository, l.Digest.String(), maxArchive)
		if err != nil {
			return nil, err
		}
		c, err := Load(bytes.NewReader(p))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnusable, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%w: holds no chart", errUnusable)
}

// manifest fetches the manifest that a reference inside the registry stands for.
func (k *closure) manifest(ctx context.Context, s string) (repository string, m *v1.Manifest, err error) {
	r, ok := parseReference(s)
	if !ok {
		return "", nil, fmt.Errorf("%w: not a valid reference", errUnusable)
	}
	repository, inside := k.site.inside(r.name)
	if !inside {
		return "", nil, fmt.Errorf("%w: not below %s", errUnusable, k.site.Registry)
	}
	raw, _, err := k.inv.Manifest(ctx, repository, r.identifier())
	if err != nil {
		return "", nil, err
	}
	if m, err = v1.ParseManifest(bytes.NewReader(raw)); err != nil {
		return "", nil, fmt.Errorf("%w: manifest: %w", errUnusable, err)
	}
	return repository, m, nil
}

// blob fetches a blob of at most limit bytes and compares its digest.
func (k *closure) blob(ctx context.Context, repository, digest string, limit int64) ([]byte, error) {
	body, err := k.inv.Blob(ctx, repository, digest)
	if errors.Is(err, ErrNotFound) { // though the manifest that names it is there
		return nil, fmt.Errorf("%w: blob %s: %v", errUnusable, digest, err)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	defer body.Close()
	p, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	if int64(len(p)) > limit {
		return nil, fmt.Errorf("%w: blob %s: %w", errUnusable, digest, ErrTooBig)
	}
	algorithm, want, _ := strings.Cut(digest, ":")
	var h hash.Hash
	switch algorithm {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return nil, fmt.Errorf("%w: blob %s: no such algorithm", errUnusable, digest)
	}
	h.Write(p)
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
		return nil, fmt.Errorf("%w: blob %s: digest mismatch: got %s:%s", errUnusable, digest, algorithm, got)
	}
	return p, nil
}

// titled fetches the first of the files called names that an artifact holds,
// or gives false.
func (k *closure) titled(ctx context.Context, repository string, m *v1.Manifest, names []string) ([]byte, bool, error) {
	for _, name := range names {
		for _, l := range m.Layers {
			if l.Annotations[titleAnnotation] == name {
				p, err := k.blob(ctx, repository, l.Digest.String(), maxComponents)
				return p, err == nil, err
			}
		}
	}
	return nil, false, nil
}
