package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/diskstore"
	"k0rdent-airgap/tests/samplebundle"
)

// stranger is another host to which a registry redirects the client. It accepts
// everything and counts the requests, and those with credentials.
func stranger(t *testing.T) (url string, came, trusted *atomic.Int64) {
	came, trusted = new(atomic.Int64), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		if r.Header.Get("Authorization") != "" {
			trusted.Add(1)
		}
		switch r.Method {
		case http.MethodPatch:
			w.Header().Set("Location", r.URL.String())
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPut:
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, came, trusted
}

// wantBasic answers 401 to requests without a password.
func wantBasic(w http.ResponseWriter, r *http.Request) bool {
	if user, password, _ := r.BasicAuth(); user == testUser && password == testSecret {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestCredentialsStayWithTheRegistry(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 3})
	for _, auth := range []struct {
		name string
		want func() func(http.ResponseWriter, *http.Request) bool
	}{
		{"basic", func() func(http.ResponseWriter, *http.Request) bool { return wantBasic }},
		{"bearer", func() func(http.ResponseWriter, *http.Request) bool { return new(tokens).before }},
	} {
		for _, way := range []string{http.MethodPost, http.MethodHead} {
			t.Run(auth.name+", "+way, func(t *testing.T) {
				elsewhere, came, trusted := stranger(t)
				want := auth.want()
				host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
					if want(w, r) {
						return true
					}
					switch {
					case r.Method != way || !strings.Contains(r.URL.Path, "/blobs/"):
						return false
					case way == http.MethodPost:
						w.Header().Set("Location", elsewhere+"/upload")
						w.WriteHeader(http.StatusAccepted)
					default:
						http.Redirect(w, r, elsewhere+"/blob", http.StatusTemporaryRedirect)
					}
					return true
				})
				r := pushAs(t, host, testSecret, path)
				if came.Load() == 0 || trusted.Load() > 0 {
					t.Errorf("%d of %d requests to another host came with credentials", trusted.Load(), came.Load())
				}
				// What was sent to another host is not in this one.
				if lost := way == http.MethodPost; lost != (r.statuses()["failed"] == len(r.images)) || lost == (r.err == nil) {
					t.Errorf("%v, %v", r.err, r.statuses())
				}
			})
		}
	}
}

// A registry behind a proxy that ends TLS often returns addresses with http: the requests
// to them still use TLS.
func TestLocationDoesNotLeaveTLS(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 4})
	h := diskstore.Handler(t)
	var changed atomic.Int64
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wantBasic(w, r) {
			return
		}
		h.ServeHTTP(&downgrader{w, "http://" + r.Host, &changed}, r)
	}))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := pushAs(t, strings.TrimPrefix(s.URL, "https://"), testSecret, "--ca", ca, path)
	if r.err != nil || changed.Load() == 0 {
		t.Fatalf("%v, %d addresses changed\n%s", r.err, changed.Load(), r.stderr)
	}
	plain := httptest.NewServer(h)
	defer plain.Close()
	checkAll(t, strings.TrimPrefix(plain.URL, "http://"), "", m)
}

// downgrader returns absolute addresses with http.
type downgrader struct {
	http.ResponseWriter
	base    string
	changed *atomic.Int64
}

func (d *downgrader) WriteHeader(code int) {
	if at := d.Header().Get("Location"); strings.HasPrefix(at, "/") {
		d.Header().Set("Location", d.base+at)
		d.changed.Add(1)
	}
	d.ResponseWriter.WriteHeader(code)
}

// Each answer fails its image soon, with a readable line, and nothing counts as success.
func TestSenselessAnswers(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 3})
	images, _ := count(m)
	locationIs := func(at string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", at)
				w.WriteHeader(http.StatusAccepted)
			}
			return r.Method == http.MethodPost
		}
	}
	for _, tt := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		want   string
		ends   bool // the run may end before it reaches every image
	}{
		{"no address", locationIs(""), "invalid upload location", false},
		{"invalid address", locationIs("http://[::bad/"), "invalid upload location", false},
		{"address of a file", locationIs("file:///etc/passwd"), `to file:///etc/passwd: unsupported protocol scheme "file"`, true},
		{"redirects without an end", func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			http.Redirect(w, r, r.URL.Path+"?"+strings.Repeat("x", 1<<10), http.StatusTemporaryRedirect)
			return true
		}, "redirected 10 times", false},
		{"portal to log in at", func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/v2/":
				return false
			case r.URL.Path == "/login":
				fmt.Fprint(w, "<html>Who are you?</html>")
			default:
				http.Redirect(w, r, "/login", http.StatusFound)
			}
			return true
		}, "not a registry: it answers with text/html", true},
		{"manifest under another digest", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			w.WriteHeader(http.StatusCreated)
			return true
		}, "registry changed it: stored sha256:000", false},
		{"error page without an end", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"`)
			page := bytes.Repeat([]byte("very "), 200<<10)
			for range 64 { // far more than socket buffers hold
				if _, err := w.Write(page); err != nil {
					return true
				}
			}
			t.Error("64 MB of an error page were read")
			return true
		}, "registry answered 400 Bad Request", false},
		{"long message with a bell in it", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"no \u0007\u001b[2J\n%s"}]}`, strings.Repeat("é", 20<<10))
			return true
		}, "registry answered 400 Bad Request: DENIED no", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := serve(t, tt.before)
			r := invoke(t, "", "--to", host, path)
			failed := r.statuses()["failed"]
			if cli.Code(r.err) != cli.CodeFailed || failed != len(r.images) || failed != images && !tt.ends || tt.ends && !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("%v (code %d), %v, want %d failed", r.err, cli.Code(r.err), r.statuses(), images)
			}
			for _, i := range r.images {
				if !strings.Contains(i.Error, tt.want) || len(i.Error) > 600 {
					t.Errorf("error = %.1000q, want %q and short", i.Error, tt.want)
				}
			}
			if strings.ContainsAny(r.stderr, "\a\x1b") {
				t.Errorf("stderr = %q", r.stderr)
			}
		})
	}
}

// A server that is not a registry is recognised by its first answer.
func TestNoRegistry(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 1})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		for page := bytes.Repeat([]byte("<p>not found\n"), 4<<10); ; {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	r := invoke(t, "", "--to", host, path)
	if want := "registry " + host + ": not a registry: it answers with text/html, 404 Not Found (a proxy's page?)"; cli.Code(r.err) != cli.CodeFailed || r.err.Error() != want {
		t.Errorf("%.1000v (code %d), want %s", r.err, cli.Code(r.err), want)
	}
}
