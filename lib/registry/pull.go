package registry

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func (h *Handler) ping(w *response, r *http.Request, _ *Request) error {
	return writeJSON(w, "application/json", []byte("{}"))
}

func (h *Handler) readBlob(w *response, r *http.Request, req *Request) error {
	c, err := h.store.Blob(r.Context(), req.Name, req.Digest)
	if err != nil {
		return err
	}
	c.MediaType = "application/octet-stream"
	return serveContent(w, r, c)
}

func (h *Handler) readManifest(w *response, r *http.Request, req *Request) error {
	c, err := h.store.Manifest(r.Context(), req.Name, req.Tag, req.Digest)
	if err != nil {
		return err
	}
	return serveContent(w, r, c)
}

// serveContent answers GET and HEAD with ranges and conditions. Unlike
// http.ServeContent it returns OCI errors and does not open the file for HEAD.
func serveContent(w *response, r *http.Request, c Content) error {
	etag := `"` + string(c.Digest) + `"`
	header := w.Header()
	header.Set("Docker-Content-Digest", string(c.Digest))
	header.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, whole := span{0, c.Size}, true
	if ranged := r.Header.Get("Range"); ranged != "" && r.Method == http.MethodGet && ifRange(r, etag) {
		var err error
		if part, whole, err = parseRange(ranged, c.Size); err != nil {
			header.Set("Content-Range", fmt.Sprintf("bytes */%d", c.Size))
			return err
		}
	}
	if !c.Tagged.IsZero() {
		header.Set("Last-Modified", c.Tagged.UTC().Format(http.TimeFormat))
		// A cache would otherwise guess from the date how long a tag keeps its
		// manifest (RFC 9111, section 4.2.2).
		header.Set("Cache-Control", "no-cache")
	}
	header.Set("Content-Type", c.MediaType)
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.FormatInt(part.length, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return sendPart(w, c, part, whole)
}

func sendPart(w *response, c Content, part span, whole bool) error {
	f, err := c.Open()
	if err != nil {
		w.Header().Del("Content-Length")
		return err
	}
	defer f.Close()
	if _, err := f.Seek(part.start, io.SeekStart); err != nil {
		return err
	}
	if whole {
		w.WriteHeader(http.StatusOK)
	} else {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, c.Size))
		w.WriteHeader(http.StatusPartialContent)
	}
	// An incomplete body closes the connection, since its length was announced.
	if _, err := io.CopyN(w, f, part.length); err != nil {
		return &bodyError{err}
	}
	return nil
}

// ifRange reports whether a Range header applies: without If-Range, or if it names
// the current content (RFC 9110, section 13.1.5).
func ifRange(r *http.Request, etag string) bool {
	cond := r.Header.Get("If-Range")
	return cond == "" || cond == etag
}

// matches reports whether an If-None-Match header lists an entity tag, weak or not
// (RFC 9110, section 13.1.2).
func matches(header, etag string) bool {
	for item := range strings.SplitSeq(header, ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == etag {
			return true
		}
	}
	return false
}
