package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
)

// refuse answers a kind of request with a status.
func refuse(method, path string, code int, body string) intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, path) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
		return true
	}
}

// large is a blob that is sent in a request of its own.
var large = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("0123456789abcdef"), wholeSize/8) })

// Requests that cannot succeed are sent once.
func TestPermanentRefusalsAreNotRetried(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		code         int
		body         string
		fatal, all   bool // all: it may concern every image
		hint         string
	}{
		{"no such repository", "POST", 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}`, false, true, "create the repository"},
		{"denied", "POST", 403, `{"errors":[{"code":"DENIED","message":"no"}]}`, false, true, "--write auth"},
		{"read-only", "POST", 405, `{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`, false, true, "read-only"},
		{"no login", "POST", 401, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`, true, true, "--username and --password-file"},
		{"too large", "PATCH", 413, "", false, false, "client_max_body_size"},
		{"kind refused", "PATCH", 415, "", false, false, ""},
		{"disk full", "PATCH", 507, "", true, false, "make room"},
		{"disk of distribution full", "PATCH", 500, `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Err":{"Op":"write","Err":28}, "text":"no space left on device"}}]}`, true, false, "make room"},
		{"not implemented", "PATCH", 501, "", false, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tries atomic.Int64
			answer := refuse(tt.method, "/blobs/uploads", tt.code, tt.body)
			r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				done := answer(w, r)
				if done {
					tries.Add(1)
				}
				return done
			}))
			err := r.Upload("a", hashOf(t, large()), int64(len(large()))).Send(t.Context(), bytes.NewReader(large()))
			if status(err) != tt.code || cli.Code(err) != cli.CodeFailed || tries.Load() != 1 {
				t.Errorf("Send = %v (code %d) after %d tries, want %d after one", err, cli.Code(err), tries.Load(), tt.code)
			}
			if r.Fatal(err) != tt.fatal || r.Refused(err) != tt.all {
				t.Errorf("hopeless %v, refused %v, want %v, %v", r.Fatal(err), r.Refused(err), tt.fatal, tt.all)
			}
			if !strings.Contains(cli.HintOf(err), tt.hint) {
				t.Errorf("hint = %q, want %q", cli.HintOf(err), tt.hint)
			}
		})
	}
}

// A fault that lasts can be retried by another run, and retries are reported
// once.
func TestLastingFaultsNeedAnotherRun(t *testing.T) {
	for code, again := range map[int]bool{408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true, 520: true, 501: false, 505: false} {
		var tries, notified atomic.Int64
		r := prepare(t, Options{At: serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return false
			}
			tries.Add(1)
			w.WriteHeader(code)
			return true
		}), Notice: func(text string) {
			if notified.Add(1); !strings.Contains(text, fmt.Sprintf("registry answered %d", code)) || !strings.HasSuffix(text, "; trying again") {
				t.Errorf("notices %q", text)
			}
		}})
		if err := r.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := r.Digest(t.Context(), "a", "v1")
			if status(err) != code || (cli.Code(err) == cli.CodeTryAgain) != again || r.Fatal(err) != (code == http.StatusNotImplemented) {
				t.Errorf("%d: %v (code %d), hopeless %v", code, err, cli.Code(err), r.Fatal(err))
			}
		}
		wantTries, wantTold := int64(2*attempts), int64(1)
		if !again {
			wantTries, wantTold = 2, 0
		}
		if tries.Load() != wantTries || notified.Load() != wantTold {
			t.Errorf("%d: %d tries, reported %d times, want %d and %d", code, tries.Load(), notified.Load(), wantTries, wantTold)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-3": 0, "": 0, "soon": 0,
		date.Add(15 * time.Second).Format(http.TimeFormat): 15 * time.Second,
		date.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		h := http.Header{"Date": {date.Format(http.TimeFormat)}, "Retry-After": {value}}
		if got := retryAfter(h); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
	then := time.Now().Add(20 * time.Second)
	if got := retryAfter(http.Header{"Retry-After": {then.UTC().Format(http.TimeFormat)}}); got < 15*time.Second || got > 20*time.Second {
		t.Errorf("retryAfter without a Date = %v, want about 20 s", got)
	}
}

// A listener that accepts connections but stays silent times out, with HTTP,
// with TLS, and after a first answer.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	began := time.Now()
	r := prepare(t, Options{At: "localhost:" + port, Timeout: 300 * time.Millisecond})
	err = r.Connect(t.Context())
	if !errors.Is(err, errUnreachable) || cli.Code(err) != cli.CodeTryAgain || err.Error() != "no answer within 300ms" || !strings.Contains(cli.HintOf(err), "--answer-timeout") {
		t.Errorf("Connect = %v (code %d, hint %q)", err, cli.Code(err), cli.HintOf(err))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("gave up after %v", took)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cli.ErrInterrupted) })
	if err := prepare(t, Options{At: "localhost:" + port}).Connect(ctx); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
}

// Errors at addresses from the registry's headers and redirects name the
// registry as the cause.
func TestRedirectsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before intercept
		want   string
	}{
		{"location, no such host", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Location", "https://registry.invalid:9/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
			return true
		}, "the registry sends uploads (in a Location header) to registry.invalid:9: "},
		{"location, wrong port", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Location", "http://"+nobody+"/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
			return true
		}, "the registry sends uploads (in a Location header) to " + nobody + ": "},
		{"redirect", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			http.Redirect(w, r, "http://"+nobody+"/", http.StatusTemporaryRedirect)
			return true
		}, "the registry redirects to " + nobody + ": "},
	} {
		r := dial(t, serve(t, tt.before))
		err := r.Upload("a", hashOf(t, []byte("x")), 1).Send(t.Context(), strings.NewReader("x"))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || errors.Is(err, errUnreachable) || !r.Fatal(err) || cli.HintOf(err) == "" {
			t.Errorf("%s: %v (hint %q), want %s", tt.name, err, cli.HintOf(err), tt.want)
		}
	}
}

// Uploads follow a redirect that keeps the method, resend their body from its
// offset, and send no login to another host.
func TestRedirectedUploads(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := handler(t, nil)
	var leaked atomic.Bool
	other := site(t, func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
		store.ServeHTTP(w, r)
	})
	var redirected atomic.Int64
	host := site(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			redirected.Add(1)
			http.Redirect(w, r, "http://"+strings.Replace(other, "127.0.0.1", "localhost", 1)+r.URL.RequestURI(), http.StatusPermanentRedirect)
			return
		}
		store.ServeHTTP(w, r)
	})
	r := prepare(t, Options{At: host, Push: true, Username: "u", PasswordFile: secret})
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	manifest, _ := put(t, r, "a", "v1", large())
	if digest, err := r.Digest(t.Context(), "a", "v1"); digest != hashOf(t, manifest).String() || err != nil {
		t.Errorf("Digest = %q, %v", digest, err)
	}
	if redirected.Load() == 0 || leaked.Load() {
		t.Errorf("%d redirects, login sent to the other host: %v", redirected.Load(), leaked.Load())
	}
}

func TestInvalidAddresses(t *testing.T) {
	for at, want := range map[string]string{
		"alice:s3cret@localhost:5000":         "invalid --to: no user name or password in the address",
		"https://alice:s3cret@localhost:5000": "invalid --to: no user name or password in the address",
		"localhost:99999":                     `invalid --to "localhost:99999": invalid port "99999": must be a number from 1 to 65535`,
		"localhost:":                          `invalid --to "localhost:": invalid port "": must be a number from 1 to 65535`,
		"localhost:abc/x":                     `invalid --to "localhost:abc/x": invalid port "abc": must be a number from 1 to 65535`,
		"host/Site":                           `invalid --to "host/Site": invalid prefix "Site": must be lower case`,
		"a b":                                 `invalid --to "a b": invalid host "a b": must be HOST[:PORT]`,
	} {
		_, err := New(Options{At: at, Names: testNames})
		if !cli.IsMisuse(err) || err.Error() != want {
			t.Errorf("New(%q) = %v, want %s", at, err, want)
		}
		if err != nil && strings.Contains(err.Error()+cli.HintOf(err), "s3cret") {
			t.Errorf("New(%q) repeats the password", at)
		}
	}
	for _, at := range []string{"[::1]:5000/a", "[::1]", "localhost:1", "h/a", "10.0.0.5:65535"} {
		if _, err := New(Options{At: at, Names: testNames}); err != nil {
			t.Errorf("New(%q) = %v", at, err)
		}
	}
}

func TestUserAgent(t *testing.T) {
	var agents sync.Map
	r := prepare(t, Options{At: serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		agents.Store(r.UserAgent(), true)
		return false
	}), Agent: "oci-push/1.2.3", Push: true})
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, r, "a", "v1", []byte("x"))
	agents.Range(func(key, _ any) bool {
		if key != "oci-push/1.2.3" {
			t.Errorf("User-Agent %q", key)
		}
		return true
	})
}
