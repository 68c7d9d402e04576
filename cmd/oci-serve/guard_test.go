package main

import (
	"bufio"
	"bytes"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/registry"
)

// pagesOver returns all that oci-serve answers, over a fresh storage.
func pagesOver(t testing.TB, write, read string, u *users) (http.Handler, string) {
	t.Helper()
	dir := t.TempDir()
	disk, err := registry.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	log := slog.New(slog.DiscardHandler)
	counts := newMetrics()
	who := &guard{write: write, read: read, users: u, reports: newReports(log), failed: counts.failures.Inc}
	return newPages(newFiles("", filepath.Join(dir, "k0s"), disk), "", disk, who, counts, nil, log), dir
}

// registryOver returns the registry alone, over a fresh storage.
func registryOver(t testing.TB, g *guard) http.Handler {
	t.Helper()
	disk, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	return registry.New(disk, registry.Options{Allow: g.allow})
}

// Who may do what, for each policy: no credentials, an empty pair as
// containers/image sends it, wrong ones, right ones.
func TestGuard(t *testing.T) {
	const far, near = "192.0.2.7:1", "127.0.0.1:1"
	type want struct{ none, empty, wrong, right int }
	for _, c := range []struct {
		write, read    string
		from           string
		ping, get, put want
	}{
		{"loopback", "any", far, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{403, 403, 403, 403}},
		{"owner", "any", far, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{403, 403, 403, 403}},
		{"owner", "any", near, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{403, 403, 403, 403}}, // no socket, no owner
		{"loopback", "any", near, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{202, 202, 202, 202}},
		{"none", "any", near, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{403, 403, 403, 403}},
		{"any", "any", far, want{200, 200, 200, 200}, want{200, 200, 200, 200}, want{202, 202, 202, 202}},
		{"auth", "any", far, want{401, 401, 401, 200}, want{200, 200, 401, 200}, want{401, 401, 401, 202}},
		{"auth", "any", near, want{401, 401, 401, 200}, want{200, 200, 401, 200}, want{401, 401, 401, 202}},
		{"auth", "auth", near, want{401, 401, 401, 200}, want{401, 401, 401, 200}, want{401, 401, 401, 202}},
		{"loopback", "auth", near, want{401, 401, 401, 200}, want{401, 401, 401, 200}, want{202, 202, 401, 202}},
		{"loopback", "auth", far, want{401, 401, 401, 200}, want{401, 401, 401, 200}, want{403, 403, 401, 403}},
	} {
		var u *users
		if c.write == "auth" || c.read == "auth" {
			u, _, _ = testUsers(t)
		}
		h, _ := pagesOver(t, c.write, c.read, u)
		try := func(method, target, name, password string, send bool) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, target, nil)
			r.RemoteAddr, r.Host = c.from, "localhost:5000"
			if target == "/" {
				r.Header.Set("Accept", "text/html")
			}
			if send {
				r.SetBasicAuth(name, password)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == realm) {
				t.Errorf("%s %s: %d with WWW-Authenticate %q", method, target, w.Code, w.Header().Get("WWW-Authenticate"))
			}
			return w
		}
		for _, p := range []struct {
			method, target string
			want           want
		}{
			{"GET", "/v2/", c.ping},
			{"GET", "/v2/_catalog", c.get},
			{"GET", "/metrics", c.get},
			{"GET", "/k0s/", c.get},
			{"GET", "/", c.get},
			{"GET", "/healthz", want{200, 200, 200, 200}},
			{"POST", "/v2/a/blobs/uploads/", c.put},
		} {
			got := want{
				try(p.method, p.target, "", "", false).Code,
				try(p.method, p.target, "", "", true).Code,
				try(p.method, p.target, "alice", "x", true).Code,
				try(p.method, p.target, "alice", "wonder land", true).Code,
			}
			if got != p.want {
				t.Errorf("--write %s --read %s from %s: %s %s = %v, want %v", c.write, c.read, c.from, p.method, p.target, got, p.want)
			}
		}
	}
}

func TestGuardLoopback(t *testing.T) {
	for remote, allowed := range map[string]bool{
		"127.0.0.1:5":          true,
		"127.8.9.1:5":          true,
		"[::1]:5":              true,
		"[::ffff:127.0.0.1]:5": true,
		"10.0.0.1:5":           false,
		"[fe80::1%eth0]:5":     false,
		"[::ffff:10.0.0.1]:5":  false,
		"":                     false,
		"localhost:5":          false,
		"@":                    false,
	} {
		r := httptest.NewRequest("POST", "http://localhost:5000/v2/a/blobs/uploads/", nil)
		r.RemoteAddr = remote
		if _, err := (&guard{write: "loopback"}).allow(r, registry.UploadStart); (err == nil) != allowed {
			t.Errorf("a push from %q: %v, want allowed %v", remote, err, allowed)
		}
	}
}

// A client that guesses learns when to try again.
func TestGuardRefuses(t *testing.T) {
	u, _, _ := testUsers(t)
	h, _ := pagesOver(t, "auth", "any", u)
	var w *httptest.ResponseRecorder
	for range limitName.most + 1 {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.SetBasicAuth("alice", "x")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "TOOMANYREQUESTS") {
		t.Errorf("answer %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestPages(t *testing.T) {
	h, dir := pagesOver(t, "any", "any", nil)
	get := func(method, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		return w
	}
	get("POST", "/v2/a/blobs/uploads/?digest="+digest(nil))
	get("GET", "/v2/absent/tags/list")
	metrics := get("GET", "/metrics").Body.String()
	for _, want := range []string{
		`oci_serve_requests_total{kind="upload-whole",status="201"} 1`,
		`oci_serve_requests_total{kind="tags-list",status="404"} 1`,
		"oci_serve_received_bytes_total 0",
		"oci_serve_sent_bytes_total ",
		"oci_serve_uploads 0",
		"oci_serve_auth_failures_total 0",
		"oci_serve_storage_blobs 1",
		"oci_serve_storage_bytes 0",
		"oci_serve_storage_free_bytes ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %q:\n%s", want, metrics)
		}
	}
	if w := get("POST", "/healthz"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /healthz = %d %v", w.Code, w.Header())
	}
	if err := os.RemoveAll(filepath.Join(dir, "repositories")); err != nil {
		t.Fatal(err)
	}
	if w := get("GET", "/healthz"); w.Code != 503 {
		t.Errorf("/healthz of a storage that is gone = %d", w.Code)
	}
}

// FuzzRequest sends anything that parses as a request to a registry that
// nobody may write to: no fault of the server, no redirect, nothing changed in
// the storage or next to it.
func FuzzRequest(f *testing.F) {
	for _, line := range []string{
		"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v2/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v2/%2e%2e/%2e%2e/tls/manifests/ca.key HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://other/v2//tags/list HTTP/1.1\r\nHost: x\r\nRange: bytes=-1\r\n\r\n",
		"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"DELETE /v2/a/_layout/blobs/uploads/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Og==\r\n\r\n",
	} {
		f.Add([]byte(line))
	}
	h, dir := pagesOver(f, "none", "any", nil)
	parent := filepath.Dir(dir)
	before := listing(f, parent)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code >= 300 && w.Code < 400 && w.Code != 304 {
			t.Fatalf("%q was answered with %d %s", data, w.Code, w.Body)
		}
		if after := listing(t, parent); !slices.Equal(before, after) {
			t.Fatalf("%q changed the storage: %q", data, after)
		}
	})
}

func listing(t testing.TB, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
