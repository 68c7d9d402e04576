package registry

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
)

func (h *Handler) startUpload(w *response, r *http.Request, req *Request) error {
	id, err := h.store.StartUpload(r.Context(), req.session(r), req.Algorithm)
	if err != nil {
		return err
	}
	setUpload(w, req.Name, id, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handler) uploadWhole(w *response, r *http.Request, req *Request) error {
	ctx := r.Context()
	session := req.session(r)
	id, err := h.store.StartUpload(ctx, session, req.Algorithm)
	if err != nil {
		return err
	}
	session.ID = id
	part := Part{Start: 0, Length: r.ContentLength}
	if _, err = h.store.WriteUpload(ctx, session, part, r.Body); err == nil {
		err = h.store.FinishUpload(ctx, session, req.Digest)
	}
	if err != nil { // the client does not know the session's id, so it cannot resume
		return errors.Join(err, unless(h.store.CancelUpload(ctx, session), ErrUploadUnknown))
	}
	return created(w, req.Name, "blobs", req.Digest)
}

func (h *Handler) mount(w *response, r *http.Request, req *Request) error {
	err := h.store.Mount(r.Context(), req.Name, req.Digest)
	if errors.Is(err, ErrBlobUnknown) {
		return h.startUpload(w, r, req)
	}
	if err != nil {
		return err
	}
	return created(w, req.Name, "blobs", req.Digest)
}

func (h *Handler) uploadChunk(w *response, r *http.Request, req *Request) error {
	size, err := h.writePart(w, r, req)
	if err != nil {
		return err
	}
	setUpload(w, req.Name, req.Upload, size)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handler) finishUpload(w *response, r *http.Request, req *Request) error {
	if r.ContentLength != 0 {
		if _, err := h.writePart(w, r, req); err != nil {
			return err
		}
	}
	if err := h.store.FinishUpload(r.Context(), req.session(r), req.Digest); err != nil {
		return err
	}
	return created(w, req.Name, "blobs", req.Digest)
}

// writePart appends the request's body to its session. After a part out of order,
// the headers show where the client can resume.
func (h *Handler) writePart(w *response, r *http.Request, req *Request) (int64, error) {
	part := Part{Start: -1, Length: r.ContentLength}
	if header := r.Header.Get("Content-Range"); header != "" {
		s, err := parseContentRange(header)
		if err != nil {
			return 0, err
		}
		if part.Length >= 0 && part.Length != s.length {
			return 0, fmt.Errorf("%w: Content-Range holds %d bytes, Content-Length %d", ErrSizeInvalid, s.length, part.Length)
		}
		part = Part{s.start, s.length}
	}
	size, err := h.store.WriteUpload(r.Context(), req.session(r), part, r.Body)
	if errors.Is(err, ErrRange) {
		setUpload(w, req.Name, req.Upload, size)
	}
	return size, err
}

func (h *Handler) uploadStatus(w *response, r *http.Request, req *Request) error {
	size, err := h.store.UploadSize(r.Context(), req.session(r))
	if err != nil {
		return err
	}
	setUpload(w, req.Name, req.Upload, size)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) cancelUpload(w *response, r *http.Request, req *Request) error {
	if err := h.store.CancelUpload(r.Context(), req.session(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) writeManifest(w *response, r *http.Request, req *Request) error {
	put := ManifestPut{Digest: req.Digest, Tags: req.Tags}
	if req.Tag != "" {
		put.Tags = []string{req.Tag}
	}
	if header := r.Header.Get("Content-Type"); header != "" {
		var err error
		put.MediaType, _, err = mime.ParseMediaType(header)
		if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) { // parameters are ignored
			return fmt.Errorf("%w: Content-Type %q", ErrManifestInvalid, header)
		}
	}
	if r.ContentLength > maxManifest {
		return ErrManifestTooLarge
	}
	stored, err := h.store.PutManifest(r.Context(), req.Name, put, r.Body)
	if err != nil {
		return err
	}
	for _, tag := range req.Tags {
		w.Header().Add("OCI-Tag", tag)
	}
	if stored.Subject != "" {
		w.Header().Set("OCI-Subject", string(stored.Subject))
	}
	return created(w, req.Name, "manifests", stored.Digest)
}

func (h *Handler) deleteManifest(w *response, r *http.Request, req *Request) error {
	if err := h.store.DeleteManifest(r.Context(), req.Name, req.Tag, req.Digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handler) deleteBlob(w *response, r *http.Request, req *Request) error {
	if err := h.store.DeleteBlob(r.Context(), req.Name, req.Digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// created answers 201 with the location of new content, without a host, because a
// proxy may stand in between.
func created(w *response, name, collection string, d Digest) error {
	w.Header().Set("Location", "/v2/"+name+"/"+collection+"/"+string(d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// setUpload sets the headers for a session. Range cannot express an empty one;
// registries send 0-0.
func setUpload(w *response, name, id string, size int64) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	w.Header().Set("Docker-Upload-UUID", id)
}
