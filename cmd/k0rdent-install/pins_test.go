package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
)

const theChart = "charts/k0rdent-enterprise"

// TestMovedTags refuses a chart, an image or an artifact whose tag has moved since
// the push.
func TestMovedTags(t *testing.T) {
	for _, name := range []string{theChart + ":1.2.3", "charts/kcm-templates:1.2.3", "kcm-controller:1.2.3"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			h := testHost(t)
			records := s.Pushed(t, name)
			was, is := s.Move(t, name)
			r := try(t, h, records, s.args("--plan")...)
			problem := r.Step("preflight").Error
			for _, want := range []string{was, is, name, "the tag has moved"} {
				if !strings.Contains(problem, want) || !strings.Contains(r.Stderr, want) {
					t.Errorf("preflight %q, stderr\n%s\nwant %q in both", problem, r.Stderr, want)
				}
			}
			if !strings.Contains(r.Stderr, "hint: push the verified bundle again") {
				t.Errorf("no hint in\n%s", r.Stderr)
			}
			// The records of a new push replace the digests.
			if r := try(t, h, s.Pushed(t, name), s.args("--plan")...); strings.Contains(r.Stderr, "has moved") {
				t.Errorf("with new records:\n%s", r.Stderr)
			}
		})
	}
}

// TestMovedChartIsNotLoaded: an upgrade fetches another chart.
func TestMovedChartIsNotLoaded(t *testing.T) {
	s := newSite(t)
	i := testInstaller(t, testHost(t), &settings{chart: defaultChart, Registry: cli.Registry{At: s.At, CA: s.CA}})
	var err error
	if i.site, err = i.openSite(); err != nil {
		t.Fatal(err)
	}
	if err := i.site.reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	was, is := s.Move(t, theChart+":1.2.3")
	i.site.pins = client.Pins{theChart + ":1.2.3": was}
	c, err := i.fetchChart(t.Context(), theChart, "1.2.3")
	if _, moved := errors.AsType[*client.MovedError](err); !moved || c != nil {
		t.Errorf("fetchChart = %v, %v, want it refused", c, err)
	}
	i.site.pins[theChart+":1.2.3"] = is
	if _, err := i.fetchChart(t.Context(), theChart, "1.2.3"); err != nil {
		t.Errorf("the digest that it has: %v", err)
	}
}

// TestTagMovesBetweenRequests has a registry whose tag moves after its digest was
// requested.
func TestTagMovesBetweenRequests(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" && !strings.HasPrefix(r.URL.Path, "/v2/a/") {
			http.NotFound(w, r)
			return
		}
		good := []byte(`{"schemaVersion":2}`)
		w.Header().Set("Docker-Content-Digest", digestOf(good))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			w.Write([]byte(`{"schemaVersion":2,"evil":true}`))
		}
	}))
	defer h.Close()
	at := strings.TrimPrefix(h.URL, "http://")
	reg, err := client.New(client.Options{At: at, Names: client.SiteNames, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &site{reg: reg, pins: client.Pins{"a:1": digestOf([]byte(`{"schemaVersion":2}`))}}
	if raw, _, err := s.Manifest(t.Context(), "a", "1"); err == nil {
		t.Errorf("Manifest = %s, want it refused", raw)
	}
}

// TestFailedImagesPinNothing ignores the digests of images that were not pushed.
func TestFailedImagesPinNothing(t *testing.T) {
	s, h := aSite(t), testHost(t)
	line := fmt.Sprintf(`{"kind":"image","registry":%q,"repository":%q,"tag":"1.2.3","digest":%q,"status":"failed"}`+"\n", s.At, theChart, digestOf(nil))
	if r := try(t, h, line, s.args("--plan")...); strings.Contains(r.Stderr, "has moved") {
		t.Error(r.Stderr)
	}
}

// digestOf returns a digest in the form of records.
func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
