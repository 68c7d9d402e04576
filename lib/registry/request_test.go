package registry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	hex256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	dig256 = "sha256:" + hex256
	dig512 = "sha512:" + hex256 + hex256
	anyID  = "0f8fad5b-d9cb-469f-a165-70867728950e"

	maxName = 255 // characters in the name of a repository
)

func TestParse(t *testing.T) {
	long := strings.Repeat("a", maxName)
	for _, c := range []struct {
		name, method, target string
		want                 Request
	}{
		{"ping", "GET", "/v2/", Request{Kind: Ping}},
		{"ping without slash", "GET", "/v2", Request{Kind: Ping}},
		{"catalog", "GET", "/v2/_catalog?n=5&last=b", Request{Kind: Catalog, Limit: 5, Last: "b"}},
		{"blob", "GET", "/v2/a/b/blobs/" + dig256, Request{Kind: BlobRead, Name: "a/b", Digest: dig256}},
		{"blob head", "HEAD", "/v2/a/blobs/" + dig512, Request{Kind: BlobRead, Name: "a", Digest: dig512}},
		{"source host is ignored", "GET", "/v2/a/manifests/v1?ns=docker.io", Request{Kind: ManifestRead, Name: "a", Tag: "v1"}},
		{"manifest by digest", "HEAD", "/v2/a/manifests/" + dig256, Request{Kind: ManifestRead, Name: "a", Digest: dig256}},
		{"names like endpoints", "GET", "/v2/blobs/uploads/manifests/tags/manifests/v1", Request{Kind: ManifestRead, Name: "blobs/uploads/manifests/tags", Tag: "v1"}},
		{"tag named list", "GET", "/v2/a/manifests/list", Request{Kind: ManifestRead, Name: "a", Tag: "list"}},
		{"longest name", "GET", "/v2/" + long + "/manifests/v1", Request{Kind: ManifestRead, Name: long, Tag: "v1"}},
		{"start", "POST", "/v2/a/blobs/uploads/", Request{Kind: UploadStart, Name: "a", Algorithm: "sha256"}},
		{"start without slash", "POST", "/v2/a/blobs/uploads", Request{Kind: UploadStart, Name: "a", Algorithm: "sha256"}},
		{"start with algorithm", "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", Request{Kind: UploadStart, Name: "a", Algorithm: "sha512"}},
		{"whole", "POST", "/v2/a/blobs/uploads/?digest=" + dig512, Request{Kind: UploadWhole, Name: "a", Digest: dig512, Algorithm: "sha512"}},
		{"mount", "POST", "/v2/a/blobs/uploads/?mount=" + dig256 + "&from=b", Request{Kind: BlobMount, Name: "a", Digest: dig256, Algorithm: "sha256"}},
		{"chunk", "PATCH", "/v2/a/blobs/uploads/" + anyID, Request{Kind: UploadChunk, Name: "a", Upload: anyID}},
		{"status", "GET", "/v2/a/blobs/uploads/" + anyID, Request{Kind: UploadStatus, Name: "a", Upload: anyID}},
		{"cancel", "DELETE", "/v2/a/blobs/uploads/" + anyID, Request{Kind: UploadCancel, Name: "a", Upload: anyID}},
		{"finish", "PUT", "/v2/a/blobs/uploads/" + anyID + "?digest=" + dig256, Request{Kind: UploadFinish, Name: "a", Upload: anyID, Digest: dig256}},
		{"push with tags", "PUT", "/v2/a/manifests/" + dig256 + "?tag=x&tag=y", Request{Kind: ManifestWrite, Name: "a", Digest: dig256, Tags: []string{"x", "y"}}},
		{"tags", "GET", "/v2/a/tags/list?n=0", Request{Kind: TagsList, Name: "a", Limit: 0}},
		{"referrers", "GET", "/v2/a/referrers/" + dig256 + "?artifactType=x/y", Request{Kind: Referrers, Name: "a", Digest: dig256, ArtifactType: "x/y"}},
		{"delete blob", "DELETE", "/v2/a/blobs/" + dig256, Request{Kind: BlobDelete, Name: "a", Digest: dig256}},
		{"delete tag", "DELETE", "/v2/a/manifests/v1", Request{Kind: ManifestDelete, Name: "a", Tag: "v1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(c.target, "n=") || c.want.Kind != TagsList && c.want.Kind != Catalog {
				c.want.Limit = noLimit
			}
			got, err := Parse(httptest.NewRequest(c.method, c.target, nil))
			if err != nil {
				t.Fatalf("Parse(%s %s): %v", c.method, c.target, err)
			}
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("Parse(%s %s) = %+v, want %+v", c.method, c.target, *got, c.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, method, target string
		want                 error
	}{
		{"other root", "GET", "/v1/", ErrEndpointUnknown},
		{"longer root", "GET", "/v22/a/tags/list", ErrEndpointUnknown},
		{"no endpoint", "GET", "/v2/a/b/c", ErrEndpointUnknown},
		{"no name", "GET", "/v2/tags/list", ErrEndpointUnknown},
		{"empty name", "GET", "/v2//tags/list", ErrNameInvalid},
		{"capital", "GET", "/v2/A/tags/list", ErrNameInvalid},
		{"parent", "GET", "/v2/a/../b/tags/list", ErrNameInvalid},
		{"escaped parent", "GET", "/v2/a%2f..%2fb/tags/list", ErrNameInvalid},
		{"the store's own directory", "GET", "/v2/a/_layout/tags/list", ErrNameInvalid},
		{"hidden", "GET", "/v2/.a/tags/list", ErrNameInvalid},
		{"too long", "GET", "/v2/" + strings.Repeat("a", maxName+1) + "/tags/list", ErrNameInvalid},
		{"method", "POST", "/v2/a/tags/list", ErrUnsupported},
		{"short digest", "GET", "/v2/a/blobs/sha256:abc", ErrDigestInvalid},
		{"capital digest", "GET", "/v2/a/blobs/sha256:" + strings.ToUpper(hex256), ErrDigestInvalid},
		{"unknown algorithm", "GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", ErrDigestInvalid},
		{"digest as path", "GET", "/v2/a/blobs/sha256:" + strings.Repeat("../", 21) + "x", ErrEndpointUnknown},
		{"digest missing", "PUT", "/v2/a/blobs/uploads/" + anyID, ErrDigestInvalid},
		{"start with unknown algorithm", "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", ErrDigestInvalid},
		{"tag with a space", "GET", "/v2/a/manifests/v%201", ErrTagInvalid},
		{"tag too long", "GET", "/v2/a/manifests/" + strings.Repeat("a", 129), ErrTagInvalid},
		{"tag parameter", "PUT", "/v2/a/manifests/" + dig256 + "?tag=..", ErrTagInvalid},
		{"not an upload", "GET", "/v2/a/blobs/uploads/tmp-1", ErrUploadUnknown},
		{"negative page", "GET", "/v2/a/tags/list?n=-1", ErrQueryInvalid},
		{"page of words", "GET", "/v2/a/tags/list?n=ten", ErrQueryInvalid},
		{"query", "GET", "/v2/a/tags/list?n=%zz", ErrQueryInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.target, nil)
			if got, err := Parse(r); !errors.Is(err, c.want) {
				t.Errorf("Parse(%s %s) = %+v, %v, want %v", c.method, c.target, got, err, c.want)
			}
		})
	}
}

// FuzzParse: a request is refused, or its parts are safe in paths.
func FuzzParse(f *testing.F) {
	f.Add("GET", "/v2/a/b/blobs/"+dig256, "ns=docker.io")
	f.Add("PUT", "/v2/a/manifests/"+dig512, "tag=a&tag=b")
	f.Add("POST", "/v2/a/blobs/uploads/", "mount="+dig256+"&from=b")
	f.Add("PATCH", "/v2/a/blobs/uploads/"+anyID, "")
	f.Add("GET", "/v2/../../etc/blobs/uploads/"+anyID, "n=1")
	f.Add("DELETE", "/v2/a\x00/manifests/..", "last=%00")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := &http.Request{Method: method}
		r.URL = httptest.NewRequest("GET", "/", nil).URL
		r.URL.Path, r.URL.RawQuery = path, query
		req, err := Parse(r)
		if err != nil {
			if _, known := errors.AsType[*Error](err); !known {
				t.Fatalf("Parse(%q %q %q): %v is not an answer", method, path, query, err)
			}
			return
		}
		if handlers[req.Kind] == nil {
			t.Fatalf("Parse(%q %q %q): no handler for kind %d", method, path, query, req.Kind)
		}
		if req.Name != "" {
			for _, file := range []string{repoPath(req.Name, "x"), uploadPath(Session{req.Name, req.Upload, "alice", ""})} {
				if !filepath.IsLocal(file) || filepath.Clean(file) != file {
					t.Fatalf("name %q, upload %q lead to %q", req.Name, req.Upload, file)
				}
			}
		}
		if req.Digest != "" && !filepath.IsLocal(poolPath(req.Digest)) {
			t.Fatalf("digest %q leads to %q", req.Digest, poolPath(req.Digest))
		}
	})
}
