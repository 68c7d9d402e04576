package client

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/diskstore"
	"k0rdent-airgap/tests/machine"
)

// intercept sees each request first, and has answered it if it returns true.
type intercept func(http.ResponseWriter, *http.Request) bool

// serve runs a real registry over a disk store.
func serve(t *testing.T, before intercept) (host string) {
	t.Helper()
	s := httptest.NewServer(handler(t, before))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func handler(t *testing.T, before intercept) http.Handler {
	t.Helper()
	h := diskstore.Handler(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			h.ServeHTTP(w, r)
		}
	})
}

// dial connects to a registry, with immediate retries.
func dial(t *testing.T, at string) *Registry {
	t.Helper()
	r := prepare(t, Options{At: at, Push: true})
	if err := r.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// testNames are those of a tool.
var testNames = Names{At: "--to", CA: "--ca", PlainHTTP: "--plain-http", Username: "--username", PasswordFile: "--password-file", Timeout: "--answer-timeout"}

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

func prepare(t *testing.T, o Options) *Registry {
	t.Helper()
	o.Names = testNames
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.wait = time.Millisecond
	return r
}

func TestParseSite(t *testing.T) {
	if site, err := ParseSite(testNames, "registry.local/k0rdent-enterprise/"); err != nil || site.String() != "registry.local/k0rdent-enterprise" {
		t.Errorf("ParseSite = %s, %v", site, err)
	}
	for _, at := range []string{"", "/", "http://x", "x/UPPER", "x/a//b", "x/../y"} {
		if _, err := ParseSite(testNames, at); !cli.IsMisuse(err) || !strings.HasPrefix(err.Error(), "invalid --to ") {
			t.Errorf("ParseSite(%q) = %v, want misuse of --to", at, err)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		options Options
		want    string
	}{
		{Options{At: "x:y:z"}, `invalid --to "x:y:z": `},
		{Options{At: "https://x"}, `invalid --to "https://x": must be HOST`},
		{Options{At: "x", Username: "u"}, "--username requires --password-file"},
		{Options{At: "x", PasswordFile: "p"}, "--password-file requires --username"},
		{Options{At: "x", Username: "u", PasswordFile: "/nonexistent"}, "--password-file: open /nonexistent"},
		{Options{At: "x", CAFile: "/nonexistent"}, "--ca: open /nonexistent"},
		{Options{At: "x", CAFile: empty}, "--ca: " + empty + ": the file is empty"},
	} {
		tt.options.Names = testNames
		if _, err := New(tt.options); !cli.IsMisuse(err) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("New(%+v) = %v, want misuse: %s", tt.options, err, tt.want)
		}
	}
}

// nobody is an address at which nothing listens. Another test may get a port that was
// assigned and closed.
const nobody = "127.0.0.1:1"

func TestNoAnswer(t *testing.T) {
	r := prepare(t, Options{At: nobody})
	if err := r.Connect(t.Context()); !errors.Is(err, errUnreachable) || cli.Code(err) != cli.CodeTryAgain || !r.Fatal(err) {
		t.Errorf("Connect = %v, want that nobody answered", err)
	}
}

// Plain HTTP to another machine is refused before anything is sent, unless the
// user allowed it.
func TestPlainHTTPStaysLocal(t *testing.T) {
	sent := 0
	g := newGuard(roundTrip(func(*http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), "", false, Options{})
	for _, tt := range []struct {
		url   string
		plain bool
		want  error
	}{
		{"http://10.0.0.5:5000/v2/", false, errPlainHTTP},
		{"http://10.0.0.5:5000/v2/", true, nil},
		{"https://10.0.0.5:5000/v2/", false, nil},
		{"http://127.0.0.1:5000/v2/", false, nil},
	} {
		sent, g.plain = 0, tt.plain
		req := httptest.NewRequest(http.MethodGet, tt.url, nil)
		if _, err := g.RoundTrip(req); err != tt.want || (sent == 0) != (tt.want != nil) {
			t.Errorf("%s, asked for: %v: %v and %d sent, want %v", tt.url, tt.plain, err, sent, tt.want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAuthorityOfTheSite(t *testing.T) {
	s := httptest.NewUnstartedServer(handler(t, nil))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	s.StartTLS()
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "https://")
	r := prepare(t, Options{At: at})
	if err := r.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("Connect = %v, want an unknown authority", err)
	}
	dir := t.TempDir()
	der, text := s.Certificate().Raw, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, o := range []Options{
		{At: at, CAFile: put("pem", text)}, {At: at, CAFile: put("mark", append([]byte("\xef\xbb\xbf"), text...))},
		{At: at, CAFile: put("der", der)}, {At: at, SkipVerify: true},
	} {
		if err := prepare(t, o).Connect(t.Context()); err != nil {
			t.Errorf("Connect with %+v = %v", o, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "reader" && password == "right" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, secret := range []string{"right", "right\n", "right\r\n", "\xef\xbb\xbfright\r\n"} {
		r := prepare(t, Options{At: host, Username: "reader", PasswordFile: file(secret)})
		if err := r.Connect(t.Context()); err != nil {
			t.Errorf("password file %q: %v", secret, err)
		}
		if digest, err := r.Digest(t.Context(), "a", "b"); err != nil || digest != "" {
			t.Errorf("Digest = %q, %v", digest, err)
		}
	}
	r := prepare(t, Options{At: host, Username: "reader", PasswordFile: file("wrong")})
	if err := r.Connect(t.Context()); err == nil || err.Error() != `login of "reader" refused: registry answered 401 Unauthorized` {
		t.Errorf("Connect with a wrong password = %v", err)
	}
	// A registry that anyone may read may require a login here all the
	// same, so that readers only learn from later requests.
	r = prepare(t, Options{At: host})
	if err := r.Connect(t.Context()); err != nil {
		t.Errorf("Connect of a reader without a password = %v", err)
	}
	if _, err := r.Digest(t.Context(), "a", "b"); err == nil || !r.Fatal(err) {
		t.Errorf("Digest without a password = %v, want that it is hopeless", err)
	}
	if err := prepare(t, Options{At: host, Push: true}).Connect(t.Context()); err == nil {
		t.Error("Connect of a writer without a password succeeds")
	}
}
