package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A referrer is a manifest with a subject, such as a signature or a bill of
// materials: it belongs to another manifest of its repository, and often has no
// tag (distribution-spec, "Listing Referrers").

// index is an image index with its manifests as raw JSON.
type index struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     types.MediaType  `json:"mediaType"`
	Manifests     []map[string]any `json:"manifests"`
}

// Referrers returns the digests of the manifests that refer to d (end-12). If
// the registry does not list them, it reads the index under the fallback tag.
func (r *Registry) Referrers(ctx context.Context, repository string, d v1.Hash) ([]string, error) {
	if !r.noReferrers.Load() {
		found, err := collect(r.pages(ctx, repository, r.url(repository, "referrers", d.String()), maxManifest, digestsIn))
		switch status(err) {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			r.noReferrers.Store(true)
		default:
			return found, err
		}
	}
	list, err := r.taggedReferrers(ctx, repository, d)
	return list.digests(), err
}

// taggedReferrers reads the index that clients keep under a tag.
func (r *Registry) taggedReferrers(ctx context.Context, repository string, d v1.Hash) (index, error) {
	_, raw, err := r.Manifest(ctx, repository, FallbackTag(d))
	if errors.Is(err, ErrNotFound) {
		return index{}, nil
	}
	if err != nil {
		return index{}, err
	}
	return parseIndex(raw)
}

// FallbackTag returns the tag of the index that lists the referrers of a
// manifest if the registry does not.
func FallbackTag(d v1.Hash) string { return strings.Replace(d.String(), ":", "-", 1) }

func parseIndex(raw []byte) (list index, err error) {
	if err := checkManifest(raw); err != nil {
		return list, err
	}
	err = json.Unmarshal(raw, &list)
	return list, err
}

// digests returns the digests that an index lists.
func (i index) digests() (all []string) {
	for _, m := range i.Manifests {
		text, _ := m["digest"].(string)
		if _, err := v1.NewHash(text); err == nil {
			all = append(all, text)
		}
	}
	return all
}

// digestsIn returns the digests that an index lists.
func digestsIn(raw []byte) ([]string, error) {
	list, err := parseIndex(raw)
	return list.digests(), err
}

// noteReferrer adds a manifest with a subject to the index of that subject's
// referrers, which is the client's duty if the response to the manifest had no
// OCI-Subject header.
func (r *Registry) noteReferrer(ctx context.Context, repository, mediaType string, raw []byte) error {
	var m struct {
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Config       v1.Descriptor     `json:"config"`
		Subject      *v1.Descriptor    `json:"subject"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Subject == nil {
		return nil
	}
	d, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r.noting.Lock()
	defer r.noting.Unlock()
	list, err := r.taggedReferrers(ctx, repository, m.Subject.Digest)
	if err != nil || slices.Contains(list.digests(), d.String()) {
		return err
	}
	if m.ArtifactType == "" {
		m.ArtifactType = string(m.Config.MediaType)
	}
	entry := map[string]any{"mediaType": mediaType, "digest": d.String(), "size": size}
	if m.ArtifactType != "" {
		entry["artifactType"] = m.ArtifactType
	}
	if len(m.Annotations) > 0 {
		entry["annotations"] = m.Annotations
	}
	list.SchemaVersion, list.MediaType = 2, types.OCIImageIndex
	list.Manifests = append(list.Manifests, entry)
	out, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = r.putManifest(ctx, repository, FallbackTag(m.Subject.Digest), string(types.OCIImageIndex), out)
	return err
}
