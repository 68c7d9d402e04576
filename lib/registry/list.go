package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxAnswers bounds the bytes of lists that clients have not received. A Share
	// divides them among addresses.
	maxAnswers = 16 << 20
	// minNames and minReferrers are the bytes that a list reserves at first.
	minNames, minReferrers = 128 << 10, 1 << 20
	// answerWait is how long a client waits for such memory.
	answerWait = 20 * time.Second
)

// reserve builds the body of a list once it has reserved size bytes, and again if
// the body needs more. Call release when it has been sent. The error is ErrTooMany
// while lists for the same address use the memory.
func (h *Handler) reserve(r *http.Request, size int, list func() ([]byte, error)) (body []byte, release func(), err error) {
	from := Network(r)
	ctx, cancel := context.WithTimeout(r.Context(), answerWait)
	defer cancel()
	for ; ; size, body = len(body), nil {
		if !h.answers.Wait(ctx, from, size) {
			return nil, nil, &Refusal{ErrTooMany, http.Header{"Retry-After": {"1"}}}
		}
		release = func() { h.answers.Release(from, size) }
		if body, err = list(); err == nil && len(body) <= size {
			return body, release, nil
		}
		if release(); err != nil {
			return nil, nil, err
		}
	}
}

func (h *Handler) listTags(w *response, r *http.Request, req *Request) error {
	return h.writeList(w, r, req, `{"name":"`+req.Name+`","tags":[`, func(last string, limit int) ([]string, bool, error) {
		return h.store.Tags(r.Context(), req.Name, last, limit)
	})
}

func (h *Handler) listRepositories(w *response, r *http.Request, req *Request) error {
	return h.writeList(w, r, req, `{"repositories":[`, func(last string, limit int) ([]string, bool, error) {
		return h.store.Repositories(r.Context(), last, limit)
	})
}

// writeList writes a list of names, which need no escaping: one page of the store's
// if the client set a limit, otherwise the whole list, with one page in memory.
func (h *Handler) writeList(w *response, r *http.Request, req *Request, head string, next func(last string, limit int) ([]string, bool, error)) error {
	last, limit, whole := req.Last, req.Limit, false
	piece := func() ([]byte, error) { // the next page with its delimiters
		page, more, err := next(last, limit)
		if err != nil {
			return nil, err
		}
		if len(page) > 0 {
			last = page[len(page)-1]
		}
		var body []byte
		if len(page) > 0 || head != "," {
			body = appendNames([]byte(head), page)
		}
		if whole = !more || limit != noLimit; !whole {
			return body, nil
		}
		if more && len(page) > 0 { // a page of no names has no next one (distribution-spec, "Listing Tags")
			setLink(w, r, url.Values{"n": {strconv.Itoa(limit)}, "last": {last}})
		}
		return append(body, "]}"...), nil
	}
	body, release, err := h.reserve(r, minNames, func() ([]byte, error) {
		last = req.Last
		return piece()
	})
	if err != nil {
		return err
	}
	defer release()
	w.Header().Set("Content-Type", "application/json")
	if whole {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(http.StatusOK)
	for head = ","; ; {
		if _, err := w.Write(body); err != nil {
			return &bodyError{err}
		}
		if whole {
			return nil
		}
		if body, err = piece(); err != nil {
			w.aborted = true // so that the client does not take the list for complete
			return err
		}
	}
}

// appendNames appends JSON strings, separated by commas.
func appendNames(b []byte, names []string) []byte {
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), '"')
	}
	return b
}

func (h *Handler) listReferrers(w *response, r *http.Request, req *Request) error {
	query := url.Values{}
	body, release, err := h.reserve(r, minReferrers, func() ([]byte, error) {
		h.building <- struct{}{} // building a list takes as much memory again
		defer func() { <-h.building }()
		list, more, err := h.store.Referrers(r.Context(), req.Name, req.Digest, req.ArtifactType, req.Last)
		// Never 404 (distribution-spec, "Listing Referrers"): clients would fall back
		// to the tag scheme.
		if err != nil && !errors.Is(err, ErrNameUnknown) {
			return nil, err
		}
		if query.Del("last"); more {
			query.Set("last", string(list[len(list)-1].Digest))
		}
		return encode(struct {
			SchemaVersion int          `json:"schemaVersion"`
			MediaType     string       `json:"mediaType"`
			Manifests     []Descriptor `json:"manifests"`
		}{2, mediaTypeIndex, append([]Descriptor{}, list...)}) // [] rather than null
	})
	if err != nil {
		return err
	}
	defer release()
	if req.ArtifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		query.Set("artifactType", req.ArtifactType)
	}
	if query.Has("last") {
		setLink(w, r, query)
	}
	return writeJSON(w, mediaTypeIndex, body)
}

func setLink(w *response, r *http.Request, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), query.Encode()))
}

// encode returns a value as JSON without escaping HTML, which would make it longer
// than its source.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.Clone(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), err
}

func writeJSON(w *response, mediaType string, body []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}
