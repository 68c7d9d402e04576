package client

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
		if _, err := push.Digest(t.Context(), "open", "v1"); err != nil || push.Refused(&statusError{err: &transport.Error{StatusCode: code, Request: &http.Request{Method: "HEAD"}}}) {
			t.Errorf("%d: %v, or the registry that answers refuses everything", code, err)
		}
		pull := prepare(t, Options{At: host})
		if _, err := pull.Digest(t.Context(), "secret", "v1"); err == nil || pull.Refused(err) {
			t.Errorf("%d: %v concerns all of a source", code, err)
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
