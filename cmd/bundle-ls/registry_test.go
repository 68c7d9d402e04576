//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// shelf is a real registry with a few images.
type shelf struct {
	t      testing.TB
	server *httptest.Server
	refuse func(path string) int // status, or 0 to answer
	bare   bool                  // send no dates
}

// undated is a response without a date.
type undated struct{ http.ResponseWriter }

func (u undated) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u undated) WriteHeader(status int) {
	u.Header().Del("Last-Modified")
	u.ResponseWriter.WriteHeader(status)
}

func newShelf(t testing.TB) *shelf {
	disk, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	s := &shelf{t: t}
	h := registry.New(disk, registry.Options{})
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.refuse != nil {
			if status := s.refuse(r.URL.Path); status != 0 {
				http.Error(w, "no", status)
				return
			}
		}
		if s.bare {
			w = undated{w}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *shelf) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

func (s *shelf) send(method, path, kind string, body []byte) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.server.URL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// blob stores a blob in a repository and returns its descriptor as JSON.
func (s *shelf) blob(repository, kind string, content []byte) string {
	d, n, _ := v1.SHA256(bytes.NewReader(content))
	s.send("POST", "/v2/"+repository+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", content)
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, kind, d, n)
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// image stores an image for linux/arm64 with these layers, and returns its manifest.
func (s *shelf) image(repository string, layers []string, tags ...string) []byte {
	config := s.blob(repository, "application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux","architecture":"arm64"}`))
	var list []string
	for _, l := range layers {
		list = append(list, s.blob(repository, "application/vnd.oci.image.layer.v1.tar", []byte(l)))
	}
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, manifestType, config, strings.Join(list, ","))
	for _, tag := range tags {
		s.send("PUT", "/v2/"+repository+"/manifests/"+tag, manifestType, m)
	}
	return m
}

func TestRegistry(t *testing.T) {
	s := newShelf(t)
	before := time.Now().Truncate(time.Second)
	m := s.image("site/a/b", []string{"one", "two"}, "1", "2")
	s.image("elsewhere/c", []string{"one"}, "1")
	d, _, _ := v1.SHA256(bytes.NewReader(m))
	got := ls(t, nil, "--registry", s.host()+"/site")
	images, others := records(t, got.out)
	if got.code != 0 || len(images) != 2 || others["summary"] != 1 || len(others) != 1 {
		t.Fatalf("%+v, want two images and a summary", got)
	}
	want := record.Image{
		Repository: "a/b", Tag: "1", Digest: d.String(), MediaType: manifestType, Type: "image", Size: 43, Blobs: 3, Platforms: []string{"linux/arm64"},
		Registry: s.host(), Prefix: "site", Reference: s.host() + "/site/a/b:1", PushedAt: images[0].PushedAt,
	}
	if at, err := time.Parse(time.RFC3339, want.PushedAt); err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("pushed at %q, want a time since %v", want.PushedAt, before)
	}
	if fmt.Sprint(images[0]) != fmt.Sprint(want) {
		t.Errorf("got\n%+v, want\n%+v", images[0], want)
	}
	s.bare = true
	if got := ls(t, nil, "--registry", s.host()); strings.Contains(got.out, "pushedAt") || strings.Count(got.out, `"kind":"image"`) != 3 {
		t.Errorf("without dates: %+v", got)
	}
}

func TestSpace(t *testing.T) {
	s := newShelf(t)
	first := s.image("a", []string{"one", "two"}, "1", "2")
	s.image("b", []string{"one", "three"}, "1")
	got := ls(t, nil, "--registry", s.host(), "--du")
	const config, layers = 37, len("one") + len("two")
	a, b := len(first)+config+layers, len(first)+config+len("one")+len("three")
	want := fmt.Sprintf(`{"kind":"repository","registry":"%s","repository":"a","tags":2,"size":%d}
{"kind":"repository","registry":"%[1]s","repository":"b","tags":1,"size":%[3]d,"sharedBytes":%[4]d}
{"kind":"summary","tool":"bundle-ls","counts":{"image":3,"repositories":2},"bytes":%[5]d,`, s.host(), a, b, config+len("one"), a+b-config-len("one"))
	if got.code != 0 || !strings.HasPrefix(got.out, want) {
		t.Errorf("%+v, want\n%s", got, want)
	}
	if got := ls(t, nil, "--registry", s.host(), "--du", "--format", "{{.repository}} {{.sharedBytes}}"); got.out != fmt.Sprintf("a 0\nb %d\n", config+3) {
		t.Errorf("template: %+v", got)
	}
}

func TestRegistryProblems(t *testing.T) {
	refused := func(part string, status int) func(string) int {
		return func(path string) int {
			if strings.Contains(path, part) {
				return status
			}
			return 0
		}
	}
	for _, c := range []struct {
		name      string
		refuse    func(string) int
		args      []string
		code      int
		images    int
		skipped   int
		want, not string
	}{
		{"one repository", refused("/b/tags", 403), nil, 1, 3, 1, "1 image or repository could not be read", "hint: run"},
		{"one tag", refused("/b/manifests/2", 403), nil, 1, 4, 1, "/b:2: ", ""},
		{"one that is not a manifest", refused("/b/manifests/2", 204), nil, 1, 4, 1, "/b:2: ", ""},
		{"no catalog", refused("_catalog", 404), nil, 1, 0, 0, "not every registry has a catalog", ""},
		{"no login", refused("/v2/", 401), nil, 1, 0, 0, "401", ""},
		{"nothing below the prefix", nil, []string{"/none"}, 1, 0, 0, "no images below none\nhint: ", ""},
		{"prefix", nil, []string{"/Bad"}, 2, 0, 0, "must be lower case", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			s.image("a", []string{"one"}, "1", "2")
			s.image("b", []string{"two"}, "1", "2")
			s.image("c", []string{"three"}, "1")
			s.refuse = c.refuse
			got := ls(t, nil, "--registry", s.host()+strings.Join(c.args, ""))
			images, others := records(t, got.out)
			if got.code != c.code || len(images) != c.images || others["skipped"] != c.skipped || !strings.Contains(got.err, c.want) {
				t.Errorf("%+v, want code %d, %d images, %d skipped and %q", got, c.code, c.images, c.skipped, c.want)
			}
		})
	}
}

func TestRegistryMisuse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--registry", "localhost:1", "bundle.tgz"}, "--registry and a bundle are mutually exclusive"},
		{[]string{"--registry", "localhost:1", "--blobs"}, "--blobs and --registry are mutually exclusive"},
		{[]string{"--du", "bundle.tgz"}, "--du requires --registry"},
		{[]string{"--registry", "localhost:1", "--username", "alice"}, "--password-file"},
		{[]string{"--ca", "ca.pem", "bundle.tgz"}, "--ca requires --registry"},
		{[]string{"--username", "u", "bundle.tgz"}, "--username requires --registry"},
		{[]string{"--password-file", "p", "bundle.tgz"}, "--password-file requires --registry"},
		{[]string{"--plain-http", "bundle.tgz"}, "--plain-http requires --registry"},
		{[]string{"--answer-timeout", "5s"}, "--answer-timeout requires --registry"},
		{[]string{"--insecure-skip-tls-verify", "bundle.tgz"}, "--insecure-skip-tls-verify requires --registry"},
	} {
		if got := ls(t, nil, c.args...); got.code != 2 || !strings.Contains(got.err, c.want) {
			t.Errorf("%q: %+v, want %q", c.args, got, c.want)
		}
	}
	if got := ls(t, nil, "--registry", "localhost:1"); got.code != 75 {
		t.Errorf("an unreachable registry: %+v, want code 75", got)
	}
}

// A list of tags on several pages is read as it arrives.
func TestRegistryIsListedInOrder(t *testing.T) {
	s := newShelf(t)
	const tags = 1100
	var names []string
	for i := range tags {
		names = append(names, fmt.Sprintf("v%05d", i))
	}
	s.image("many", []string{"one"}, names...)
	var out counting
	if err := run(context.Background(), []string{"--registry", s.host(), "--quiet"}, nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if out.images != tags || out.unordered > 0 {
		t.Errorf("%d images, %d of them out of order, want %d", out.images, out.unordered, tags)
	}
}

// counting counts records instead of keeping them.
type counting struct {
	images, unordered int
	last              string
}

func (c *counting) Write(p []byte) (int, error) {
	for line, err := range record.Read(bytes.NewReader(p)) {
		var image record.Image
		if err != nil || line.Kind != "image" || line.Decode(&image) != nil {
			continue
		}
		if image.Tag <= c.last {
			c.unordered++
		}
		c.images, c.last = c.images+1, image.Tag
	}
	return len(p), nil
}
