package registry

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Options of a handler. The zero value lets everybody write and logs nothing.
type Options struct {
	// AllowWrite, if set, is asked before a request that could change the
	// store; its error is the answer.
	AllowWrite func(*http.Request) error
	// Log gets a line for each request at level info, and one for each fault of
	// the server at level error.
	Log *slog.Logger
}

// New gives a handler that serves the store under /v2/. It never redirects,
// and it ignores ?ns=, by which containerd names the registry that it takes
// this one for.
func New(store Store, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &handler{store: store, Options: o}
}

// FromLoopback is an AllowWrite that refuses everyone but this host.
func FromLoopback(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ErrDenied
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.Unmap().IsLoopback() {
		return ErrDenied
	}
	return nil
}

// DenyAll is an AllowWrite that refuses everyone.
func DenyAll(*http.Request) error { return ErrDenied }

type handler struct {
	store Store
	Options
}

// handlers has the function for each kind of request. A function that returns
// an error has written nothing, or has logged what cut its body short.
var handlers = [kindCount]func(*handler, *response, *http.Request, *Request) error{
	Ping:           (*handler).ping,
	BlobRead:       (*handler).readBlob,
	ManifestRead:   (*handler).readManifest,
	UploadStart:    (*handler).startUpload,
	UploadWhole:    (*handler).uploadWhole,
	UploadChunk:    (*handler).uploadChunk,
	UploadFinish:   (*handler).finishUpload,
	UploadStatus:   (*handler).uploadStatus,
	UploadCancel:   (*handler).cancelUpload,
	ManifestWrite:  (*handler).writeManifest,
	ManifestDelete: (*handler).deleteManifest,
	BlobDelete:     (*handler).deleteBlob,
	BlobMount:      (*handler).mount,
	TagsList:       (*handler).listTags,
	Catalog:        (*handler).listRepositories,
	Referrers:      (*handler).listReferrers,
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	out := &response{ResponseWriter: w}
	// Docker's clients look for this header to tell a registry from a web server.
	out.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	err := h.serve(out, r)
	if err != nil && out.status == 0 {
		var m *methodError
		if errors.As(err, &m) {
			out.Header().Set("Allow", m.allow)
		}
		writeError(out, err)
	}
	h.log(out, r, err, time.Since(start))
}

func (h *handler) serve(w *response, r *http.Request) error {
	req, err := Parse(r)
	if err != nil {
		return err
	}
	if req.Kind.Writes() && h.AllowWrite != nil {
		if err := h.AllowWrite(r); err != nil {
			return err
		}
	}
	return handlers[req.Kind](h, w, r, req)
}

func (h *handler) log(w *response, r *http.Request, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Duration("took", took), slog.String("remote", r.RemoteAddr),
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
		if e, _ := classify(err); e == errInternal || e == ErrNoSpace {
			level = slog.LevelError
		}
	}
	h.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// response notes what was answered. It has ReadFrom because the server's own
// writer has: through it a file reaches the socket by sendfile.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *response) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the server's writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// body gives the request's body, its errors marked as the client's.
func body(r *http.Request) io.Reader { return clientReader{r.Body} }

type clientReader struct{ r io.Reader }

func (c clientReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = &bodyError{err}
	}
	return n, err
}
