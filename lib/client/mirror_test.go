package client

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A mirror is read with the configured scheme, authority and header, and with
// nothing else, even if the underlying library has a fallback.
func TestMirror(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, ok := r.BasicAuth(); {
		case strings.HasPrefix(r.URL.Path, "/v2/secret/") && (!ok || user != "u" || password != "p"):
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/":
		case strings.HasSuffix(r.URL.Path, "/manifests/there"):
			w.Header().Set("Docker-Content-Digest", digest)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	plain := httptest.NewServer(answer)
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(answer)
	t.Cleanup(secure.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	at := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	tests := []struct {
		name       string
		mirror     Mirror
		repository string
		wantErr    string
	}{
		{"plain", Mirror{Scheme: "http", Host: at(plain)}, "a/b", ""},
		{"TLS", Mirror{Scheme: "https", Host: at(secure), CA: ca}, "a/b", ""},
		{"TLS with a login", Mirror{Scheme: "https", Host: at(secure), CA: ca, Authorization: "Basic dTpw"}, "secret/b", ""},
		{"no login", Mirror{Scheme: "https", Host: at(secure), CA: ca}, "secret/b", "401"},
		{"no authority", Mirror{Scheme: "https", Host: at(secure)}, "a/b", "unknown authority"},
		{"https to a plain port", Mirror{Scheme: "https", Host: at(plain)}, "a/b", "speaks plain HTTP"},
		{"http to a TLS port", Mirror{Scheme: "http", Host: at(secure), CA: ca}, "a/b", "speaks HTTPS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewMirror(tt.mirror)
			if err != nil {
				t.Fatal(err)
			}
			r.wait = time.Millisecond
			var there, gone string
			if err = r.Connect(t.Context()); err == nil {
				there, err = r.Digest(t.Context(), tt.repository, "there")
			}
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("error %v, want %q in it", err, tt.wantErr)
				}
				return
			}
			if err == nil {
				gone, err = r.Digest(t.Context(), tt.repository, "gone")
			}
			if err != nil || there != digest || gone != "" {
				t.Errorf("digests %q and %q, %v, want %s and none", there, gone, err, digest)
			}
		})
	}
	if _, err := NewMirror(Mirror{Scheme: "https", Host: at(secure), CA: []byte("x")}); err == nil {
		t.Error("an authority without a certificate gives no error")
	}
}
