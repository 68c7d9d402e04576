package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// A mirror that asks to be tried later ends the run with exit code 75, whatever the request.
func TestBusyMirror(t *testing.T) {
	images := filepath.Join(t.TempDir(), "images")
	writeFile(t, images, 0o644, coredns+"\n")
	for _, part := range []string{"/v2/", "/manifests/"} {
		for _, code := range []int{429, 500, 502, 503, 504} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" && part != "/v2/" {
					return
				}
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(code)
			}))
			o := start(t, imageRoot(t, coredns), "", "--check", "--mirror", s.URL, "--images", images)
			s.Close()
			want := fmt.Sprintf("registry answered %d %s, and asks clients to wait until %s", code, http.StatusText(code), time.Now().Add(time.Hour).UTC().Format("2006-01-02T"))
			if o.code() != cli.CodeTryAgain || !strings.Contains(o.err.Error(), want) || !strings.Contains(cli.HintOf(o.err), "run the same command again after ") {
				t.Errorf("%s, %d: %v (code %d, hint %q), want %s", part, code, o.err, o.code(), cli.HintOf(o.err), want)
			}
		}
	}
}
