package registry

import (
	"io"
	"math"
	"net/http"
	"time"
)

// exchange wraps both sides of a request: it counts their bytes and cuts a
// client that stalls.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) (*response, *requestBody) {
	control := http.NewResponseController(w)
	// Twice, since the server waits for the rest of the body before it answers.
	out := &response{ResponseWriter: w, wait: patience{2 * h.Stall, control.SetWriteDeadline, time.Time{}}}
	in := &requestBody{ReadCloser: r.Body, wait: patience{h.Stall, control.SetReadDeadline, time.Time{}}}
	if r.ContentLength != 0 {
		in.wait.renew(0) // also if nobody reads the body: the server discards it then
	}
	r.Body = in
	return out, in
}

// patience moves a deadline on while there is progress. A connection that
// cannot have a deadline has none.
type patience struct {
	stall time.Duration
	set   func(time.Time) error
	last  time.Time
}

// renew restarts the client's time, less what it has used up. Setting a
// deadline costs more than reading the clock, so it is done eight times at most
// while it lasts.
func (p *patience) renew(used time.Duration) {
	if p.stall == 0 {
		return
	}
	if now := time.Now(); now.Sub(p.last) > p.stall/8 {
		p.last = now
		p.set(now.Add(p.stall - used))
	}
}

// end takes the deadline away. The server reads on in the background, and would
// take the deadline's passing for the loss of the connection.
func (p *patience) end() {
	if !p.last.IsZero() {
		p.last = time.Time{}
		p.set(time.Time{})
	}
}

// response notes what was answered. It has ReadFrom because the server's own
// writer has: through it a file reaches the socket by sendfile.
type response struct {
	http.ResponseWriter
	wait   patience
	status int
	bytes  int64
	// aborted says that what was answered is not complete.
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

// abort makes the server close the connection at the end of the request, as one
// whose answer could not be completed.
func (w *response) abort() { w.aborted = true }

// sendPiece is what a client must have taken, in bytes, before its time to stall
// begins anew: with four minutes, 4 kB/s.
const sendPiece = 1 << 20

func (w *response) ReadFrom(r io.Reader) (int64, error) {
	// The kernel is handed a file within one limit, not two.
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

// Unwrap lets http.ResponseController reach the server's writer.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// receivePiece is what a client must have sent, in bytes, before its time to
// stall begins anew: with two minutes, half a kilobyte a second.
const receivePiece = 64 << 10

// requestBody counts what arrives and marks errors as the client's. Only time
// spent waiting for the client counts as the client's.
type requestBody struct {
	io.ReadCloser
	wait   patience
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
