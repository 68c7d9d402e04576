package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A link costs one request and no bytes; if the registry cannot link, the
// session that it opened instead is used.
func TestMount(t *testing.T) {
	layer := []byte("shared layer")
	for _, tt := range []struct {
		name   string
		mount  func(http.ResponseWriter, *http.Request) bool // answers the request to link
		before bool                                          // the blob is there beforehand
		there  bool
		posts  int64 // requests that open a session, the one to link included
	}{
		{"linked", nil, false, true, 1},
		{"session instead", func(_ http.ResponseWriter, r *http.Request) bool {
			r.URL.RawQuery = ""
			return false
		}, false, false, 1},
		{"refused", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return true
		}, false, false, 2},
		{"refused, there already", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, true, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var posts atomic.Int64
			var from atomic.Value
			r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/to/") {
					return false
				}
				posts.Add(1)
				if !r.URL.Query().Has("mount") {
					return false
				}
				from.Store(r.URL.Query().Get("from"))
				return tt.mount != nil && tt.mount(w, r)
			})+"/site")
			_, blob := put(t, r, "from", "v1", layer)
			if tt.before {
				put(t, r, "to", "v1", layer)
				posts.Store(0)
			}
			u := r.Upload("to", blob, int64(len(layer)))
			there, err := u.Mount(t.Context(), "from")
			if there != tt.there || err != nil || from.Load() != "site/from" {
				t.Fatalf("Mount = %v, %v from %v, want %v", there, err, from.Load(), tt.there)
			}
			if !there {
				if err := u.Send(t.Context(), bytes.NewReader(layer)); err != nil {
					t.Fatal(err)
				}
			}
			if there, err := r.HasBlob(t.Context(), "to", blob, int64(len(layer))); !there || err != nil || posts.Load() != tt.posts {
				t.Errorf("HasBlob = %v, %v after %d sessions, want true after %d", there, err, posts.Load(), tt.posts)
			}
		})
	}
}

func TestCancelEndsTheSession(t *testing.T) {
	var ended atomic.Int64
	r := dial(t, serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			ended.Add(1)
		}
		if r.URL.Query().Has("mount") {
			r.URL.RawQuery = ""
		}
		return false
	}))
	u := r.Upload("to", hashOf(t, []byte("x")), 1)
	if there, err := u.Mount(t.Context(), "from"); there || err != nil {
		t.Fatalf("Mount = %v, %v", there, err)
	}
	u.Cancel(t.Context())
	u.Cancel(t.Context())
	if ended.Load() != 1 {
		t.Errorf("%d sessions were ended, want one", ended.Load())
	}
}

// broken is a body that fails half-way.
type broken struct {
	io.ReadSeeker
	err error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p[:min(len(p), 1000)])
	if at, _ := b.Seek(0, io.SeekCurrent); at > 2000 {
		return 0, b.err
	}
	return n, err
}

// Content that cannot be read is not the registry's fault: nothing is retried,
// and no blob appears.
func TestBodyThatBreaks(t *testing.T) {
	raw := bytes.Repeat([]byte("x"), wholeSize+10_000)
	busy := &statusError{refusal: &transport.Error{StatusCode: http.StatusServiceUnavailable, Request: &http.Request{Method: http.MethodGet, URL: new(url.URL)}}} // of another registry
	for _, want := range []error{errors.New("disk on fire"), io.ErrUnexpectedEOF, &net.OpError{Op: "read", Err: errors.New("of a network disk")}, busy} {
		for _, size := range []int{10_000, len(raw)} {
			breaks(t, raw[:size], want)
		}
	}
}

// breaks sends a blob whose content ends with an error.
func breaks(t *testing.T, raw []byte, want error) {
	t.Helper()
	var tries, ended atomic.Int64
	r := dial(t, serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case http.MethodPatch, http.MethodPut:
			tries.Add(1)
		case http.MethodDelete:
			ended.Add(1)
		}
		return false
	}))
	err := r.Upload("a", hashOf(t, raw), int64(len(raw))).Send(t.Context(), broken{bytes.NewReader(raw), want})
	if !errors.Is(err, want) || tries.Load() > 1 || ended.Load() != 1 {
		t.Errorf("Send of %d bytes = %v after %d tries, %d sessions ended; want the body's error (%v) after one", len(raw), err, tries.Load(), ended.Load(), want)
	}
	if there, err := r.HasBlob(t.Context(), "a", hashOf(t, raw), int64(len(raw))); there || err != nil {
		t.Errorf("HasBlob = %v, %v, want false", there, err)
	}
}

// cut is a connection that breaks once so many bytes have been written to it.
type cut struct {
	net.Conn
	left *atomic.Int64
}

func (c cut) Write(p []byte) (int, error) {
	if left := c.left.Add(-int64(len(p))); left < 0 && left+int64(len(p)) >= 0 {
		c.Close()
	}
	return c.Conn.Write(p)
}

// A broken upload resumes at the byte where the registry stopped.
func TestUploadResumes(t *testing.T) {
	raw := bytes.Repeat([]byte("0123456789abcdef"), wholeSize/8)
	var mu sync.Mutex
	var ranges []string // of each try
	host := serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			mu.Lock()
			ranges = append(ranges, r.Header.Get("Content-Range"))
			mu.Unlock()
		}
		return false
	})
	r := prepare(t, Options{At: host, Push: true})
	var left atomic.Int64
	left.Store(3 << 20)
	r.base.inner.(*http.Transport).DialContext = func(ctx context.Context, network, at string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, at)
		return cut{c, &left}, err
	}
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Upload("a", hashOf(t, raw), int64(len(raw))).Send(t.Context(), bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// The registry may still be storing what came before the cut when it is
	// asked how far it got, so that a third try is needed.
	if last := ranges[len(ranges)-1]; len(ranges) < 2 || ranges[0] != "" || last == "" || last[0] == '0' {
		t.Errorf("sent with ranges %q, want that the last goes on", ranges)
	}
	if there, err := r.HasBlob(t.Context(), "a", hashOf(t, raw), int64(len(raw))); !there || err != nil {
		t.Errorf("HasBlob = %v, %v", there, err)
	}
}

// Blobs that the registry has are not sent again, even if it cannot link them.
func TestSessionInsteadOfALink(t *testing.T) {
	layer := []byte("here already")
	var ended, sent atomic.Int64
	r := dial(t, serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Query().Has("mount"):
			r.URL.RawQuery = ""
		case r.Method == http.MethodDelete:
			ended.Add(1)
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/"):
			sent.Add(1)
		}
		return false
	}))
	_, blob := put(t, r, "to", "v1", layer)
	before := sent.Load()
	there, err := r.Upload("to", blob, int64(len(layer))).Mount(t.Context(), "from")
	if !there || err != nil || ended.Load() != 1 || sent.Load() != before {
		t.Errorf("Mount = %v, %v, %d sessions ended, want true and one", there, err, ended.Load())
	}
}
