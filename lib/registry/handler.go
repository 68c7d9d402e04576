package registry

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// maxReceiving bounds the request bodies received at a time, each with a buffer
// of copyBuffer bytes. A Share divides them among addresses; one more gets 429.
const maxReceiving = 256

// Options of a handler. The zero value allows everything, waits for clients
// forever, and logs nothing.
type Options struct {
	// Allow, if set, is called before each request. It returns the user, or "", or
	// the error to answer with.
	Allow func(*http.Request, Kind) (user string, err error)
	// Stall is how long a client may send nothing of a body, or accept nothing of a
	// response; 0 means forever. A slow client that makes progress is not cut.
	Stall time.Duration
	// Observe, if set, is called after each request.
	Observe func(Observation)
	// Log receives each request at level info, or error for a fault of the server.
	Log *slog.Logger
}

// Observation describes a request that has been answered.
type Observation struct {
	Kind   Kind // zero if Parse failed
	Status int
	In     int64 // bytes of the request body
	Out    int64 // bytes of the response body
}

// New returns a handler that serves a store under /v2/. It never redirects, and
// ignores ?ns=, with which containerd names the registry that this one mirrors.
func New(store Store, o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{store: store, Options: o, receiving: Share{Limit: maxReceiving}, answers: Share{Limit: maxAnswers}, building: make(chan struct{}, 1)}
}

// Network returns what counts as the address of a request: an IPv4 address or an
// IPv6 /64.
func Network(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return NetworkOf(a.Addr())
}

// NetworkOf returns what counts as one address.
func NetworkOf(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // the zero address
		return ""
	}
	return p.String()
}

// Handler is an http.Handler over a Store.
type Handler struct {
	store Store
	Options
	receiving Share         // of request bodies
	answers   Share         // of memory for lists, in bytes
	building  chan struct{} // holds a value while a list of referrers is built
}

// Receiving returns how many request bodies are being received.
func (h *Handler) Receiving() int { return h.receiving.Used() }

// handlers maps each kind that Parse returns to its function, which returns an
// error before it writes anything, or the one that interrupted the body.
var handlers = [kindCount]func(*Handler, *response, *http.Request, *Request) error{
	Ping:           (*Handler).ping,
	BlobRead:       (*Handler).readBlob,
	ManifestRead:   (*Handler).readManifest,
	UploadStart:    (*Handler).startUpload,
	UploadWhole:    (*Handler).uploadWhole,
	UploadChunk:    (*Handler).uploadChunk,
	UploadFinish:   (*Handler).finishUpload,
	UploadStatus:   (*Handler).uploadStatus,
	UploadCancel:   (*Handler).cancelUpload,
	ManifestWrite:  (*Handler).writeManifest,
	ManifestDelete: (*Handler).deleteManifest,
	BlobDelete:     (*Handler).deleteBlob,
	BlobMount:      (*Handler).mount,
	TagsList:       (*Handler).listTags,
	Catalog:        (*Handler).listRepositories,
	Referrers:      (*Handler).listReferrers,
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Docker's clients recognize a registry by this header.
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	// Keep browsers from interpreting content, which clients choose along with its
	// media type.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.answer(w, r, h.serve)
}

// Beside returns a handler for files outside the registry's content. Options
// apply to its requests, of kind File, and an error that serve returns before it
// writes anything is the response.
func (h *Handler) Beside(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, func(out *response, r *http.Request) error {
			if err := h.allow(out, r, File); err != nil {
				return err
			}
			return serve(out, r)
		})
	})
}

// answer handles one request.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, serve func(*response, *http.Request) error) {
	start := time.Now()
	out, in := h.exchange(w, r)
	err := serve(out, r)
	if err != nil && out.status == 0 {
		WriteError(out, err)
	}
	if h.Observe != nil {
		h.Observe(Observation{out.kind, out.status, in.bytes, out.bytes})
	}
	h.log(out, r, err, time.Since(start))
	if out.aborted {
		panic(http.ErrAbortHandler) // closes the connection
	}
}

// allow asks Options.Allow about a request of a kind, and records both.
func (h *Handler) allow(w *response, r *http.Request, kind Kind) (err error) {
	w.kind = kind
	if h.Allow != nil {
		w.user, err = h.Allow(r, kind)
	}
	return err
}

func (h *Handler) serve(w *response, r *http.Request) error {
	req, err := Parse(r)
	if err != nil {
		return err
	}
	if err := h.allow(w, r, req.Kind); err != nil {
		return err
	}
	req.User = w.user
	if kinds[req.Kind].receives {
		from := Network(r)
		if !h.receiving.Acquire(from, 1) {
			return &Refusal{ErrTooMany, http.Header{"Retry-After": {"1"}}}
		}
		defer h.receiving.Release(from, 1)
	}
	return handlers[req.Kind](h, w, r, req)
}

func (h *Handler) log(w *response, r *http.Request, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Duration("took", took), slog.String("remote", r.RemoteAddr),
	}
	if w.user != "" {
		attrs = append(attrs, slog.String("user", w.user))
	}
	// containerd names the registry that this one mirrors.
	if origin := r.URL.Query().Get("ns"); origin != "" {
		attrs = append(attrs, slog.String("ns", origin))
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
		if e, _ := classify(err); e.Status >= http.StatusInternalServerError || e == ErrReadOnly {
			level = slog.LevelError
		}
	}
	h.Log.LogAttrs(r.Context(), level, "request", attrs...)
}
