package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
)

const theChart = "charts/k0rdent-enterprise"

// pushed returns the records of an oci-push that has sent what a site has.
func pushed(t *testing.T, s testSite, names ...string) string {
	t.Helper()
	reg, err := client.New(client.Options{At: s.at, Names: registryNames, CAFile: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := record.NewWriter(&b, nil)
	for _, name := range names {
		repository, tag, _ := strings.Cut(name, ":")
		digest, err := reg.Digest(t.Context(), repository, tag)
		if err != nil || digest == "" {
			t.Fatalf("%s: digest %q, %v", name, digest, err)
		}
		r := record.Image{Repository: repository, Tag: tag, Digest: digest, Status: record.StatusPushed, Registry: s.at, Reference: s.at + "/" + name}
		if err := out.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// move makes a tag stand for other content of the same repository, as anyone
// can who may write to the registry. It returns both digests.
func move(t *testing.T, s testSite, name string) (was, is string) {
	t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	reg, err := client.New(client.Options{At: s.at, Names: registryNames, CAFile: s.ca})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, raw, err := reg.Manifest(t.Context(), repository, tag)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte("{"), []byte("{\n"), 1)
	if err := reg.PutManifest(t.Context(), repository, tag, string(d.MediaType), raw); err != nil {
		t.Fatal(err)
	}
	return d.Digest.String(), digestOf(raw)
}

// Whatever the platform is made of may not have changed since it was pushed:
// the chart, what its templates name, an artifact, an image of k0s.
func TestMovedTags(t *testing.T) {
	for _, name := range []string{
		theChart + ":1.2.3", "charts/kcm-templates:1.2.3", "kcm-controller:1.2.3", "k0sproject/coredns:1.12.2",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			h := testHost(t)
			mirrored(t, h, s)
			records := pushed(t, s, name)
			// The first run takes note of it before anything has moved.
			if r := try(t, h, records, untilReady(s)...); r.step("notes").Status != record.StatusUnchanged && r.step("notes").Status != record.StatusDone {
				t.Fatalf("steps %s; %v\n%s", r.steps(), r.err, r.stderr)
			}
			was, is := move(t, s, name)
			for _, run := range []struct {
				stdin string
				args  []string
			}{{records, untilReady(s)}, {"", s.args("--plan", "--ignore", "images")}} {
				before := tree(t, h.root)
				r := try(t, h, run.stdin, run.args...)
				problem := r.step("preflight").Error
				for _, want := range []string{was, is, name, "the tag has moved"} {
					if !strings.Contains(problem, want) || !strings.Contains(r.stderr, want) {
						t.Errorf("%v: preflight %q, stderr\n%s\nwant %q in both", run.args, problem, r.stderr, want)
					}
				}
				if !strings.Contains(r.stderr, "hint: push the verified bundle again") {
					t.Errorf("%v: no hint in\n%s", run.args, r.stderr)
				}
				if after := tree(t, h.root); after != before {
					t.Errorf("%v: the host was changed:\n%s\nwas\n%s", run.args, after, before)
				}
			}
			// What was sent on purpose is accepted with its records.
			if r := try(t, h, pushed(t, s, name), s.args("--plan")...); strings.Contains(r.stderr, "has moved") {
				t.Errorf("with new records:\n%s", r.stderr)
			}
		})
	}
}

// An upgrade reads a chart of its own.
func TestMovedChartIsNotLoaded(t *testing.T) {
	s := newSite(t)
	h := testHost(t)
	i := testInstaller(t, h, &config{chart: defaultChart, registry: s.at, ca: s.ca})
	var err error
	if i.site, err = i.openSite(); err != nil {
		t.Fatal(err)
	}
	if err := i.site.reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	was, is := move(t, s, theChart+":1.2.3")
	i.state.Pins = pins{theChart + ":1.2.3": was}
	i.pin()
	if c, err := i.fetchChart(t.Context(), theChart, "1.2.3"); isMoved(err) == nil || c != nil {
		t.Errorf("fetchChart = %v, %v, want it refused", c, err)
	}
	i.state.Pins[theChart+":1.2.3"] = is
	i.pin()
	if _, err := i.fetchChart(t.Context(), theChart, "1.2.3"); err != nil {
		t.Errorf("the digest that it has: %v", err)
	}
	i.cfg.online, i.site.pins = true, nil
	if i.pin(); len(i.site.pins) > 0 {
		t.Error("public registries are held to what was pushed to the site's")
	}
}

// A registry that shows one thing when asked for a digest and another when
// asked for content.
func TestTagMovesBetweenQuestions(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		good := []byte(`{"schemaVersion":2}`)
		w.Header().Set("Docker-Content-Digest", digestOf(good))
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			w.Write([]byte(`{"schemaVersion":2,"evil":true}`))
		}
	}))
	defer h.Close()
	at := strings.TrimPrefix(h.URL, "http://")
	reg, err := client.New(client.Options{At: at, Names: registryNames, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &site{reg: reg, pins: pins{"a:1": digestOf([]byte(`{"schemaVersion":2}`))}}
	if raw, _, err := s.Manifest(t.Context(), "a", "1"); err == nil {
		t.Errorf("Manifest = %s, want it refused", raw)
	}
}

func TestPinsOf(t *testing.T) {
	for _, c := range []struct{ name, at, reference, repository, want string }{
		{"same prefix", "h:1/p", "h:1/p/a:1", "a", "p/a:1"},
		{"another name of the host", "10.0.0.5:1/p", "127.0.0.1:1/p/a:1", "a", "p/a:1"},
		{"prefix in the repository", "h:1/p", "h:1/p/a:1", "p/a", "p/a:1"},
		{"no prefix", "h:1", "h:1/a:1", "a", "a:1"},
		{"of a bundle, not sent", "h:1/p", "", "a", "p/a:1"},
	} {
		reg, err := client.New(client.Options{At: c.at, Names: registryNames})
		if err != nil {
			t.Fatal(err)
		}
		known := pins{"old:1": "sha256:o"}
		got := pinsOf(known, []record.Image{{Reference: c.reference, Repository: c.repository, Tag: "1", Digest: "sha256:d"}}, &site{reg: reg})
		if got[c.want] != "sha256:d" || got["old:1"] != "sha256:o" || len(got) != 2 || len(known) != 1 {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// A failed image is not what it should be, and pins nothing.
func TestFailedImagesPinNothing(t *testing.T) {
	s, h := aSite(t), testHost(t)
	line := fmt.Sprintf(`{"kind":"image","registry":%q,"repository":%q,"tag":"1.2.3","digest":%q,"status":"failed"}`+"\n", s.at, theChart, digestOf(nil))
	r := try(t, h, line, s.args("--plan")...)
	if strings.Contains(r.stderr, "has moved") {
		t.Error(r.stderr)
	}
	if _, err := os.Stat(h.state); err == nil {
		if st, err := readState(h.state); err != nil || len(st.Pins) > 0 {
			t.Errorf("pins %v, %v", st.Pins, err)
		}
	}
}
