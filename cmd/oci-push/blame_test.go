package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/samplebundle"
)

// process runs the tool in a process with an environment of its own: net/http reads the
// proxy variables only once per process.
func process(t *testing.T, env []string, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), append(env, asTool+"=1")...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String()
}

// denying is a real registry that refuses all writes, or only those that match.
func denying(t *testing.T, code int, body string, match func(*http.Request) bool) (host string, refused *atomic.Int64) {
	refused = new(atomic.Int64)
	return serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || !match(r) {
			return false
		}
		refused.Add(1)
		io.CopyN(io.Discard, r.Body, 1<<20)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
		return true
	}), refused
}

// A refusal that concerns every image ends the run before the bundle has been read, with
// one line for the reason and one hint.
func TestRefusalOfEverythingEndsTheRun(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 40})
	images, _ := count(m)
	for _, tt := range []struct {
		name string
		code int
		body string
		hint string
	}{
		{"denied", 403, `{"errors":[{"code":"DENIED","message":"access denied"}]}`, "oci-serve --write auth"},
		{"read-only", 405, `{"errors":[{"code":"UNSUPPORTED","message":"read-only"}]}`, "read-only"},
		{"no repositories", 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}`, "create the repository"},
		{"a proxy's limit", 413, ``, "size limit"},
		{"disk full", 507, ``, "make room"},
		{"disk of distribution full", 500, `{"errors":[{"code":"UNKNOWN","detail":"write /x: no space left on device"}]}`, "make room"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, refused := denying(t, tt.code, tt.body, func(*http.Request) bool { return true })
			r := invoke(t, "", "--to", host, path)
			want := fmt.Sprintf("registry %s: registry answered %d", host, tt.code)
			if cli.Code(r.err) != cli.CodeFailed || !strings.HasPrefix(r.err.Error(), want) || !strings.Contains(cli.HintOf(r.err), tt.hint) {
				t.Errorf("%v (code %d, hint %q), want %s and the hint %s", r.err, cli.Code(r.err), cli.HintOf(r.err), want, tt.hint)
			}
			if n := refused.Load(); n > 20 || int(n) >= images {
				t.Errorf("%d requests were refused of %d images", n, images)
			}
			if lines := strings.Count(r.stderr, "oci-push: "); lines > refusals {
				t.Errorf("%d lines:\n%s", lines, r.stderr)
			}
		})
	}
}

// A registry that accepts blobs but not a method for manifests ends the run as well: at
// its first manifest or, if its reason may apply to that image alone, at the third
// repository.
func TestManifestsThatAreNotAllowed(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 40})
	images, _ := count(m)
	for _, tt := range []struct {
		method, body string
		lines        int
	}{
		{http.MethodHead, "", 1},
		{http.MethodPut, "", 1},
		{http.MethodPut, `{"errors":[{"code":"UNSUPPORTED","message":"not here"}]}`, refusals},
	} {
		var refused atomic.Int64
		host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != tt.method || !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			refused.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprint(w, tt.body)
			return true
		})
		r := invoke(t, "", "--to", host, path)
		want := fmt.Sprintf("registry %s: ", host)
		hint := tt.method + " requests for manifests"
		if cli.Code(r.err) != cli.CodeFailed || !strings.HasPrefix(r.err.Error(), want) || !strings.Contains(r.err.Error(), "405 Method Not Allowed") || !strings.Contains(cli.HintOf(r.err), hint) {
			t.Errorf("%s: %v (code %d, hint %q), want %s and the hint %s", tt.method, r.err, cli.Code(r.err), cli.HintOf(r.err), want, hint)
		}
		if n := refused.Load(); n > 12 || int(n) >= images {
			t.Errorf("%s: %d requests were refused of %d images", tt.method, n, images)
		}
		if lines := strings.Count(r.stderr, "oci-push: "); lines > tt.lines {
			t.Errorf("%s: %d lines:\n%s", tt.method, lines, r.stderr)
		}
	}
}

// A refusal that concerns a few repositories fails those at once, and no other run is
// suggested.
func TestRefusalOfSomeImages(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	var victim samplebundle.Entry
	for _, victim = range m.Entries {
		if victim.Kind == samplebundle.KindOCI {
			break
		}
	}
	for code, body := range map[int]string{
		404: `{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}`,
		403: `{"errors":[{"code":"DENIED","message":"no"}]}`,
		413: ``,
		415: ``,
	} {
		host, refused := denying(t, code, body, func(r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, "/v2/"+victim.Repository+"/")
		})
		r := invoke(t, "", "--to", host, path)
		failed := r.statuses()["failed"]
		if cli.Code(r.err) != cli.CodeFailed || failed == 0 || failed == len(r.images) || strings.Contains(cli.HintOf(r.err), "run") {
			t.Errorf("%d: %v, %v, hint %q; want some failed and no other run advised", code, r.err, r.statuses(), cli.HintOf(r.err))
		}
		if n := refused.Load(); int(n) > 2*len(victim.Blobs) {
			t.Errorf("%d: %d requests for %d images", code, n, failed)
		}
		if code != 415 && !strings.Contains(r.stderr, "\nhint: ") {
			t.Errorf("%d: no hint:\n%s", code, r.stderr)
		}
	}
}

// A registry that is busy for every request ends the run with "try again".
func TestBusyRegistryEndsTheRun(t *testing.T) {
	t.Parallel()
	path, _ := write(t, samplebundle.Options{Archives: 40})
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	r := invoke(t, "", "--to", host, path)
	if cli.Code(r.err) != cli.CodeTryAgain || !strings.Contains(r.err.Error(), "registry answered 503") {
		t.Errorf("%v (code %d), want 503 and 75", r.err, cli.Code(r.err))
	}
	if n := strings.Count(r.stderr, "; trying again"); n != 1 {
		t.Errorf("reported %d times that it is tried again:\n%s", n, r.stderr)
	}
}

// Nothing is pushed to a server that is not a registry.
func TestPageInTheRegistrysPlace(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 3})
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>Access blocked</title>")
	}))
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "http://")
	r := invoke(t, "", "--to", at, path)
	if want := "registry " + at + ": not a registry: it answers with text/html (a proxy's page?)"; r.err == nil || r.err.Error() != want || cli.Code(r.err) != cli.CodeFailed {
		t.Errorf("%v, want %s", r.err, want)
	}
	if asked.Load() != 1 || len(r.images) != 0 {
		t.Errorf("%d requests, %d images", asked.Load(), len(r.images))
	}
	code, stderr := process(t, []string{"HTTP_PROXY=" + s.URL, "NO_PROXY="}, "--plain-http", "--to", "192.0.2.2:5999", path)
	if code != cli.CodeFailed || !strings.Contains(stderr, "not a registry: it answers with text/html (a page of the proxy "+at+"?)\nhint: ") {
		t.Errorf("through a proxy: code %d:\n%s", code, stderr)
	}
}

// The error names the proxy, not the registry behind it.
func TestProxiesAreNamed(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 1})
	proxy := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			fmt.Fprint(w, "<h1>No</h1>")
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	closed := "http://user:s3cret@" + nobody
	refusing, asking := proxy(http.StatusForbidden), proxy(http.StatusProxyAuthRequired)
	for _, tt := range []struct {
		name, env string
		plain     bool
		code      int
		want      string
	}{
		{"refused", "HTTP_PROXY=" + closed, true, cli.CodeTryAgain, "proxy " + nobody + ": connect: connection refused"},
		{"refused, TLS", "HTTPS_PROXY=" + closed, false, cli.CodeTryAgain, "proxy " + nobody + ": connect: connection refused"},
		{"unknown", "HTTPS_PROXY=http://proxy.invalid:3128", false, cli.CodeTryAgain, "proxy proxy.invalid:3128: "},
		{"says no", "HTTP_PROXY=" + refusing, true, cli.CodeFailed, "proxy " + strings.TrimPrefix(refusing, "http://") + " answered 403 Forbidden"},
		{"says no to a tunnel", "HTTPS_PROXY=" + refusing, false, cli.CodeFailed, "proxy " + strings.TrimPrefix(refusing, "http://") + " answered 403 Forbidden"},
		{"asks for a login", "HTTP_PROXY=" + asking, true, cli.CodeFailed, "answered 407 Proxy Authentication Required"},
		{"asks for a login before a tunnel", "HTTPS_PROXY=" + asking, false, cli.CodeFailed, "answered 407 Proxy Authentication Required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--to", "registry.invalid:5999", "--answer-timeout", "8s", path}
			if tt.plain {
				args = append([]string{"--plain-http"}, args...)
			}
			env := []string{"HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy=", "NO_PROXY=", "no_proxy=", tt.env}
			code, stderr := process(t, env, args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "\nhint: ") || !strings.Contains(stderr, "NO_PROXY=registry.invalid") {
				t.Errorf("code %d, want %d and %q:\n%s", code, tt.code, tt.want, stderr)
			}
			if strings.Contains(stderr, "s3cret") {
				t.Errorf("the proxy's password is shown:\n%s", stderr)
			}
		})
	}
}

// A listener that accepts connections and never answers times out, and the user sees what
// the tool waits for.
func TestSilentRegistry(t *testing.T) {
	t.Parallel()
	path, _ := write(t, samplebundle.Options{Archives: 1})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	for _, args := range [][]string{{"--to", at, path}, {"--from", at, "--to", serve(t, nil)}} {
		r := invoke(t, "", append([]string{"--answer-timeout", "4s"}, args...)...)
		if want := "registry " + at + ": no answer within 4s"; cli.Code(r.err) != cli.CodeTryAgain || r.err.Error() != want || cli.HintOf(r.err) == "" {
			t.Errorf("%v (code %d), want %s", r.err, cli.Code(r.err), want)
		}
		if want := "oci-push: waiting for the first answer of " + at + "\n"; !strings.Contains(r.stderr, want) {
			t.Errorf("stderr = %q, want %q", r.stderr, want)
		}
	}
}

// Variables that net/http would ignore, and one that names a missing login file, end the
// run with a hint before anything is sent.
func TestUnreadableVariables(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 1})
	host := serve(t, func(http.ResponseWriter, *http.Request) bool {
		t.Error("something was sent")
		return false
	})
	clean := []string{"HTTP_PROXY=", "HTTPS_PROXY=", "http_proxy=", "https_proxy=", "NO_PROXY=", "no_proxy="}
	for _, tt := range []struct {
		env  string
		code int
		want string
	}{
		{"HTTP_PROXY=http://proxy:port", cli.CodeMisuse, "oci-push: HTTP_PROXY: not the address of a proxy: "},
		{"https_proxy=ftp://proxy", cli.CodeMisuse, "oci-push: https_proxy: not the address of a proxy: the scheme must be "},
		{"HTTPS_PROXY=http://proxy:3128 NO_PROXY=10.0.0.0/99", cli.CodeMisuse, `oci-push: NO_PROXY: "10.0.0.0/99": not a network`},
		{"REGISTRY_AUTH_FILE=/nonexistent/auth.json", cli.CodeFailed, "oci-push: REGISTRY_AUTH_FILE: open /nonexistent/auth.json: no such file"},
	} {
		code, stderr := process(t, append(clean, strings.Fields(tt.env)...), "--to", host, path)
		if code != tt.code || !strings.HasPrefix(stderr, tt.want) || strings.Count(stderr, "\nhint: ") != 1 || strings.Count(stderr, "\n") != 2 {
			t.Errorf("%s: code %d, want %d and %q:\n%s", tt.env, code, tt.code, tt.want, stderr)
		}
	}
}
