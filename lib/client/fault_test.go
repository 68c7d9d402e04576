package client

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/lib/cli"
)

// A registry that shows nobody what it has refuses all images; one that has shown
// something may refuse this one alone, and a source has others to copy.
func TestRefusedToRead(t *testing.T) {
	for _, code := range []int{401, 403, 405} {
		host := serve(t, refuse("HEAD", "/v2/secret/", code, ""))
		push := dial(t, host)
		_, err := push.Digest(t.Context(), "secret", "v1")
		if !push.Refused(err) {
			t.Errorf("%d: %v does not concern all images", code, err)
		}
		if _, err := push.Digest(t.Context(), "open", "v1"); err != nil || push.Refused(&statusError{refusal: &transport.Error{StatusCode: code, Request: &http.Request{Method: "HEAD", URL: &url.URL{Path: "/v2/open/manifests/v1"}}}}) {
			t.Errorf("%d: %v, or the registry that answers refuses everything", code, err)
		}
		pull := prepare(t, Options{At: host})
		if _, err := pull.Digest(t.Context(), "secret", "v1"); err == nil || pull.Refused(err) {
			t.Errorf("%d: %v concerns all of a source", code, err)
		}
	}
}

// A method that a registry does not allow for a kind of item, and never has,
// fails for every item. If the registry gives a reason of its own, it may be one
// of that item.
func TestMethodsThatAreNotAllowed(t *testing.T) {
	layer := bytes.Repeat([]byte("x"), wholeSize+1)
	d, size := hashOf(t, layer), int64(len(layer))
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	put := func(r *Registry, name string) error {
		return r.PutManifest(t.Context(), name, "v1", string(types.OCIImageIndex), manifest)
	}
	for _, tt := range []struct {
		method, path, body string
		code               int
		try                func(r *Registry) error
		fatal, refused     bool
		hint               string
	}{
		{"HEAD", "/manifests/", "", 405, func(r *Registry) error { _, err := r.Digest(t.Context(), "a", "v1"); return err }, true, true, "HEAD requests for manifests"},
		{"HEAD", "/manifests/", "", 501, func(r *Registry) error { _, err := r.Digest(t.Context(), "a", "v1"); return err }, true, true, "HEAD requests for manifests"},
		{"HEAD", "/blobs/", "", 405, func(r *Registry) error { _, err := r.HasBlob(t.Context(), "a", d, size); return err }, true, true, "HEAD requests for blobs"},
		{"PUT", "/manifests/", "", 405, func(r *Registry) error { return put(r, "a") }, true, true, "PUT requests for manifests"},
		{"PUT", "/manifests/", `{"errors":[{"code":"UNSUPPORTED","message":"locked"}]}`, 405, func(r *Registry) error { return put(r, "a") }, false, true, "PUT requests for manifests"},
		{"PUT", "/blobs/", "", 405, func(r *Registry) error { return r.Upload("a", d, size).Send(t.Context(), bytes.NewReader(layer)) }, true, true, "PUT requests for blobs"},
		{"PATCH", "/blobs/", "", 405, func(r *Registry) error { return r.Upload("a", d, size).Send(t.Context(), bytes.NewReader(layer)) }, false, false, "PATCH requests for blobs"}, // others are small
		{"PUT", "/b/manifests/", "", 405, func(r *Registry) error { return cmp.Or(put(r, "a"), put(r, "b")) }, false, false, "its tag locked"},
	} {
		r := dial(t, serve(t, refuse(tt.method, tt.path, tt.code, tt.body)))
		if strings.HasSuffix(tt.path, "/manifests/") { // blobs are accepted
			if err := r.Upload("a", d, size).Send(t.Context(), bytes.NewReader(layer)); err != nil {
				t.Fatal(err)
			}
		}
		err := tt.try(r)
		if status(err) != tt.code || r.Fatal(err) != tt.fatal || r.Refused(err) != tt.refused || !strings.Contains(cli.HintOf(err), tt.hint) {
			t.Errorf("%s %s %d: %v, fatal %v, refused %v, hint %q; want fatal %v, refused %v, hint %s",
				tt.method, tt.path, tt.code, err, r.Fatal(err), r.Refused(err), cli.HintOf(err), tt.fatal, tt.refused, tt.hint)
		}
	}
}

// What answers may be no HTTP server at all.
func TestWhatDoesNotSpeakHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1)) // a banner before the request is another error
			io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
			c.Close()
		}
	}()
	r := prepare(t, Options{At: l.Addr().String()})
	if err := r.Connect(t.Context()); err == nil || err.Error() != "not a registry: what answers does not speak HTTP" || cli.HintOf(err) == "" || !r.Fatal(err) {
		t.Errorf("Connect = %v (hint %q)", err, cli.HintOf(err))
	}
}
