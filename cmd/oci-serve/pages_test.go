package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/registry"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// Only a client that accepts HTML gets the page; others get what the registry
// answers at a path that it does not have.
func TestPageIsForBrowsers(t *testing.T) {
	h, _ := pagesOver(t, "any", "any", nil)
	ask := func(method, target, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "/", browser); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "<!DOCTYPE html>") {
		t.Errorf("a browser gets %d %s", w.Code, w.Body)
	}
	for _, c := range []struct{ method, target, accept string }{
		{"GET", "/", ""}, {"GET", "/", "*/*"}, {"HEAD", "/", "application/json"},
		{"POST", "/", browser}, {"PUT", "/", browser}, {"GET", "/index.html", browser},
		{"GET", "/v2/", browser}, {"GET", "/v2/_catalog", browser}, {"GET", "/v2/a/tags/list", browser}, {"GET", "/k0s/", browser},
		{"GET", "/ca.pem", browser}, // there is no authority
	} {
		got := ask(c.method, c.target, c.accept)
		want := ask(c.method, strings.Replace(c.target, "/?", "/", 1), "application/json")
		if c.target == "/" {
			want = ask(c.method, "/none", "application/json")
		}
		if got.Code != want.Code || got.Body.String() != want.Body.String() || fmt.Sprint(got.Header()) != fmt.Sprint(want.Header()) {
			t.Errorf("%s %s with Accept %q = %d %v %s, want %d %v %s", c.method, c.target, c.accept, got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
}

// Anyone can fetch the authority's certificate, and nothing else of tls/. The
// page shows its fingerprint to users who can pull.
func TestAuthorityIsServed(t *testing.T) {
	dir := t.TempDir()
	disk, err := registry.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	auto := openAuto(t, dir)
	log := slog.New(slog.DiscardHandler)
	u, _, _ := testUsers(t)
	counts := newMetrics()
	h := newPages(newFiles("", filepath.Join(dir, "k0s"), disk), "", disk, &guard{write: "auth", read: "auth", users: u, reports: newReports(log), failed: counts.failures.Inc}, counts, auto, log)
	ask := func(target string, login bool) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Accept", browser)
		if login {
			r.SetBasicAuth("alice", "wonder land")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := ask("/ca.pem", false)
	block, rest := pem.Decode(w.Body.Bytes())
	if w.Code != 200 || block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("/ca.pem = %d %s", w.Code, w.Body)
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.Equal(auto.ca.cert) {
		t.Errorf("/ca.pem is another certificate, %v", err)
	}
	if w := ask("/", false); w.Code != 401 || w.Header().Get("WWW-Authenticate") != realm || strings.Contains(w.Body.String(), "html") {
		t.Errorf("without a login, / = %d %s", w.Code, w.Body)
	}
	if w := ask("/", true); w.Code != 200 || strings.Count(w.Body.String(), ":") < 31 || !strings.Contains(w.Body.String(), `href="/ca.pem"`) {
		t.Errorf("with a login, / = %d %s", w.Code, w.Body)
	}
	for _, target := range []string{"/ca.key", "/tls/ca.key", "/tls/ca.pem", "/ca.pem/", "/ca.pem/../ca.key", "/server.pem"} {
		if w := ask(target, true); w.Code != 404 {
			t.Errorf("%s = %d %s", target, w.Code, w.Body)
		}
	}
}

// Pages over many repositories take no more memory than other requests.
func TestPageMemory(t *testing.T) {
	c := startProgram(t, withoutDetector(t), t.TempDir(), nil)
	d := c.image("many", "v")
	symlinks(t, 1200, func(i int) (string, string) {
		return "../blobs/" + strings.Replace(d, ":", "/", 1), filepath.Join(c.record.Storage, "repositories/many/_layout/tags", fmt.Sprintf("t%06d", i))
	})
	symlinks(t, 3000, func(i int) (string, string) {
		return imageType, filepath.Join(c.record.Storage, "repositories", fmt.Sprintf("r%05d", i), "_layout/manifests/sha256", strings.Repeat("0", 64))
	})
	var made, refused atomic.Int64
	at(60, func(i int) {
		client := from(fmt.Sprintf("127.0.0.%d", 1+i%20))
		targets := []string{"/?n=100", "/?n=100&q=9", "/?q=nothing", "/?repository=many&n=100"}
		for _, target := range []string{targets[i%4], targets[(i+1)%4]} {
			r, _ := http.NewRequest("GET", c.url+target, nil)
			r.Header.Set("Accept", browser)
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			switch {
			case err == nil && resp.StatusCode == 200 && strings.HasSuffix(string(text), "</html>\n"):
				made.Add(1)
			case err == nil && resp.StatusCode == 429:
				refused.Add(1)
			default:
				t.Errorf("%s = %d, %v", target, resp.StatusCode, err)
			}
		}
	})
	if got := c.peak(); got > maxRSS || made.Load() == 0 {
		t.Errorf("%d kB for %d pages, want at most %d; %d refused", got, made.Load(), maxRSS, refused.Load())
	} else {
		t.Logf("%d kB for %d pages, %d refused", got, made.Load(), refused.Load())
	}
	c.stop()
}
