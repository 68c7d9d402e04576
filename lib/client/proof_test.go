package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/cli"
)

// site runs a server of the test's own.
func site(t *testing.T, h http.HandlerFunc) (host string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// page answers like a portal or a web server.
func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprint(w, "<!doctype html><title>Access</title>")
	}
}

func TestFirstAnswerShowsWhatIsNotARegistry(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"200 to everything":      page(http.StatusOK),
		"web server":             page(http.StatusNotFound),
		"block page":             page(http.StatusForbidden),
		"login without a scheme": page(http.StatusUnauthorized),
		"portal":                 page(http.StatusNetworkAuthenticationRequired),
		"greeting":               func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "It works!") },
		"redirect to a login": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
			}
			page(http.StatusOK)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			r := prepare(t, Options{At: site(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/login" {
					asked.Add(1)
				}
				h(w, r)
			})})
			err := r.Connect(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "not a registry: it answers with text/") || cli.Code(err) != cli.CodeFailed || !r.Fatal(err) || cli.HintOf(err) == "" {
				t.Errorf("Connect = %v (code %d, hint %q), want that it is not a registry", err, cli.Code(err), cli.HintOf(err))
			}
			if asked.Load() != 1 {
				t.Errorf("%d requests, want one", asked.Load())
			}
		})
	}
}

// Whatever else a server answers to the first request, the error says what that
// server seems to be, or whether another run may help, and has a hint.
func TestEveryFirstAnswerIsExplained(t *testing.T) {
	for _, tt := range []struct {
		code int
		body string
		want string
		exit int
		hint string
	}{
		{204, "", "not a registry: it answers 204 No Content", 1, "in --to"},
		{304, "", "not a registry: it answers 304 Not Modified", 1, "in --to"},
		{400, "bad", "not a registry: it answers with text/plain, 400 Bad Request", 1, "in --to"},
		{404, "404 page not found", "not a registry: it answers with text/plain, 404 Not Found", 1, "in --to"},
		{404, "", "not a registry: it answers 404 Not Found", 1, "in --to"},
		{404, `{"errors":[{"code":"NAME_UNKNOWN","message":"no v2"}]}`, "registry answered 404 Not Found: NAME_UNKNOWN no v2", 1, "in --to"},
		{405, "", "not a registry: it answers 405 Method Not Allowed", 1, "in --to"},
		{410, "gone", "not a registry: it answers with text/plain, 410 Gone", 1, "in --to"},
		{407, "", "a proxy answered 407 Proxy Authentication Required", 1, "a proxy that requires a login"},
		{401, "", "registry answered 401 Unauthorized", 1, "--username and --password-file"},
		{403, "", "registry answered 403 Forbidden", 1, "read"},
		{501, "", "not a registry: it answers 501 Not Implemented", 1, "in --to"},
		{429, "", "registry answered 429 Too Many Requests", 75, "again later"},
		{500, "", "registry answered 500 Internal Server Error", 75, "log says why"},
		{502, "", "registry answered 502 Bad Gateway", 75, "again later"},
		{503, "", "registry answered 503 Service Unavailable", 75, "again later"},
		{504, "", "registry answered 504 Gateway Timeout", 75, "again later"},
	} {
		r := prepare(t, Options{At: site(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.body == "" {
				w.Header()["Content-Type"] = nil
			}
			w.WriteHeader(tt.code)
			fmt.Fprint(w, tt.body)
		})})
		err := r.Connect(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) || cli.Code(err) != tt.exit || !strings.Contains(cli.HintOf(err), tt.hint) {
			t.Errorf("%d %q: %v (code %d, hint %q), want %s (code %d, hint %s)", tt.code, tt.body, err, cli.Code(err), cli.HintOf(err), tt.want, tt.exit, tt.hint)
		}
	}
}

func TestRegistriesOfEveryKindAreAccepted(t *testing.T) {
	answer := func(code int, kind, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				http.NotFound(w, r)
				return
			}
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"object":                      answer(200, "application/json", "{}\n"),
		"object without a type":       answer(200, "text/plain; charset=utf-8", "{}"),
		"true":                        answer(200, "application/json", "true"),
		"nothing":                     answer(200, "", ""),
		"version header, whatever":    answer(200, "text/html", "<p>", "Docker-Distribution-Api-Version", "registry/2.0"),
		"basic, page of a web server": answer(401, "text/html", "<h1>401</h1>", "WWW-Authenticate", `Basic realm="x"`),
		"bearer":                      answer(401, "application/json", "{}", "WWW-Authenticate", `Bearer realm="https://auth.example/token"`),
	} {
		if err := prepare(t, Options{At: site(t, h)}).Connect(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	moved := site(t, answer(200, "application/json", "{}"))
	if err := prepare(t, Options{At: site(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+moved+r.URL.Path, http.StatusTemporaryRedirect)
	})}).Connect(t.Context()); err != nil {
		t.Errorf("redirect to the registry that has it: %v", err)
	}
}

// always answers every request with 200 and the same body.
func always(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}

// A server whose first answer might be a registry's has one more request to
// answer, about a manifest that cannot exist.
func TestSuccessForEverythingIsNotARegistry(t *testing.T) {
	login := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			h(w, r)
		}
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		o    Options
	}{
		{"object", always("{}"), Options{}},
		{"true", always("true"), Options{}},
		{"nothing", always(""), Options{}},
		{"object, to a push", always("{}"), Options{Push: true}},
		{"object behind a login", login(always("{}")), Options{Username: "u", PasswordFile: password}},
		{"login that is not necessary", always("{}"), Options{Username: "u", PasswordFile: password}},
		{"created", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				w.WriteHeader(http.StatusCreated)
			}
		}, Options{}},
	} {
		tt.o.At = site(t, tt.h) + "/prefix"
		r := prepare(t, tt.o)
		err := r.Connect(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "not a registry: it has an answer for everything") || cli.Code(err) != cli.CodeFailed || !r.Fatal(err) || !strings.Contains(cli.HintOf(err), "check the address") {
			t.Errorf("%s: Connect = %v (code %d, hint %q), want that it is not a registry", tt.name, err, cli.Code(err), cli.HintOf(err))
		}
	}
}

// To find that out costs one request, of a registry that does not name itself,
// and whatever a real one answers to it is accepted.
func TestDoubtCostsOneRequest(t *testing.T) {
	for _, named := range []bool{true, false} {
		host, asked := dropping(t, func(*http.Request) bool { return !named }, "Docker-Distribution-Api-Version")
		if err := prepare(t, Options{At: host, Push: true}).Connect(t.Context()); err != nil {
			t.Error(err)
		}
		if n, want := asked.Load(), map[bool]int64{true: 1, false: 2}[named]; n != want {
			t.Errorf("named %v: %d requests, want %d", named, n, want)
		}
	}
	for _, code := range []int{400, 401, 403, 404, 405, 410, 429, 500, 501, 503} {
		var asked atomic.Int64
		err := prepare(t, Options{At: site(t, func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1); r.URL.Path != "/v2/" {
				w.WriteHeader(code)
			}
		})}).Connect(t.Context())
		if err != nil || asked.Load() != 2 {
			t.Errorf("%d: %v after %d requests, want none after 2", code, err, asked.Load())
		}
	}
}

// Servers that answer everything with success after a valid first answer are
// recognised.
func TestSuccessForEverythingIsNotProof(t *testing.T) {
	for name, yes := range map[string]func(http.ResponseWriter, *http.Request){
		"page":   page(http.StatusOK),
		"object": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":true}`) },
		"empty":  func(http.ResponseWriter, *http.Request) {},
		"created": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut || r.Method == http.MethodPost {
				w.WriteHeader(http.StatusCreated)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := dial(t, site(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/v2/" {
					w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
					fmt.Fprint(w, "{}")
					return
				}
				yes(w, r)
			}))
			blob := bytes.Repeat([]byte("x"), 1000)
			d, size := hashOf(t, blob), int64(len(blob))
			if there, err := r.HasBlob(t.Context(), "a", d, size); there || err == nil {
				t.Errorf("HasBlob = %v, %v, want an error", there, err)
			}
			if there, err := r.Upload("a", d, size).Mount(t.Context(), "b"); there || err == nil {
				t.Errorf("Mount = %v, %v, want an error", there, err)
			}
			if err := r.Upload("a", d, size).Send(t.Context(), bytes.NewReader(blob)); err == nil {
				t.Error("Send succeeds")
			}
			if digest, err := r.Digest(t.Context(), "a", "v1"); digest != "" || err == nil {
				t.Errorf("Digest = %q, %v, want an error", digest, err)
			}
			if err := r.PutManifest(t.Context(), "a", "v1", string(types.OCIManifestSchema1), []byte(`{"schemaVersion":2}`)); err == nil {
				t.Error("PutManifest succeeds")
			}
		})
	}
}

// drop removes headers from the answers to some requests, as proxies do.
type drop struct {
	http.ResponseWriter
	names []string
}

func (d drop) WriteHeader(code int) {
	for _, n := range d.names {
		d.Header().Del(n)
	}
	d.ResponseWriter.WriteHeader(code)
}

func (d drop) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// dropping is a real registry whose answers lack headers.
func dropping(t *testing.T, when func(*http.Request) bool, names ...string) (host string, asked *atomic.Int64) {
	t.Helper()
	h, asked := handler(t, nil), new(atomic.Int64)
	return site(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if when(r) {
			w = drop{w, names}
		}
		h.ServeHTTP(w, r)
	}), asked
}

// If a registry does not state a digest, the content is read, which proves as
// much.
func TestProofWithoutHeaders(t *testing.T) {
	all := func(r *http.Request) bool { return r.URL.Path != "/v2/" }
	writes := func(r *http.Request) bool { return r.Method == http.MethodPut }
	for _, tt := range []struct {
		name  string
		when  func(*http.Request) bool
		names []string
	}{
		{"no digest anywhere", all, []string{"Docker-Content-Digest"}},
		{"no size of what is asked about", func(r *http.Request) bool { return r.Method == http.MethodHead }, []string{"Docker-Content-Digest", "Content-Length"}},
		{"neither location nor digest of what is stored", writes, []string{"Docker-Content-Digest", "Location"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, _ := dropping(t, tt.when, tt.names...)
			r := dial(t, host)
			layer := []byte("a layer")
			manifest, blob := put(t, r, "a", "v1", layer)
			if there, err := r.HasBlob(t.Context(), "a", blob, int64(len(layer))); !there || err != nil {
				t.Errorf("HasBlob = %v, %v, want true", there, err)
			}
			if there, err := r.Upload("b", blob, int64(len(layer))).Mount(t.Context(), "a"); !there || err != nil {
				t.Errorf("Mount = %v, %v, want true", there, err)
			}
			if digest, err := r.Digest(t.Context(), "a", "v1"); digest != hashOf(t, manifest).String() || err != nil {
				t.Errorf("Digest = %q, %v, want that of the manifest", digest, err)
			}
		})
	}
}

// A push to a registry that states digests takes no more requests than one
// without proofs.
func TestProofCostsNothing(t *testing.T) {
	host, asked := dropping(t, func(*http.Request) bool { return false })
	r := dial(t, host)
	asked.Store(0)
	put(t, r, "a", "v1", []byte("layer"))
	if n := asked.Load(); n != 6 { // of the library once, two blobs of two requests, one manifest
		t.Errorf("%d requests, want 6", n)
	}
}

// A registry may lose what it acknowledged, or store something else.
func TestContradictionsAreErrors(t *testing.T) {
	layer := []byte("a layer")
	for _, tt := range []struct {
		name, want string
		before     func(http.ResponseWriter, *http.Request) bool
	}{
		{"blob of another size", "registry has 3 bytes under this digest, not 7", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Length", "3")
			}
			return r.Method == http.MethodHead
		}},
		{"blob of another digest", "registry has sha256:0000", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
				w.Header().Set("Content-Length", "7")
			}
			return r.Method == http.MethodHead
		}},
	} {
		r := dial(t, serve(t, tt.before))
		if there, err := r.HasBlob(t.Context(), "a", hashOf(t, layer), 7); there || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: HasBlob = %v, %v, want %s", tt.name, there, err, tt.want)
		}
	}
	// Acknowledged without a digest, and missing.
	r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
		}
		return r.Method == http.MethodPut
	}))
	for what, err := range map[string]error{
		"Send":        r.Upload("a", hashOf(t, layer), 7).Send(t.Context(), bytes.NewReader(layer)),
		"PutManifest": r.PutManifest(t.Context(), "a", "v1", string(types.OCIManifestSchema1), []byte(`{"schemaVersion":2}`)),
	} {
		if err == nil || !strings.Contains(err.Error(), "registry accepted it, but does not have it") {
			t.Errorf("%s = %v, want that it is not there", what, err)
		}
	}
}
