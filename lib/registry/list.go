package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

func (h *Handler) listTags(w *response, r *http.Request, req *Request) error {
	return writeList(w, r, req, `{"name":"`+req.Name+`","tags":[`, func(last string, limit int) ([]string, bool, error) {
		return h.store.Tags(r.Context(), req.Name, last, limit)
	})
}

func (h *Handler) listRepositories(w *response, r *http.Request, req *Request) error {
	return writeList(w, r, req, `{"repositories":[`, func(last string, limit int) ([]string, bool, error) {
		return h.store.Repositories(r.Context(), last, limit)
	})
}

// writeList answers with a list of names, which hold nothing that JSON would
// escape. A client that gave a limit gets one page, of those that the store
// makes; another one gets the whole list, of which one page at a time is in
// memory.
func writeList(w *response, r *http.Request, req *Request, head string, next func(last string, limit int) ([]string, bool, error)) error {
	page, more, err := next(req.Last, req.Limit)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	whole := !more || req.Limit != noLimit
	if more && len(page) > 0 && whole { // a page of no names has no next one (distribution-spec, "Listing Tags")
		setLink(w, r, url.Values{"n": {strconv.Itoa(req.Limit)}, "last": {page[len(page)-1]}})
	}
	body := appendNames([]byte(head), page, "")
	if whole {
		body = append(body, "]}"...)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(http.StatusOK)
	for {
		if _, err := w.Write(body); err != nil {
			return &bodyError{err}
		}
		if whole {
			return nil
		}
		if page, more, err = next(page[len(page)-1], noLimit); err != nil {
			w.abort() // so that the client does not take this for all
			return err
		}
		body = appendNames(body[:0], page, ",")
		if whole = !more; whole {
			body = append(body, "]}"...)
		}
	}
}

// appendNames appends JSON strings, separated by commas, the first one too.
func appendNames(b []byte, names []string, separator string) []byte {
	for _, name := range names {
		b = append(append(append(append(b, separator...), '"'), name...), '"')
		separator = ","
	}
	return b
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
