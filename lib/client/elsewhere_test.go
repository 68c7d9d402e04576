package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// Credentials and tokens go to the registry alone, wherever its headers lead:
// uploads, redirected uploads and downloads of blobs at another port or host.
func TestCredentialsStayAtTheRegistry(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := handler(t, nil)
	blob := large()
	d, size := hashOf(t, blob), int64(len(blob))
	var mu sync.Mutex
	var got []string
	var leaked bool
	stranger := site(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.Method)
		for name, values := range r.Header {
			leaked = leaked || name == "Authorization" || name == "Cookie" || strings.Contains(strings.Join(values, " "), "s3cret")
		}
		leaked = leaked || strings.Contains(r.URL.String(), "s3cret") || r.URL.User != nil
		mu.Unlock()
		store.ServeHTTP(w, r)
	})
	_, port, _ := strings.Cut(stranger, ":")
	for _, where := range []string{stranger, "localhost:" + port} {
		for _, kind := range []string{"Basic", "Bearer"} {
			for _, way := range []string{"location", "redirect"} {
				name := fmt.Sprintf("%s, %s to %s", kind, way, strings.TrimSuffix(where, port))
				mu.Lock()
				got = nil
				mu.Unlock()
				var host string
				host = site(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/token" {
						fmt.Fprint(w, `{"token":"s3cret"}`)
						return
					}
					if !strings.HasPrefix(r.Header.Get("Authorization"), kind+" ") {
						w.Header().Set("WWW-Authenticate", kind+` realm="http://`+host+`/token",service="x"`)
						w.Header().Set("Set-Cookie", "session=s3cret")
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					switch {
					case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/"), way == "redirect" && r.Method != http.MethodGet && r.Method != http.MethodHead:
						http.Redirect(w, r, "http://"+where+r.URL.RequestURI(), http.StatusTemporaryRedirect)
					case r.Method == http.MethodPost:
						store.ServeHTTP(&absolute{w, "http://" + where}, r)
					default:
						store.ServeHTTP(w, r)
					}
				})
				r := prepare(t, Options{At: host, Push: true, Username: "u", PasswordFile: secret})
				if err := r.Connect(t.Context()); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := r.Upload(fmt.Sprintf("a%d", len(got)), d, size).Send(t.Context(), bytes.NewReader(blob)); err != nil {
					t.Errorf("%s: Send = %v (hint %q)", name, err, cli.HintOf(err))
				}
				if n, err := io.Copy(io.Discard, r.Blob(t.Context(), "a0", d)); n != size || err != nil {
					t.Errorf("%s: read %d bytes, %v", name, n, err)
				}
				mu.Lock()
				if all := strings.Join(got, " "); !strings.Contains(all, "PATCH") || !strings.Contains(all, "PUT") || !strings.Contains(all, "GET") {
					t.Errorf("%s: the other host got %s", name, all)
				}
				if leaked {
					t.Errorf("%s: credentials went to the other host", name)
				}
				mu.Unlock()
			}
		}
	}
}

// absolute makes the Location header of an answer one of another host.
type absolute struct {
	http.ResponseWriter
	at string
}

func (a *absolute) WriteHeader(code int) {
	if to := a.Header().Get("Location"); strings.HasPrefix(to, "/") {
		a.Header().Set("Location", a.at+to)
	}
	a.ResponseWriter.WriteHeader(code)
}
