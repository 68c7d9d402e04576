package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// notices records the notices to the user.
type notices struct {
	mu    sync.Mutex
	texts []string
}

func (n *notices) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, text)
}

func (n *notices) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.texts...)
}

// faults returns the notices of answers that were faults. On a busy machine there are
// others, since an answer takes long.
func (n *notices) faults() []string {
	return slices.DeleteFunc(n.all(), func(text string) bool {
		return strings.Contains(text, " has not answered for ") || strings.HasPrefix(text, "waiting for the first answer of ")
	})
}

// If a registry asks clients to wait longer than a run would, the run ends at
// once; if shorter, the request is retried after that time.
func TestRetryAfterIsKept(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name, value, path string
		code              int
		until             time.Time
	}{
		{"seconds", "3600", "/manifests/", 429, hour},
		{"date", hour.UTC().Format(http.TimeFormat), "/manifests/", 503, hour},
		{"more than can be counted", "99999999999999", "/manifests/", 503, time.Now().Add(maxRest * time.Second)},
		{"the root, seconds", "45", "/v2/", 429, time.Now().Add(45 * time.Second)},
		{"the root, date", hour.UTC().Format(http.TimeFormat), "/v2/", 500, hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			var notified notices
			r := prepare(t, Options{Notice: notified.add, At: serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, tt.path) {
					return false
				}
				asked.Add(1)
				w.Header().Set("Retry-After", tt.value)
				w.WriteHeader(tt.code)
				return true
			})})
			began := time.Now()
			err := r.Connect(t.Context())
			if err == nil {
				_, err = r.Digest(t.Context(), "a", "v1")
			}
			if cli.Code(err) != cli.CodeTryAgain || !r.Fatal(err) || status(err) != tt.code {
				t.Fatalf("%v (code %d), hopeless %v", err, cli.Code(err), r.Fatal(err))
			}
			_, text, found := strings.Cut(err.Error(), fmt.Sprintf("registry answered %d %s, and asks clients to wait until ", tt.code, http.StatusText(tt.code)))
			until, perr := time.Parse(time.RFC3339, text)
			if !found || perr != nil || until.Sub(tt.until).Abs() > 10*time.Second || !strings.Contains(cli.HintOf(err), text) {
				t.Errorf("%v (hint %q), want until about %s", err, cli.HintOf(err), stamp(tt.until))
			}
			if asked.Load() != 1 || len(notified.faults()) != 0 || time.Since(began) > 5*time.Second {
				t.Errorf("asked %d times in %v, notices %q", asked.Load(), time.Since(began), notified.all())
			}
		})
	}
	var asked atomic.Int64
	var notified notices
	r := prepare(t, Options{Notice: notified.add, At: serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" || asked.Add(1) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "4")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})})
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := r.Digest(t.Context(), "a", "v1"); err != nil || time.Since(began) < 4*time.Second {
		t.Errorf("%v after %v, want to have waited", err, time.Since(began))
	}
	want := r.Host() + ": registry answered 429 Too Many Requests; trying again at " + stamp(began.Add(4 * time.Second))[:15]
	if texts := notified.faults(); len(texts) != 1 || !strings.HasPrefix(texts[0], want) || !strings.HasSuffix(texts[0], ", as it requests") {
		t.Errorf("notices %q, want %q...", texts, want)
	}
}

// Silence is reported once and times out, whatever the request: the limit
// counts from the last byte in either direction.
func TestSilenceAfterTheFirstAnswer(t *testing.T) {
	blob := bytes.Repeat([]byte("0123456789abcdef"), wholeSize/8)
	for _, tt := range []struct {
		name, method, path string
		ask                func(*Registry) error
	}{
		{"HEAD of a blob", "HEAD", "/blobs/", func(r *Registry) error {
			_, err := r.HasBlob(t.Context(), "a", hashOf(t, blob), int64(len(blob)))
			return err
		}},
		{"POST", "POST", "/uploads/", func(r *Registry) error {
			return r.Upload("a", hashOf(t, blob), int64(len(blob))).Send(t.Context(), bytes.NewReader(blob))
		}},
		{"PATCH", "PATCH", "/uploads/", func(r *Registry) error {
			return r.Upload("a", hashOf(t, blob), int64(len(blob))).Send(t.Context(), bytes.NewReader(blob))
		}},
		{"PUT that ends a large upload", "PUT", "/uploads/", func(r *Registry) error {
			return r.Upload("a", hashOf(t, blob), int64(len(blob))).Send(t.Context(), bytes.NewReader(blob))
		}},
		{"PUT of a small blob", "PUT", "/uploads/", func(r *Registry) error {
			return r.Upload("a", hashOf(t, blob[:9]), 9).Send(t.Context(), bytes.NewReader(blob[:9]))
		}},
		{"GET of a manifest", "GET", "/manifests/", func(r *Registry) error {
			_, _, err := r.Manifest(t.Context(), "a", "v1")
			return err
		}},
		{"PUT of a manifest", "PUT", "/manifests/", func(r *Registry) error {
			return r.PutManifest(t.Context(), "a", "v1", "application/vnd.oci.image.manifest.v1+json", []byte(`{"schemaVersion":2}`))
		}},
		{"GET of a blob", "GET", "/blobs/", func(r *Registry) error {
			_, err := io.Copy(io.Discard, r.Blob(t.Context(), "a", hashOf(t, blob)))
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			var notified notices
			r := prepare(t, Options{Push: true, Notice: notified.add, At: serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != tt.method || !strings.Contains(r.URL.Path, tt.path) {
					return false
				}
				io.Copy(io.Discard, r.Body)
				<-over
				panic(http.ErrAbortHandler)
			})})
			t.Cleanup(func() { close(over) })
			r.base.limits = limits{quick: 2 * time.Second, long: 2 * time.Second, quiet: 500 * time.Millisecond} // a busy machine takes long to connect
			if err := r.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := tt.ask(r)
			if cli.Code(err) != cli.CodeTryAgain || !errors.Is(err, errUnreachable) || !strings.HasSuffix(err.Error(), "no answer within 2s") || cli.HintOf(err) == "" {
				t.Errorf("%v (code %d, hint %q)", err, cli.Code(err), cli.HintOf(err))
			}
			want := r.Host() + " has not answered for 500ms; waiting for up to 2s"
			if n := strings.Count(strings.Join(notified.all(), "\n"), want); n != 1 {
				t.Errorf("notices %q, want once %q", notified.all(), want)
			}
		})
	}
}

// Slow content and slow use of an answer on this side do not count as the
// registry's silence.
func TestOwnSlownessIsNotSilence(t *testing.T) {
	t.Parallel()
	const own = 6 * time.Second // the limits below are shorter, and longer than a busy machine takes
	var notified notices
	r := prepare(t, Options{At: serve(t, nil), Push: true, Notice: notified.add})
	r.base.limits = limits{quick: 5 * time.Second, long: 5 * time.Second, quiet: 4 * time.Second}
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	blob := bytes.Repeat([]byte("0123456789abcdef"), wholeSize/8)
	d, size := hashOf(t, blob), int64(len(blob))
	var once sync.Once
	slow := paused{bytes.NewReader(blob), func() { once.Do(func() { time.Sleep(own) }) }}
	if err := r.Upload("a", d, size).Send(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	in := r.Blob(t.Context(), "a", d)
	in.Read(make([]byte, 10))
	time.Sleep(own)
	rest, err := io.Copy(io.Discard, in)
	if err != nil || rest != size-10 {
		t.Errorf("read %d bytes more, %v", rest, err)
	}
	if text := strings.Join(notified.all(), "\n"); strings.Contains(text, "has not answered") {
		t.Errorf("notices %q", text)
	}
}

// paused is content that calls a function before each piece.
type paused struct {
	io.ReadSeeker
	before func()
}

func (s paused) Read(p []byte) (int, error) {
	s.before()
	return s.ReadSeeker.Read(p)
}
