package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

func (h *Handler) listTags(w *response, r *http.Request, req *Request) error {
	tags, more, err := h.store.Tags(r.Context(), req.Name, req.Last, req.Limit)
	if err != nil {
		return err
	}
	linkNext(w, r, req.Limit, more, tags)
	return writeJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{req.Name, orEmpty(tags)})
}

func (h *Handler) listRepositories(w *response, r *http.Request, req *Request) error {
	names, more, err := h.store.Repositories(r.Context(), req.Last, req.Limit)
	if err != nil {
		return err
	}
	linkNext(w, r, req.Limit, more, names)
	return writeJSON(w, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{orEmpty(names)})
}

func (h *Handler) listReferrers(w *response, r *http.Request, req *Request) error {
	list, more, err := h.store.Referrers(r.Context(), req.Name, req.Digest, req.ArtifactType, req.Last)
	// A registry with this API never answers it with 404 (distribution-spec,
	// "Listing Referrers"): clients would fall back to the older tag scheme.
	if err != nil && !errors.Is(err, ErrNameUnknown) {
		return err
	}
	query := url.Values{}
	if req.ArtifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		query.Set("artifactType", req.ArtifactType)
	}
	if more {
		query.Set("last", string(list[len(list)-1].Digest))
		setLink(w, r, query)
	}
	return writeJSON(w, mediaTypeIndex, struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []Descriptor `json:"manifests"`
	}{2, mediaTypeIndex, orEmpty(list)})
}

// linkNext names the next page of a list that goes on. A page of zero items
// has no next one (distribution-spec, "Listing Tags").
func linkNext(w *response, r *http.Request, limit int, more bool, page []string) {
	if more && len(page) > 0 {
		setLink(w, r, url.Values{"n": {strconv.Itoa(limit)}, "last": {page[len(page)-1]}})
	}
}

func setLink(w *response, r *http.Request, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), query.Encode()))
}

// orEmpty makes an empty list encode as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
