package registry

import (
	"io"
	"math"
	"net/http"
	"time"
)

// exchange wraps both sides of a request to count their bytes and to disconnect
// a client that stalls.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) (*response, *requestBody) {
	control := http.NewResponseController(w)
	// Twice, since the server waits for the rest of the body before it answers.
	out := &response{ResponseWriter: w, wait: stallTimer{2 * h.Stall, control.SetWriteDeadline, time.Time{}}}
	in := &requestBody{ReadCloser: r.Body, wait: stallTimer{h.Stall, control.SetReadDeadline, time.Time{}}}
	if r.ContentLength != 0 {
		in.wait.renew(0) // even if no handler reads the body: the server discards it then
	}
	r.Body = in
	return out, in
}

// stallTimer extends a deadline while there is progress. Connections without
// deadlines are never cut.
type stallTimer struct {
	stall time.Duration
	set   func(time.Time) error
	last  time.Time
}

// renew restarts the client's time, less what it has used. It sets a deadline at
// most eight times per period, because that costs more than reading the clock.
func (p *stallTimer) renew(used time.Duration) {
	if p.stall == 0 {
		return
	}
	if now := time.Now(); now.Sub(p.last) > p.stall/8 {
		p.last = now
		p.set(now.Add(p.stall - used))
	}
}

// end clears the deadline: the server keeps reading in the background and would
// treat an expired deadline as a lost connection.
func (p *stallTimer) end() {
	if !p.last.IsZero() {
		p.last = time.Time{}
		p.set(time.Time{})
	}
}

// response records the status and size of a response, and what it answers. Its
// ReadFrom keeps the server's use of sendfile.
type response struct {
	http.ResponseWriter
	wait   stallTimer
	kind   Kind   // zero if Parse failed
	user   string // from Options.Allow
	status int
	bytes  int64
	// aborted is set if the body is incomplete. The server then closes the connection
	// after the request, so that the client sees it.
	aborted bool
}

func (w *response) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.wait.renew(0)
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// sendPiece is how many bytes a client must accept to restart its time: 4 kB/s
// with four minutes.
const sendPiece = 1 << 20

func (w *response) ReadFrom(r io.Reader) (int64, error) {
	// sendfile works through one LimitedReader, not two.
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	var sent int64
	for whole.N > 0 {
		w.wait.renew(0)
		n, err := io.CopyN(w.ResponseWriter, whole.R, min(whole.N, sendPiece))
		whole.N -= n
		w.bytes += n
		if sent += n; err == io.EOF {
			break
		} else if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// receivePiece is how many bytes a client must send to restart its time: half a
// kilobyte a second with two minutes.
const receivePiece = 64 << 10

// requestBody counts bytes and marks errors as the client's. Only the time spent
// in Read counts against the client.
type requestBody struct {
	io.ReadCloser
	wait   stallTimer
	bytes  int64
	piece  int
	waited time.Duration // for this piece
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.wait.renew(b.waited)
	start := time.Now()
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	b.waited += time.Since(start)
	if b.piece += n; b.piece >= receivePiece {
		b.piece, b.waited, b.wait.last = 0, 0, time.Time{}
	}
	switch {
	case err == io.EOF:
		b.wait.last = start // there may be a deadline
		b.wait.end()
	case err != nil:
		err = &bodyError{err}
	}
	return n, err
}
