package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

const (
	testUser   = "pusher"
	testSecret = "s3cret-and-more"
)

// passwordFile writes a password as an editor saves it.
func passwordFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// grant is what a token allows.
type grant struct {
	scopes []string // "repository:NAME:ACTION"
	used   int
	over   bool
}

// tokens is a proxy in front of a registry that requires a bearer token, as the token
// specification of distribution defines it: 401 names the service and the scope, and
// GET /token returns a token for a user and a password.
type tokens struct {
	// expire ends a token just as the first request of each kind with a body arrives
	// with it.
	expire bool
	// allow returns which of the requested actions the user may perform in a
	// repository; nil allows all.
	allow func(actions []string) []string
	// busy reports whether the token server is busy; nil means never.
	busy func() bool

	open atomic.Bool // require no token any more

	mu     sync.Mutex
	all    map[string]*grant
	mounts int             // links from another repository that were allowed
	ended  map[string]bool // kinds of requests whose token had just expired
}

func (s *tokens) before(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.open.Load():
		return false
	case r.URL.Path == "/token":
		s.issue(w, r)
		return true
	case s.good(r):
		return false
	}
	challenge := fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host)
	if want := needed(r); len(want) > 0 {
		challenge += fmt.Sprintf(`,scope="%s"`, strings.Join(joined(want), " "))
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
	return true
}

// good reports whether a request has a token for all its actions.
func (s *tokens) good(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.all[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if g == nil || slices.ContainsFunc(needed(r), func(scope string) bool { return !slices.Contains(g.scopes, scope) }) {
		return false
	}
	if kind := bodyKind(r); s.expire && kind != "" && !s.ended[kind] && g.used > 1 {
		s.ended[kind], g.over = true, true
	}
	if g.over {
		return false
	}
	g.used++
	if r.URL.Query().Has("mount") {
		s.mounts++
	}
	return true
}

// bodyKind distinguishes requests with a body; others have none.
func bodyKind(r *http.Request) string {
	switch {
	case r.ContentLength <= 0:
		return ""
	case strings.Contains(r.URL.Path, "/manifests/"):
		return "manifest"
	case r.Method == http.MethodPatch:
		return "part"
	}
	return "blob"
}

// needed lists the scopes of a request, one action each.
func needed(r *http.Request) (scopes []string) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if path == "" {
		return nil
	}
	repository := path
	for _, kind := range []string{"/blobs/", "/manifests/", "/tags/"} {
		if at := strings.Index(path, kind); at >= 0 {
			repository = path[:at]
		}
	}
	scopes = []string{"repository:" + repository + ":pull"}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		scopes = append(scopes, "repository:"+repository+":push")
	}
	if from := r.URL.Query().Get("from"); from != "" {
		scopes = append(scopes, "repository:"+from+":pull")
	}
	return scopes
}

// joined combines the actions of one repository, as registries do.
func joined(scopes []string) (out []string) {
	for _, s := range scopes {
		at := strings.LastIndex(s, ":")
		if i := slices.IndexFunc(out, func(o string) bool { return strings.HasPrefix(o, s[:at+1]) }); i >= 0 {
			out[i] += "," + s[at+1:]
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (s *tokens) issue(w http.ResponseWriter, r *http.Request) {
	if s.busy != nil && s.busy() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	user, password, known := r.BasicAuth()
	if known && (user != testUser || password != testSecret) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong user or password"}]}`)
		return
	}
	var scopes []string
	for _, param := range r.URL.Query()["scope"] {
		for _, scope := range strings.Fields(param) {
			at := strings.LastIndex(scope, ":")
			actions := strings.Split(scope[at+1:], ",")
			if s.allow != nil {
				actions = s.allow(actions)
			}
			for _, action := range actions {
				if known {
					scopes = append(scopes, scope[:at+1]+action)
				}
			}
		}
	}
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]*grant)
	}
	s.all[token] = &grant{scopes: scopes}
	json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 60})
}

// pushAs runs the tool with a user and a password.
func pushAs(t *testing.T, host, secret string, args ...string) result {
	t.Helper()
	return invoke(t, "", append([]string{"--to", host, "--username", testUser, "--password-file", passwordFile(t, secret)}, args...)...)
}

// A token that expires in the middle of a run is renewed, and the interrupted request,
// with a held blob, a streaming one or a manifest, is sent again from its first byte.
func TestTokenIsRenewedHalfWay(t *testing.T) {
	t.Parallel()
	small, ms := write(t, samplebundle.Options{Archives: 12})
	large, ml := big(t, samplebundle.TarGz)
	for _, tt := range []struct {
		name, path string
		m          samplebundle.Manifest
		kinds      []string
	}{
		{"small blobs", small, ms, []string{"blob", "manifest"}},
		{"large blobs", large, ml, []string{"blob", "manifest", "part"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &tokens{expire: true, ended: make(map[string]bool)}
			host := serve(t, s.before)
			r := pushAs(t, host, testSecret, "--memory", "32MiB", tt.path)
			if r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			if got := slices.Sorted(maps.Keys(s.ended)); !slices.Equal(got, tt.kinds) {
				t.Errorf("tokens were over for requests with %v, want %v", got, tt.kinds)
			}
			s.open.Store(true)
			checkAll(t, host, "", tt.m)
		})
	}
}

// A blob is linked from a repository that the user may read, with a token for both, and
// sent if the user may not read it.
func TestTokenForALink(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	for _, tt := range []struct {
		name  string
		allow func([]string) []string
		links bool
	}{
		{"granted", nil, true},
		{"denied", func(actions []string) []string {
			if slices.Contains(actions, "push") {
				return actions
			}
			return nil
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &tokens{allow: tt.allow}
			host := serve(t, s.before)
			if r := pushAs(t, host, testSecret, path); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			if (s.mounts > 0) != tt.links {
				t.Errorf("%d blobs were linked, want any: %v", s.mounts, tt.links)
			}
			s.open.Store(true)
			checkAll(t, host, "", m)
		})
	}
}

func TestBusyTokenServerIsRetried(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 6})
	var n atomic.Int64
	s := &tokens{busy: func() bool { return n.Add(1)%4 == 1 }}
	host := serve(t, s.before)
	if r := pushAs(t, host, testSecret, path); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	s.open.Store(true)
	checkAll(t, host, "", m)
}

func TestRefusedCredentials(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 3})
	reader := &tokens{allow: func(actions []string) []string {
		return slices.DeleteFunc(actions, func(a string) bool { return a != "pull" })
	}}
	for _, tt := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		secret string // "" for no user
		failed int    // images with a record; -1 if the run ends before the last one
		want   string // the run's error
	}{
		{"basic, wrong", wantBasic, "wrong-secret", 0, `login of "pusher" refused: registry answered 401 Unauthorized` + "\nhint: check the user name and the password from /"},
		{"basic, none", wantBasic, "", 0, "login required: registry answered 401 Unauthorized\nhint: give --username and --password-file, or log in"},
		{"bearer, wrong", new(tokens).before, "wrong-secret", 0, `login of "pusher" refused: registry answered 401 Unauthorized: UNAUTHORIZED wrong user or password`},
		{"bearer, none", new(tokens).before, "", -1, ""},
		{"bearer, may only read", reader.before, testSecret, 3, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := serve(t, tt.before)
			var r result
			if tt.secret == "" {
				r = invoke(t, "", "--verbose", "--to", host, path)
			} else {
				r = pushAs(t, host, tt.secret, "--verbose", path)
			}
			var report bytes.Buffer
			cli.Report(&report, "oci-push", r.err)
			if tt.failed < 0 && (r.err == nil || !strings.Contains(r.err.Error(), "401 Unauthorized")) {
				t.Errorf("%v, want the refusal to end the run", r.err)
			}
			if tt.failed >= 0 && (cli.Code(r.err) != cli.CodeFailed || r.statuses()["failed"] != tt.failed || len(r.images) != tt.failed) {
				t.Errorf("%v (code %d), %v, want %d images failed", r.err, cli.Code(r.err), r.statuses(), tt.failed)
			}
			if want := fmt.Sprintf("oci-push: registry %s: %s", host, tt.want); tt.want != "" && !strings.HasPrefix(report.String(), want) {
				t.Errorf("report = %q, want %q", report.String(), want)
			}
			for _, i := range r.images {
				if i.Status != record.StatusFailed || tt.failed >= 0 && !strings.Contains(i.Error, "401 Unauthorized") {
					t.Errorf("%s: error = %q, want a refusal", i.Entry, i.Error)
				}
			}
			if all := r.stderr + report.String() + fmt.Sprint(r.images); tt.secret != "" && strings.Contains(all, tt.secret) {
				t.Errorf("the password stands in the output:\n%s", all)
			}
		})
	}
}

// A registry that anyone may read and only some may write requires a login at /v2/,
// since some clients otherwise send no credentials.
func TestOptionalLogin(t *testing.T) {
	atRoot := func(w http.ResponseWriter, r *http.Request) bool {
		_, _, known := r.BasicAuth()
		return (known || r.URL.Path == "/v2/") && wantBasic(w, r)
	}
	var asks atomic.Bool
	from, m := filled(t, "", samplebundle.Options{Archives: 4}, func(w http.ResponseWriter, r *http.Request) bool {
		return asks.Load() && atRoot(w, r)
	})
	asks.Store(true)
	to := serve(t, nil)
	if r := invoke(t, "", "--from", from, "--to", to); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	checkAll(t, to, "", m)
	r := invoke(t, "", "--from", from, "--from-username", testUser, "--from-password-file", passwordFile(t, "wrong"), "--to", to)
	if want := "registry " + from + `: login of "pusher" refused: registry answered 401`; r.err == nil || !strings.HasPrefix(r.err.Error(), want) {
		t.Errorf("with a wrong password: %v, want %s", r.err, want)
	}
}
