package registry

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// GET and HEAD of content, with conditions and ranges.
func TestPull(t *testing.T) {
	reg := newRegistry(t)
	data := []byte("0123456789")
	blob := reg.pushBlob("a/b", data)
	manifest := reg.pushImage("a/b", "v1", "x")
	text := string(image(digestBytes("sha256", []byte("{}")), "x"))
	etag := `"` + string(blob) + `"`
	for _, c := range []struct {
		name, method, target string
		request              []string
		status               int
		body                 string
		headers              []string
	}{
		{"blob", "GET", "blobs/" + string(blob), nil, 200, "0123456789",
			[]string{"Content-Length", "10", "Docker-Content-Digest", string(blob), "Etag", etag, "Accept-Ranges", "bytes", "Content-Type", "application/octet-stream", "Docker-Distribution-Api-Version", "registry/2.0"}},
		{"source host", "GET", "blobs/" + string(blob) + "?ns=quay.io", nil, 200, "0123456789", nil},
		{"head", "HEAD", "blobs/" + string(blob), nil, 200, "", []string{"Content-Length", "10", "Docker-Content-Digest", string(blob)}},
		{"head ignores ranges", "HEAD", "blobs/" + string(blob), []string{"Range", "bytes=1-2"}, 200, "", []string{"Content-Length", "10"}},
		{"range", "GET", "blobs/" + string(blob), []string{"Range", "bytes=2-4"}, 206, "234", []string{"Content-Range", "bytes 2-4/10", "Content-Length", "3"}},
		{"open range", "GET", "blobs/" + string(blob), []string{"Range", "bytes=8-"}, 206, "89", []string{"Content-Range", "bytes 8-9/10"}},
		{"last bytes", "GET", "blobs/" + string(blob), []string{"Range", "bytes=-3"}, 206, "789", []string{"Content-Range", "bytes 7-9/10"}},
		{"range beyond", "GET", "blobs/" + string(blob), []string{"Range", "bytes=10-"}, 416, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"range not satisfiable"}]}`, []string{"Content-Range", "bytes */10", "Content-Type", "application/json"}},
		{"several ranges", "GET", "blobs/" + string(blob), []string{"Range", "bytes=0-1,4-5"}, 200, "0123456789", nil},
		{"if-range holds", "GET", "blobs/" + string(blob), []string{"Range", "bytes=0-1", "If-Range", etag}, 206, "01", nil},
		{"if-range fails", "GET", "blobs/" + string(blob), []string{"Range", "bytes=0-1", "If-Range", `"other"`}, 200, "0123456789", nil},
		{"not modified", "GET", "blobs/" + string(blob), []string{"If-None-Match", `"other", W/` + etag}, 304, "", []string{"Etag", etag}},
		{"modified", "GET", "blobs/" + string(blob), []string{"If-None-Match", `"other"`}, 200, "0123456789", nil},
		{"manifest", "GET", "manifests/v1", []string{"Accept", "x/y"}, 200, text, []string{"Content-Type", mediaTypeImage, "Docker-Content-Digest", string(manifest)}},
		{"manifest by digest", "GET", "manifests/" + string(manifest), nil, 200, text, []string{"Content-Type", mediaTypeImage}},
		{"manifest head", "HEAD", "manifests/v1", nil, 200, "", []string{"Docker-Content-Digest", string(manifest), "Content-Type", mediaTypeImage}},
		{"manifest not modified", "GET", "manifests/v1", []string{"If-None-Match", `"` + string(manifest) + `"`}, 304, "", nil},
		{"a blob is not a manifest", "GET", "manifests/" + string(blob), nil, 404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown to repository"}]}`, nil},
		{"unknown blob", "HEAD", "blobs/" + dig256, nil, 404, "", nil},
		{"unknown tag", "GET", "manifests/v2", nil, 404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown to repository"}]}`, nil},
		{"method", "PUT", "blobs/" + string(blob), nil, 405, `{"errors":[{"code":"UNSUPPORTED","message":"operation unsupported: want GET, HEAD, DELETE"}]}`, []string{"Allow", "GET, HEAD, DELETE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := reg.do(c.method, "/v2/a/b/"+c.target, nil, c.request...)
			if a.StatusCode != c.status || a.body != c.body {
				t.Errorf("got %d %q, want %d %q", a.StatusCode, a.body, c.status, c.body)
			}
			for i := 0; i < len(c.headers); i += 2 {
				if got := a.Header.Get(c.headers[i]); got != c.headers[i+1] {
					t.Errorf("%s: %q, want %q", c.headers[i], got, c.headers[i+1])
				}
			}
		})
	}
	for _, target := range []string{"blobs/" + dig256, "manifests/v1", "tags/list"} {
		if a := reg.want(404, "GET", "/v2/absent/"+target, nil); !strings.Contains(a.body, "NAME_UNKNOWN") {
			t.Errorf("GET %s of an absent repository: %s", target, a.body)
		}
	}
}

// A manifest that is read by its tag has the date of the tag. Dates are no
// conditions, and no reason to keep the manifest of a tag.
func TestTagDate(t *testing.T) {
	reg := newRegistry(t)
	manifest := reg.pushImage("a", "v1", "x")
	size := len(image(digestBytes("sha256", []byte("{}")), "x"))
	at := unix.NsecToTimespec(time.Date(2026, 11, 28, 14, 0, 0, 0, time.UTC).UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, reg.path(tagPath("a", "v1")), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	const date = "Sat, 28 Nov 2026 14:00:00 GMT"
	for _, c := range []struct {
		method, reference string
		request           []string
		status, size      int
		date, cache       string
	}{
		{"GET", "v1", nil, 200, size, date, "no-cache"},
		{"HEAD", "v1", nil, 200, 0, date, "no-cache"},
		{"GET", "v1", []string{"If-Modified-Since", date}, 200, size, date, "no-cache"},
		{"GET", "v1", []string{"If-Unmodified-Since", "Fri, 27 Nov 2026 14:00:00 GMT"}, 200, size, date, "no-cache"},
		{"GET", "v1", []string{"Range", "bytes=0-1", "If-Range", date}, 200, size, date, "no-cache"},
		{"GET", "v1", []string{"If-None-Match", `"` + string(manifest) + `"`, "If-Modified-Since", "Fri, 27 Nov 2026 14:00:00 GMT"}, 304, 0, "", ""},
		{"GET", string(manifest), nil, 200, size, "", ""},
	} {
		a := reg.do(c.method, "/v2/a/manifests/"+c.reference, nil, c.request...)
		date, cache := a.Header.Get("Last-Modified"), a.Header.Get("Cache-Control")
		if a.StatusCode != c.status || len(a.body) != c.size || date != c.date || cache != c.cache {
			t.Errorf("%s %s %q: %d, %d bytes, date %q, cache %q, want %+v", c.method, c.reference, c.request, a.StatusCode, len(a.body), date, cache, c)
		}
	}
}

func TestManifestRefusals(t *testing.T) {
	reg := newRegistry(t)
	good := image(reg.pushBlob("a", []byte("{}")), "x")
	for _, c := range []struct {
		name, target string
		body         string
		mediaType    string
		status       int
		code         string
	}{
		{"other digest", dig256, string(good), mediaTypeImage, 400, "DIGEST_INVALID"},
		{"not JSON", "v1", "hello", mediaTypeImage, 400, "MANIFEST_INVALID"},
		{"list", "v1", "[]", mediaTypeImage, 400, "MANIFEST_INVALID"},
		{"empty", "v1", "", mediaTypeImage, 400, "MANIFEST_INVALID"},
		{"media types differ", "v1", string(good), mediaTypeIndex, 400, "MANIFEST_INVALID"},
		{"no media type", "v1", "{}", "", 400, "MANIFEST_INVALID"},
		{"media type malformed", "v1", "{}", "///", 400, "MANIFEST_INVALID"},
		{"media type too long", "v1", `{"mediaType":"a/` + strings.Repeat("b", 200) + `"}`, "", 400, "MANIFEST_INVALID"},
		{"media type with a newline", "v1", `{"mediaType":"a/b\r\nX: y"}`, "", 400, "MANIFEST_INVALID"},
		{"no config", "v1", "{}", mediaTypeImage, 400, "MANIFEST_INVALID"},
		{"config digest malformed", "v1", `{"config":{"digest":"sha256:../../x"}}`, mediaTypeImage, 400, "MANIFEST_INVALID"},
		{"subject malformed", "v1", `{"subject":{"digest":"x"}}`, mediaTypeIndex, 400, "MANIFEST_INVALID"},
		{"config absent", "v1", string(image(dig256, "x")), mediaTypeImage, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"too large", "v1", `{"annotations":{"a":"` + strings.Repeat("x", maxManifest) + `"}}`, mediaTypeIndex, 413, "MANIFEST_INVALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := reg.do("PUT", "/v2/a/manifests/"+c.target, []byte(c.body), "Content-Type", c.mediaType)
			if a.StatusCode != c.status || !strings.Contains(a.body, `"`+c.code+`"`) {
				t.Errorf("got %d %s, want %d %s", a.StatusCode, a.body, c.status, c.code)
			}
		})
	}
	reg.want(404, "PUT", "/v2/new/manifests/v1", good, "Content-Type", mediaTypeImage)
	if a := reg.want(200, "GET", "/v2/_catalog", nil); a.body != `{"repositories":[]}` {
		t.Errorf("a repository without a manifest is listed: %s", a.body)
	}
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":[]}` {
		t.Errorf("a refused push made a tag: %s", a.body)
	}
	checkStorage(t, reg.dir)
}

// A manifest may have up to 4 MiB.
func TestLargestManifest(t *testing.T) {
	reg := newRegistry(t)
	const head, tail = `{"annotations":{"a":"`, `"}}`
	body := []byte(head + strings.Repeat("x", maxManifest-len(head)-len(tail)) + tail)
	reg.want(201, "PUT", "/v2/a/manifests/v1", body, "Content-Type", mediaTypeIndex)
	if a := reg.want(200, "GET", "/v2/a/manifests/v1", nil); a.body != string(body) {
		t.Errorf("got %d bytes back, want %d", len(a.body), len(body))
	}
}

func TestMediaTypes(t *testing.T) {
	reg := newRegistry(t)
	config := reg.pushBlob("a", []byte("{}"))
	for _, c := range []struct{ name, contentType, body, want string }{
		{"parameters are dropped", mediaTypeIndex + "; charset=utf-8", `{}`, mediaTypeIndex},
		{"from the manifest", "", `{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"}`, "application/vnd.docker.distribution.manifest.list.v2+json"},
		{"index without any", "", `{"manifests":[]}`, mediaTypeIndex},
		{"image without any", "", `{"config":{"digest":"` + string(config) + `"}}`, mediaTypeImage},
		{"unknown ones are kept", "application/vnd.example+json", `{}`, "application/vnd.example+json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg.want(201, "PUT", "/v2/a/manifests/v1", []byte(c.body), "Content-Type", c.contentType)
			reg.restart()
			a := reg.want(200, "GET", "/v2/a/manifests/v1", nil)
			if got := a.Header.Get("Content-Type"); got != c.want || a.body != c.body {
				t.Errorf("got %s %s, want %s %s", got, a.body, c.want, c.body)
			}
		})
	}
}

// Allow is called for every kind, and Writes is right about each.
func TestAllow(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v1", "x")
	h := New(reg.disk, Options{Allow: func(_ *http.Request, k Kind) (string, error) {
		if k.Writes() {
			return "", ErrDenied
		}
		return "", nil
	}})
	for _, c := range []struct {
		method, target string
		denied         bool
	}{
		{"GET", "/v2/", false},
		{"GET", "/v2/_catalog", false},
		{"GET", "/v2/a/tags/list", false},
		{"GET", "/v2/a/manifests/v1", false},
		{"HEAD", "/v2/a/blobs/" + dig256, false},
		{"GET", "/v2/a/referrers/" + dig256, false},
		{"GET", "/v2/a/blobs/uploads/" + anyID, false},
		{"POST", "/v2/a/blobs/uploads/", true},
		{"POST", "/v2/a/blobs/uploads/?digest=" + dig256, true},
		{"POST", "/v2/a/blobs/uploads/?mount=" + dig256, true},
		{"PATCH", "/v2/a/blobs/uploads/" + anyID, true},
		{"PUT", "/v2/a/blobs/uploads/" + anyID + "?digest=" + dig256, true},
		{"DELETE", "/v2/a/blobs/uploads/" + anyID, true},
		{"PUT", "/v2/a/manifests/v1", true},
		{"DELETE", "/v2/a/manifests/v1", true},
		{"DELETE", "/v2/a/blobs/" + dig256, true},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.target, nil))
		if denied := w.Code == http.StatusForbidden; denied != c.denied {
			t.Errorf("%s %s = %d, want denied %v", c.method, c.target, w.Code, c.denied)
		}
	}
}

// The log names the registry that was mirrored.
func TestLogTellsTheOrigin(t *testing.T) {
	var log strings.Builder
	h := New(newRegistry(t).disk, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for target, want := range map[string]string{
		"/v2/a/manifests/v1?ns=quay.io":            " ns=quay.io",
		"/v2/a/manifests/v1?ns=10.0.0.5%3A5000":    " ns=10.0.0.5:5000",
		"/v2/a/manifests/v1?ns=a%0Ab":              ` ns="a\nb"`,
		"/v2/a/manifests/v1?n=10":                  "",
		"/v2/a/manifests/v1?ns=":                   "",
		"/v2/a/manifests/v1":                       "",
		"/v2/a/manifests/v1?ns=docker.io&ns=other": " ns=docker.io",
	} {
		log.Reset()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("HEAD", target, nil))
		line, _, _ := strings.Cut(log.String(), " error=")
		if at := strings.Index(line, " ns="); want == "" && at >= 0 || !strings.HasSuffix(line, want) {
			t.Errorf("%s is logged as %s, want it to end in %q", target, line, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want *Error
	}{
		{errors.New("read /x: i/o error"), errInternal},
		{errors.Join(ErrRange, errors.New("and more")), ErrRange},
		{&Refusal{ErrUnsupported, nil}, ErrUnsupported},
		{&bodyError{errors.New("connection reset")}, ErrUploadInvalid},
	} {
		if got, message := classify(c.err); got != c.want || strings.Contains(message, "/x") {
			t.Errorf("classify(%v) = %v, %q, want %v", c.err, got, message, c.want)
		}
	}
}
