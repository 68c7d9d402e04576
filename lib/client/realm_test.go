package client

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// A registry can name any token server, to which credentials then go: one at a
// private address other than the registry's own is refused, one with a name is
// accepted, as oci-push(1) documents.
func TestTokenServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	teapot := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusTeapot)
		return true
	}
	_, port, _ := net.SplitHostPort(serve(t, teapot))
	for realm, want := range map[string]string{
		"http://10.99.0.9:1/token":            `realm host "10.99.0.9" is a private or link-local address`,
		"http://127.0.0.1:1/token":            `realm host "127.0.0.1" is a private or link-local address`,
		"http://[fd00::9]:1/token":            `realm host "fd00::9" is a private or link-local address`,
		"http://localhost:" + port + "/token": "registry answered 418",
		"ftp://tokens.invalid/token":          `realm scheme "ftp" not allowed`,
		"http://THE-REGISTRY-ITSELF/token":    "registry answered 418",
	} {
		var host string
		host = serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				return teapot(w, r)
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(realm, "THE-REGISTRY-ITSELF", host, 1)+`",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		r := prepare(t, Options{At: host, Username: "u", PasswordFile: file})
		err := r.Connect(t.Context())
		var text strings.Builder
		cli.Report(&text, "tool", err)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(text.String(), "secret") {
			t.Errorf("%s: %v, want %s", realm, err, want)
		}
		if private := strings.Contains(want, "private"); strings.Contains(text.String(), "\nhint: ") != private {
			t.Errorf("%s: report = %q, want a hint: %v", realm, &text, private)
		}
	}
}

// A token server that refuses a login during a run is reported like one that does so at
// first.
func TestTokenServerThatRefusesLater(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var refuses atomic.Bool
	var host string
	host = serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/token" && !refuses.Load():
			fmt.Fprint(w, `{"token":"t"}`)
		case r.URL.Path == "/token" || r.Header.Get("Authorization") == "" || refuses.Load():
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+host+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			return false
		}
		return true
	})
	r := prepare(t, Options{At: host, Username: "u", PasswordFile: file})
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Digest(t.Context(), "a", "v1"); err != nil {
		t.Fatal(err)
	}
	refuses.Store(true)
	_, err := r.Digest(t.Context(), "a", "v1")
	if want := `login of "u" refused: registry answered 401 Unauthorized`; err == nil || err.Error() != want || !strings.Contains(cli.HintOf(err), file) {
		t.Errorf("Digest = %v (hint %q), want %s", err, cli.HintOf(err), want)
	}
}
