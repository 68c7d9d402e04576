package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// call is a kind of request and the function that sends it.
type call struct {
	name, method, path string
	send               func(*testing.T, *Registry) error
}

func calls() []call {
	small := []byte("content")
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)
	sendLarge := func(t *testing.T, r *Registry) error {
		return r.Upload("a", hashOf(t, large()), int64(len(large()))).Send(t.Context(), bytes.NewReader(large()))
	}
	sendSmall := func(t *testing.T, r *Registry) error {
		return r.Upload("a", hashOf(t, small), int64(len(small))).Send(t.Context(), bytes.NewReader(small))
	}
	return []call{
		{"ping", "GET", "/v2/", func(t *testing.T, r *Registry) error { return r.Connect(t.Context()) }},
		{"catalog", "GET", "/v2/_catalog", func(t *testing.T, r *Registry) (err error) {
			for _, err = range r.Repositories(t.Context()) {
			}
			return err
		}},
		{"tags", "GET", "/v2/a/tags/list", func(t *testing.T, r *Registry) (err error) {
			for _, err = range r.Tags(t.Context(), "a") {
			}
			return err
		}},
		{"HEAD of a manifest", "HEAD", "/v2/a/manifests/", func(t *testing.T, r *Registry) error {
			_, err := r.Digest(t.Context(), "a", "v1")
			return err
		}},
		{"GET of a manifest", "GET", "/v2/a/manifests/", func(t *testing.T, r *Registry) error {
			_, err := r.Image(t.Context(), "a", "v1")
			return err
		}},
		{"PUT of a manifest", "PUT", "/v2/a/manifests/", func(t *testing.T, r *Registry) error {
			return r.PutManifest(t.Context(), "a", "v1", "application/vnd.oci.image.manifest.v1+json", manifest)
		}},
		{"referrers", "GET", "/v2/a/referrers/", func(t *testing.T, r *Registry) error {
			_, err := r.Referrers(t.Context(), "a", hashOf(t, small))
			return err
		}},
		{"HEAD of a blob", "HEAD", "/v2/a/blobs/", func(t *testing.T, r *Registry) error {
			_, err := r.HasBlob(t.Context(), "a", hashOf(t, small), int64(len(small)))
			return err
		}},
		{"GET of a blob", "GET", "/v2/a/blobs/", func(t *testing.T, r *Registry) error {
			_, err := io.Copy(io.Discard, r.Blob(t.Context(), "a", hashOf(t, small)))
			return err
		}},
		{"POST", "POST", "/v2/a/blobs/uploads/", sendSmall},
		{"POST for a large blob", "POST", "/v2/a/blobs/uploads/", sendLarge},
		{"PUT of a blob", "PUT", "/v2/a/blobs/uploads/", sendSmall},
		{"PATCH", "PATCH", "/v2/a/blobs/uploads/", sendLarge},
		{"PUT that ends a large upload", "PUT", "/v2/a/blobs/uploads/", sendLarge},
	}
}

// failing is a real registry that answers the requests of one kind with a status.
func failing(t *testing.T, c call, answer http.HandlerFunc) (host string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	return serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != c.method || !strings.HasPrefix(r.URL.Path, c.path) || c.name == "ping" && r.URL.Path != "/v2/" {
			return false
		}
		asked.Add(1)
		io.Copy(io.Discard, r.Body)
		answer(w, r)
		return true
	}), asked
}

// Requests to a busy or failing registry are retried within a bound, whatever
// the request; this is reported once, and another run may succeed.
func TestFaultsOfEveryRequest(t *testing.T) {
	for _, c := range calls() {
		for _, code := range []int{429, 500, 502, 503, 504} {
			t.Run(fmt.Sprintf("%s, %d", c.name, code), func(t *testing.T) {
				t.Parallel()
				var notified notices
				host, asked := failing(t, c, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
				r := prepare(t, Options{At: host, Push: true, Notice: notified.add})
				if err := r.Connect(t.Context()); err != nil && c.name != "ping" {
					t.Fatal(err)
				}
				asked.Store(0)
				want := fmt.Sprintf("registry answered %d %s", code, http.StatusText(code))
				err := c.send(t, r)
				if err == nil || err.Error() != want || cli.Code(err) != cli.CodeTryAgain || cli.HintOf(err) == "" {
					t.Errorf("%v (code %d, hint %q), want %s and 75", err, cli.Code(err), cli.HintOf(err), want)
				}
				if asked.Load() != attempts {
					t.Errorf("asked %d times, want %d", asked.Load(), attempts)
				}
				if texts := notified.faults(); len(texts) != 1 || texts[0] != host+": "+want+"; trying again" {
					t.Errorf("notices %q", texts)
				}
			})
		}
	}
}

// A server that answers 200 with a page is recognised by any request, and so is
// any other success that no registry answers with.
func TestPageInTheAnswerToEveryRequest(t *testing.T) {
	for _, c := range calls() {
		t.Run(c.name, func(t *testing.T) {
			host, asked := failing(t, c, page(http.StatusOK))
			r := prepare(t, Options{At: host, Push: true})
			if err := r.Connect(t.Context()); err != nil && c.name != "ping" {
				t.Fatal(err)
			}
			asked.Store(0)
			err := c.send(t, r)
			if err == nil || !strings.HasPrefix(err.Error(), "not a registry: it answers with text/html") || !r.Fatal(err) || !strings.Contains(cli.HintOf(err), "in --to") || asked.Load() != 1 {
				t.Errorf("%v (hint %q), hopeless %v, asked %d times", err, cli.HintOf(err), r.Fatal(err), asked.Load())
			}
		})
	}
}
