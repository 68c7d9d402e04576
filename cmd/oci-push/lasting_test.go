package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/samplebundle"
)

// trouble is a real registry that, once armed, answers requests of one kind differently.
func trouble(t *testing.T, method, part string, answer http.HandlerFunc) (host string, armed *atomic.Bool) {
	armed = new(atomic.Bool)
	return serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		root := part == "/v2/"
		if !armed.Load() || r.Method != method || root != (r.URL.Path == "/v2/") || !strings.Contains(r.URL.Path, part) {
			return false
		}
		io.Copy(io.Discard, r.Body)
		answer(w, r)
		return true
	}), armed
}

// kinds are the requests of each way to push; for those with from, the failing request is
// at the registry of --from.
var kinds = []struct {
	way, method, part string
}{
	{"bundle", "GET", "/v2/"},
	{"bundle", "HEAD", "/blobs/sha256"},
	{"bundle", "POST", "/blobs/uploads/"},
	{"bundle", "PATCH", "/blobs/uploads/"},
	{"bundle", "PUT", "/blobs/uploads/"},
	{"bundle", "HEAD", "/manifests/"},
	{"bundle", "PUT", "/manifests/"},
	{"from", "GET", "/v2/"},
	{"from", "GET", "/_catalog"},
	{"from", "GET", "/tags/list"},
	{"from", "GET", "/manifests/"},
	{"from", "GET", "/referrers/"},
	{"from", "GET", "/blobs/sha256"},
	{"alias", "GET", "/tags/list"},
	{"alias", "GET", "/manifests/"},
	{"alias", "POST", "/blobs/uploads/"},
	{"alias", "PUT", "/manifests/"},
}

// pushInto runs the tool in one of the ways of kinds against a registry in trouble.
func pushInto(t *testing.T, way, host string, armed *atomic.Bool, path string, repository string) result {
	t.Helper()
	if way != "bundle" {
		if r := invoke(t, "", "--to", host, path); r.err != nil {
			t.Fatal(r.err)
		}
	}
	armed.Store(true)
	switch way {
	case "from":
		return invoke(t, "", "--from", host, "--to", serve(t, nil))
	case "alias":
		return invoke(t, "", "--to", host, "--alias", repository+"=other/name")
	}
	return invoke(t, "", "--to", host, path)
}

// largeBundle is a bundle with a layer that is sent in a request of its own.
func largeBundle(t *testing.T) (path, repository string) {
	t.Helper()
	path, m := write(t, samplebundle.Options{Format: samplebundle.Tar, Size: 20 << 20, Archives: 6})
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI {
			return path, e.Repository
		}
	}
	t.Fatal("no image")
	return "", ""
}

// A registry that asks clients to wait ends the run at once, with exit code 75 and the
// time of the next try, whatever the request.
func TestRetryAfterOfEveryRequest(t *testing.T) {
	path, repository := largeBundle(t)
	for i, k := range kinds {
		code := []int{429, 500, 502, 503, 504}[i%5]
		t.Run(fmt.Sprintf("%s, %s %s, %d", k.way, k.method, k.part, code), func(t *testing.T) {
			then := time.Now().Add(time.Hour)
			host, armed := trouble(t, k.method, k.part, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", []string{"3600", then.UTC().Format(http.TimeFormat)}[i%2])
				w.WriteHeader(code)
			})
			began := time.Now()
			r := pushInto(t, k.way, host, armed, path, repository)
			want := fmt.Sprintf("registry answered %d %s, and asks clients to wait until ", code, http.StatusText(code))
			if cli.Code(r.err) != cli.CodeTryAgain || !strings.Contains(r.err.Error(), want) || !strings.Contains(cli.HintOf(r.err), "run the same command again after "+then.UTC().Format("2006-01-02T")) {
				t.Errorf("%v (code %d, hint %q), want %s", r.err, cli.Code(r.err), cli.HintOf(r.err), want)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A page in place of an answer ends the run with one hint, at its start and in the middle.
func TestPageInTheMiddle(t *testing.T) {
	path, repository := largeBundle(t)
	for _, k := range kinds {
		t.Run(fmt.Sprintf("%s, %s %s", k.way, k.method, k.part), func(t *testing.T) {
			host, armed := trouble(t, k.method, k.part, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, "<!doctype html><title>Please log in</title>")
			})
			r := pushInto(t, k.way, host, armed, path, repository)
			if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), "not a registry: it answers with text/html") || cli.HintOf(r.err) == "" {
				t.Errorf("%v (code %d, hint %q)", r.err, cli.Code(r.err), cli.HintOf(r.err))
			}
			var report strings.Builder
			report.WriteString(r.stderr)
			cli.Report(&report, "oci-push", r.err)
			if n := strings.Count(report.String(), "hint: "); n != 1 {
				t.Errorf("%d hints:\n%s", n, report.String())
			}
		})
	}
}

// A busy source ends the run, as a busy destination does.
func TestBusySourceEndsTheRun(t *testing.T) {
	t.Parallel()
	path, repository := largeBundle(t)
	host, armed := trouble(t, "GET", "/manifests/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	})
	began := time.Now()
	r := pushInto(t, "from", host, armed, path, repository)
	if cli.Code(r.err) != cli.CodeTryAgain || !strings.Contains(r.err.Error(), "registry "+host+": registry answered 500") || len(r.images) >= refusals+1 {
		t.Errorf("%v (code %d) after %v and %d images\n%s", r.err, cli.Code(r.err), time.Since(began), len(r.images), r.stderr)
	}
	if n := strings.Count(r.stderr, "; trying again"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, r.stderr)
	}
}
