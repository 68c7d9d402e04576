package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// TestBusyRegistry: a registry that asks clients to try later ends the run, whatever
// the request.
func TestBusyRegistry(t *testing.T) {
	for _, part := range []string{"/v2/", "/tags/list", "/manifests/"} {
		for _, code := range []int{429, 500, 502, 503, 504} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" && part != "/v2/" || r.URL.Path == "/k0s/" {
					return
				}
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(code)
			}))
			args := []string{"--registry", s.Listener.Addr().String(), "--plain-http", "--plan", "--ignore", "disk,loopback,cpu,memory"}
			if part == "/manifests/" {
				args = append(args, "--release", "1.2.3")
			}
			r := try(t, testHost(t), "", args...)
			s.Close()
			want := fmt.Sprintf("registry answered %d %s, and asks clients to wait until %s", code, http.StatusText(code), time.Now().Add(time.Hour).UTC().Format("2006-01-02T"))
			if cli.Code(r.Err) != cli.CodeTryAgain || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "\nhint: run the same command again after ") {
				t.Errorf("%s, %d: %v (code %d), want %s\n%s", part, code, r.Err, cli.Code(r.Err), want, r.Stderr)
			}
		}
	}
}

// TestUnreadablePages names the culprit if the registry's pages cannot be read.
func TestUnreadablePages(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the client turns away
	s.StartTLS()
	defer s.Close()
	i := testInstaller(t, testHost(t), &settings{Registry: cli.Registry{At: s.Listener.Addr().String()}})
	var err error
	if i.site, err = i.openSite(); err != nil {
		t.Fatal(err)
	}
	var r release
	i.findK0s(t.Context(), &r)
	note := r.k0sFinding.Detail
	if r.site.K0sURL != "" || !strings.Contains(note, "its certificate is signed by an unknown authority") || !strings.Contains(note, "--k0s-url") {
		t.Errorf("%q, %q", r.site.K0sURL, note)
	}
}
