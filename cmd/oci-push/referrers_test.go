package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// filler pushes manifests of its own to a registry.
type filler struct {
	t   *testing.T
	reg *client.Registry
}

func newFiller(t *testing.T, host string) filler {
	t.Helper()
	reg, err := client.New(client.Options{At: host, Names: client.SiteNames, Push: true})
	if err == nil {
		err = reg.Connect(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return filler{t, reg}
}

// blob uploads content.
func (f filler) blob(repository, mediaType, content string) v1.Descriptor {
	f.t.Helper()
	d, size, err := v1.SHA256(strings.NewReader(content))
	if err == nil {
		err = f.reg.Upload(repository, d, size).Send(f.t.Context(), strings.NewReader(content))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}
}

// manifest pushes a manifest of one layer under a tag, or by its digest.
func (f filler) manifest(repository, tag, text string, subject *v1.Descriptor) v1.Descriptor {
	f.t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "artifactType": "application/vnd.test",
		"config": f.blob(repository, "application/vnd.oci.empty.v1+json", "{}"), "layers": []any{f.blob(repository, "text/plain", text)},
	}
	if subject != nil {
		m["subject"] = subject
	}
	return f.put(repository, tag, manifestType, m)
}

// index pushes an index of manifests.
func (f filler) index(repository, tag string, manifests ...v1.Descriptor) v1.Descriptor {
	f.t.Helper()
	return f.put(repository, tag, indexType, map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": manifests})
}

func (f filler) put(repository, tag, mediaType string, doc any) v1.Descriptor {
	f.t.Helper()
	raw, err := json.Marshal(doc)
	if err != nil {
		f.t.Fatal(err)
	}
	d, size, err := v1.SHA256(bytes.NewReader(raw))
	if err == nil {
		name := tag
		if name == "" {
			name = d.String()
		}
		err = f.reg.PutManifest(f.t.Context(), repository, name, mediaType, raw)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: d, Size: size}
}

// older runs a registry without support for referrers, as most were for years.
func older(t *testing.T) (host string) {
	t.Helper()
	to, err := url.Parse("http://" + serve(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(resp *http.Response) error {
		resp.Header.Del("OCI-Subject")
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Signatures and the like, tagged or not, of an index, its children and one another are
// copied with their image.
func TestReferrersGoAlong(t *testing.T) {
	t.Parallel()
	for source, start := range map[string]func() string{
		"lists referrers":       func() string { return serve(t, nil) },
		"keeps them under tags": func() string { return older(t) },
	} {
		from := start()
		f := newFiller(t, from)
		child := f.manifest("app/x", "", "image", nil)
		root := f.index("app/x", "1.0", child)
		signature := f.manifest("app/x", "", "signature of the index", &root)
		sbom := f.manifest("app/x", "", "sbom of the child", &child)
		signed := f.manifest("app/x", "", "signature of the sbom", &sbom)
		cosign := f.manifest("app/x", client.FallbackTag(root.Digest)+".sig", "cosign's", nil)
		want := map[v1.Hash][]string{root.Digest: {signature.Digest.String()}, child.Digest: {sbom.Digest.String()}, sbom.Digest: {signed.Digest.String()}}
		check := func(name, host, repository string) {
			t.Helper()
			reg := newFiller(t, host).reg
			for subject, referrers := range want {
				if got, err := reg.Referrers(t.Context(), repository, subject); err != nil || !slices.Equal(got, referrers) {
					t.Errorf("%s, %s: referrers of %s = %v, %v, want %v", source, name, subject, got, err, referrers)
				}
			}
			if d, err := reg.Digest(t.Context(), repository, client.FallbackTag(root.Digest)+".sig"); d != cosign.Digest.String() || err != nil {
				t.Errorf("%s, %s: cosign's tag = %q, %v", source, name, d, err)
			}
		}
		line := line2(record.Image{Repository: "app/x", Tag: "1.0"})
		for name, to := range map[string]string{"to one that lists them": serve(t, nil), "to one that does not": older(t)} {
			if r := invoke(t, "", "--from", from, "--to", to+"/all"); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			check("all, "+name, to, "all/app/x")
			if r := invoke(t, line, "--from", from, "--to", to+"/some", "-"); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			check("selected, "+name, to, "some/app/x")
		}
		for _, alias := range []string{"app/x:1.0=app/y:1.0", "app/x=app/z"} {
			if r := invoke(t, "", "--to", from, "--alias", alias); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
		}
		check("alias of a tag", from, "app/y")
		check("alias of a repository", from, "app/z")
	}
}

// What cannot be listed or read fails and is counted, and the rest is copied.
func TestCopyContinuesAfterUnreadableImages(t *testing.T) {
	t.Parallel()
	var unlisted, unread samplebundle.Entry
	from, m := filled(t, "", samplebundle.Options{Archives: 12}, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		if unlisted.Repository != "" && r.URL.Path == "/v2/"+unlisted.Repository+"/tags/list" || unread.Repository != "" && r.URL.Path == "/v2/"+unread.Repository+"/manifests/"+unread.Tag {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	for _, e := range m.Entries {
		switch {
		case e.Kind != samplebundle.KindOCI:
		case unlisted.Repository == "":
			unlisted = e
		case unread.Repository == "" && e.Repository != unlisted.Repository:
			unread = e
		}
	}
	to := serve(t, nil)
	r := invoke(t, "", "--from", from, "--to", to)
	if cli.Code(r.err) != cli.CodeFailed || !strings.HasPrefix(r.err.Error(), "2 of ") {
		t.Errorf("%v, want two failed\n%s", r.err, r.stderr)
	}
	for _, want := range []string{
		fmt.Sprintf("oci-push: %s: list of tags: registry answered 403", unlisted.Repository),
		fmt.Sprintf("oci-push: %s/%s:%s: registry answered 403", to, unread.Repository, unread.Tag),
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, r.stderr)
		}
	}
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI && e.Repository != unlisted.Repository && (e.Repository != unread.Repository || e.Tag != unread.Tag) {
			checkEntry(t, to, "", e)
		}
	}
}

// A moved tag is reported, with the digest that would otherwise be lost.
func TestMovedTag(t *testing.T) {
	from, to := serve(t, nil), serve(t, nil)
	f := newFiller(t, from)
	first := f.manifest("app/x", "1.0", "first", nil)
	if r := invoke(t, "", "--from", from, "--to", to); r.err != nil || strings.Contains(r.stderr, "moved") {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	second := f.manifest("app/x", "1.0", "second", nil)
	for _, args := range [][]string{{"--plan"}, nil} {
		r := invoke(t, "", append([]string{"--from", from, "--to", to}, args...)...)
		verb := "moved"
		if args != nil {
			verb = "would move"
		}
		want := fmt.Sprintf("oci-push: %s/app/x:1.0: the tag %s from %s to %s\n", to, verb, first.Digest, second.Digest)
		if r.err != nil || !strings.Contains(r.stderr, want) {
			t.Errorf("%v, stderr %q, want %q", r.err, r.stderr, want)
		}
		if i := r.images[" app/x:1.0"]; i.Replaces != first.Digest.String() {
			t.Errorf("record = %+v, want it to replace %s", i, first.Digest)
		}
	}
	if r := invoke(t, "", "--from", from, "--to", to); r.err != nil || strings.Contains(r.stderr, "moved") || r.images[" app/x:1.0"].Replaces != "" {
		t.Errorf("again: %v\n%s", r.err, r.stderr)
	}
}
