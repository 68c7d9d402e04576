package registry

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// maxReceiving bounds how many request bodies are received at once; each takes
// a buffer of copyBuffer bytes. They are shared among the addresses that send
// them, see Share; one more is answered with 429.
const maxReceiving = 256

// Options of a handler. The zero value lets everybody do everything, waits for
// a client without end, and logs nothing.
type Options struct {
	// Allow, if set, is asked before each request; its error is the answer. The
	// user that it gives, or "", goes to the log.
	Allow func(*http.Request, Kind) (user string, err error)
	// Stall is for how long a client may send nothing of a body, or take nothing
	// of an answer; 0 is for ever. A slow client that makes progress is not cut.
	Stall time.Duration
	// Observe, if set, is told of each request when it has been answered.
	Observe func(Observation)
	// Log gets a line for each request at level info, and one for each fault of
	// the server at level error.
	Log *slog.Logger
}

// Observation is what became of a request.
type Observation struct {
	Kind   Kind // zero if the request asked for nothing that there is
	Status int
	In     int64 // bytes of the request's body
	Out    int64 // bytes of the answer's
}

// New gives a handler that serves the store under /v2/. It never redirects,
// and it ignores ?ns=, by which containerd names the registry that it takes
// this one for.
func New(store Store, o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{store: store, Options: o, receiving: Share{Limit: maxReceiving}, answers: Share{Limit: maxAnswers}, building: make(chan struct{}, 1)}
}

// FromLoopback refuses a request, with ErrDenied, unless it comes from this host.
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

// Network returns what counts as one address of those that requests come from:
// an IPv6 host has a whole /64.
func Network(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return NetworkOf(a.Addr())
}

// NetworkOf is Network for an address.
func NetworkOf(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // the zero address, which is one too
		return ""
	}
	return p.String()
}

// Handler is an http.Handler over a Store.
type Handler struct {
	store Store
	Options
	receiving Share         // of places for bodies
	answers   Share         // of memory for lists, in bytes
	building  chan struct{} // holds a value while a list of referrers is made
}

// Receiving returns the number of request bodies that are being received.
func (h *Handler) Receiving() int { return h.receiving.Used() }

// handlers has the function for each kind of request that Parse gives. A
// function that returns an error has written nothing, or what cut its body short
// is the error.
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
	// Docker's clients look for this header to tell a registry from a web server.
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	harmless(w)
	h.answer(w, r, h.serve)
}

// harmless keeps a browser from interpreting an answer: clients choose what lies
// under a digest, and its media type.
func harmless(w http.ResponseWriter) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
}

// Beside gives a handler for files that are no registry content. Its requests
// are treated as the registry's own: Allow is asked, about the kind File; a
// client that stalls is cut; Observe and Log are told; an error that serve
// returns before it has written anything is the answer.
func (h *Handler) Beside(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, func(out *response, r *http.Request, done *done) (err error) {
			done.kind = File
			if err = h.allow(r, done); err != nil {
				return err
			}
			return serve(out, r)
		})
	})
}

// answer sees one request through.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, serve func(*response, *http.Request, *done) error) {
	start := time.Now()
	out, in := h.exchange(w, r)
	var done done
	err := serve(out, r, &done)
	if err != nil && out.status == 0 {
		WriteError(out, err)
	}
	if h.Observe != nil {
		h.Observe(Observation{done.kind, out.status, in.bytes, out.bytes})
	}
	h.log(out, r, done.user, err, time.Since(start))
	if out.aborted {
		panic(http.ErrAbortHandler) // the server's way to cut a connection
	}
}

// done is what was found out about a request.
type done struct {
	kind Kind
	user string
}

func (h *Handler) allow(r *http.Request, done *done) (err error) {
	if h.Allow != nil {
		done.user, err = h.Allow(r, done.kind)
	}
	return err
}

func (h *Handler) serve(w *response, r *http.Request, done *done) error {
	req, err := Parse(r)
	if err != nil {
		return err
	}
	done.kind = req.Kind
	if err := h.allow(r, done); err != nil {
		return err
	}
	req.User = done.user
	if req.Kind.receives() {
		from := Network(r)
		if !h.receiving.Acquire(from, 1) {
			return &Refusal{ErrTooMany, http.Header{"Retry-After": {"1"}}}
		}
		defer h.receiving.Release(from, 1)
	}
	return handlers[req.Kind](h, w, r, req)
}

func (h *Handler) log(w *response, r *http.Request, user string, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Duration("took", took), slog.String("remote", r.RemoteAddr),
	}
	if user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	// containerd says whose registry it is that this one stands in for.
	if r.URL.RawQuery != "" {
		if origin := r.URL.Query().Get("ns"); origin != "" {
			attrs = append(attrs, slog.String("ns", origin))
		}
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
