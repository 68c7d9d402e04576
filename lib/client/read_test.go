package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
)

// hashOf returns the digest of some bytes.
func hashOf(t *testing.T, raw []byte) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// put pushes an image of one layer, and returns its manifest and layer.
func put(t *testing.T, r *Registry, repository, tag string, layer []byte) (manifest []byte, blob v1.Hash) {
	t.Helper()
	config := []byte(`{"os":"linux","architecture":"arm64"}`)
	for _, raw := range [][]byte{config, layer} {
		if err := r.Upload(repository, hashOf(t, raw), int64(len(raw))).Send(t.Context(), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		types.OCIManifestSchema1, types.OCIConfigJSON, hashOf(t, config), len(config), types.OCILayer, hashOf(t, layer), len(layer))
	if err := r.PutManifest(t.Context(), repository, tag, string(types.OCIManifestSchema1), manifest); err != nil {
		t.Fatal(err)
	}
	return manifest, hashOf(t, layer)
}

func TestPushAndReadBackBelowThePrefix(t *testing.T) {
	host := serve(t, nil)
	other, r := dial(t, host), dial(t, host+"/site")
	put(t, other, "sitelike/x", "v1", []byte("other"))
	layer := []byte("layer of a")
	manifest, blob := put(t, r, "a/b", "v1", layer)
	want := hashOf(t, manifest)

	if digest, err := r.Digest(t.Context(), "a/b", "v1"); digest != want.String() || err != nil {
		t.Errorf("Digest = %q, %v, want %v", digest, err, want)
	}
	for _, reference := range []string{"v1", want.String()} {
		d, raw, err := r.Manifest(t.Context(), "a/b", reference)
		if err != nil || !bytes.Equal(raw, manifest) || d.Digest != want || d.MediaType != types.OCIManifestSchema1 || d.Size != int64(len(raw)) {
			t.Errorf("Manifest(%s) = %+v, %s, %v", reference, d, raw, err)
		}
	}
	img, err := r.Image(t.Context(), "a/b", "v1")
	if err != nil || img.Type != oci.TypeImage || !slices.Equal(img.Platforms, []string{"linux/arm64"}) || len(img.Blobs) != 2 {
		t.Errorf("Image = %+v, %v", img, err)
	}
	b := r.Blob(t.Context(), "a/b", blob)
	defer b.Close()
	for _, offset := range []int64{0, 6, 0} {
		if _, err := b.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, layer[offset:]) {
			t.Errorf("Blob from %d = %q, %v, want %q", offset, got, err, layer[offset:])
		}
	}
	if got, err := collect(r.Repositories(t.Context())); err != nil || !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("Repositories = %q, %v, want those below the prefix", got, err)
	}
	if got, err := collect(r.Tags(t.Context(), "a/b")); err != nil || !slices.Equal(got, []string{"v1"}) {
		t.Errorf("Tags = %q, %v", got, err)
	}
	if got, err := collect(other.Repositories(t.Context())); err != nil || !slices.Equal(got, []string{"site/a/b", "sitelike/x"}) {
		t.Errorf("Repositories without a prefix = %q, %v", got, err)
	}
	if got := r.Reference("a/b", "v1"); got != host+"/site/a/b:v1" {
		t.Errorf("Reference = %q", got)
	}
}

func TestNotInTheRegistry(t *testing.T) {
	r := dial(t, serve(t, nil))
	put(t, r, "a", "v1", []byte("x"))
	none := hashOf(t, []byte("none"))
	for _, repository := range []string{"a", "b"} {
		if digest, err := r.Digest(t.Context(), repository, "v2"); digest != "" || err != nil {
			t.Errorf("Digest = %q, %v, want none", digest, err)
		}
		if there, err := r.HasBlob(t.Context(), repository, none, 4); there || err != nil {
			t.Errorf("HasBlob = %v, %v, want false", there, err)
		}
		if _, _, err := r.Manifest(t.Context(), repository, "v2"); !errors.Is(err, ErrNotFound) || r.Fatal(err) {
			t.Errorf("Manifest = %v, want ErrNotFound", err)
		}
		if _, err := r.Blob(t.Context(), repository, none).Read(make([]byte, 1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("Blob = %v, want ErrNotFound", err)
		}
	}
	if _, err := collect(r.Tags(t.Context(), "b")); !errors.Is(err, ErrNotFound) {
		t.Errorf("Tags = %v, want ErrNotFound", err)
	}
}

// An index may have been pushed without some of its images.
func TestSparseImage(t *testing.T) {
	r := dial(t, serve(t, nil))
	gone := hashOf(t, []byte("gone"))
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":9}]}`, types.OCIImageIndex, types.OCIManifestSchema1, gone)
	if err := r.PutManifest(t.Context(), "a", "v1", string(types.OCIImageIndex), index); err != nil {
		t.Fatal(err)
	}
	img, err := r.Image(t.Context(), "a", "v1")
	if err != nil || len(img.MissingManifests()) != 1 || img.MissingManifests()[0].Digest != gone {
		t.Errorf("Image = %+v, %v, want one manifest missing", img, err)
	}
}

func TestManifestIsChecked(t *testing.T) {
	r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		fmt.Fprint(w, `{"schemaVersion":2}`)
		return true
	}))
	if _, _, err := r.Manifest(t.Context(), "a", hashOf(t, []byte("x")).String()); !errors.Is(err, oci.ErrDigest) {
		t.Errorf("Manifest = %v, want ErrDigest", err)
	}
	if d, raw, err := r.Manifest(t.Context(), "a", "v1"); err != nil || d.Digest != hashOf(t, raw) {
		t.Errorf("Manifest by tag = %v, %v, want the digest of what came", d, err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	big := strings.Repeat(" ", maxList+2)
	r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		fmt.Fprint(w, big)
		return true
	}))
	if _, _, err := r.Manifest(t.Context(), "a", "v1"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("Manifest = %v, want that it is too large", err)
	}
	if _, err := collect(r.Tags(t.Context(), "a")); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("Tags = %v, want that they are too many", err)
	}
}

// A broken download resumes where it broke, even if the registry does not
// support ranges.
func TestBlobResumes(t *testing.T) {
	layer := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for _, ranges := range []bool{true, false} {
		var cuts atomic.Int64
		var breaks atomic.Bool
		r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			if !breaks.Load() || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			if !ranges {
				r.Header.Del("Range")
			}
			switch n := cuts.Add(1); {
			case n < 4: // ends before the answer; net/http tries once more on a connection that was used before
				panic(http.ErrAbortHandler)
			case n%2 == 1 && n < 12: // ends early
				w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
				if from := r.Header.Get("Range"); from != "" {
					var at int
					fmt.Sscanf(from, "bytes=%d-", &at)
					w.WriteHeader(http.StatusPartialContent)
					w.Write(layer[at : at+5000])
				} else {
					w.Write(layer[:5000*(n/2-1)])
				}
				panic(http.ErrAbortHandler)
			case n < 12:
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}))
		_, blob := put(t, r, "a", "v1", layer)
		breaks.Store(true)
		got, err := io.ReadAll(oci.Verify(r.Blob(t.Context(), "a", blob), blob, int64(len(layer))))
		if err != nil || !bytes.Equal(got, layer) || cuts.Load() < 12 {
			t.Errorf("with ranges: %v: %d bytes of %d, %v after %d requests", ranges, len(got), len(layer), err, cuts.Load())
		}
	}
}

func TestRegistryThatEndsInABlob(t *testing.T) {
	var s *httptest.Server
	var ends atomic.Bool
	layer := bytes.Repeat([]byte("layer"), 10000)
	s = httptest.NewServer(handler(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !ends.Load() || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
		w.Write(layer[:5000])
		s.Listener.Close()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	r := dial(t, strings.TrimPrefix(s.URL, "http://"))
	_, blob := put(t, r, "a", "v1", layer)
	ends.Store(true)
	n, err := io.Copy(io.Discard, r.Blob(t.Context(), "a", blob))
	if n != 5000 || !errors.Is(err, errUnreachable) || cli.Code(err) != cli.CodeTryAgain {
		t.Errorf("read %d bytes, then %v with code %d, want %v with code %d", n, err, cli.Code(err), errUnreachable, cli.CodeTryAgain)
	}
}

func TestListsOfManyPages(t *testing.T) {
	r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		q := r.URL.Query()
		switch q.Get("last") {
		case "":
			w.Header().Set("Link", `</v2/a/tags/list?last=b&n=1000>; rel="next"`)
			fmt.Fprint(w, `{"name":"a","tags":["a","b"]}`)
		case "b":
			w.Header().Set("Link", `<list?last=c>; rel=next`)
			fmt.Fprint(w, `{"name":"a","tags":null}`)
		case "c":
			w.Header().Set("Link", `<http://elsewhere.example/v2/a/tags/list?last=d>; rel="next"`)
			fmt.Fprint(w, `{"tags":["c"]}`)
		}
		return true
	}))
	got, err := collect(r.Tags(t.Context(), "a"))
	if !slices.Equal(got, []string{"a", "b", "c"}) || err == nil || !strings.Contains(err.Error(), "continues at another host, elsewhere.example") {
		t.Errorf("Tags = %q, %v, want three and then no step to another host", got, err)
	}
	for range r.Tags(t.Context(), "a") { // who has seen enough may stop
		break
	}
}

func FuzzNextPage(f *testing.F) {
	for _, header := range []string{`</v2/_catalog?last=x&n=2>; rel="next"`, `<list?last=1>;rel=next`, `<http://other/>; rel="next"`, `<//other/x>; rel="next"`, `<%zz>; rel="next"`, ""} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		u := &url.URL{Scheme: "https", Host: "registry.example:5000", Path: "/v2/_catalog"}
		if next, err := nextPage(u, header); next != nil && (err != nil || next.Host != u.Host) {
			t.Errorf("nextPage(%q) = %v, %v", header, next, err)
		}
	})
}

// An answer to another request is never used.
func TestRefusalsNameWhatWasRefused(t *testing.T) {
	r := dial(t, serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}))
	_, readErr := r.Digest(t.Context(), "a", "v1")
	writeErr := r.PutManifest(t.Context(), "a", "v1", string(types.OCIManifestSchema1), []byte("{}"))
	for want, err := range map[string]error{"read": readErr, "write": writeErr} {
		var text strings.Builder
		cli.Report(&text, "tool", err)
		if got := "tool: registry answered 403 Forbidden\nhint: this user, or this address, may not " + want; !strings.HasPrefix(text.String(), got) {
			t.Errorf("report = %q, want %q", text.String(), got)
		}
	}
}
