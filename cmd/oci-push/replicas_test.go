package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/tests/replicas"
	"k0rdent-airgap/tests/samplebundle"
)

// pair is a pair of registries to push to.
type pair struct {
	*replicas.Site
	t *testing.T
}

// args are the flags that push to one of the pair.
func (p pair) args(to *replicas.Registry, more ...string) []string {
	return append(append([]string{"--to", to.At + "/site"}, p.Login()...), more...)
}

// whole copies everything that one of the pair lists, and checks it byte by byte.
func (p pair) whole(from *replicas.Registry, m samplebundle.Manifest) {
	p.t.Helper()
	local := serve(p.t, nil)
	r := invoke(p.t, "", "--from", from.At+"/site", "--to", local, "--ca", p.CA,
		"--from-username", replicas.Username, "--from-password-file", p.PasswordFile)
	if r.err != nil {
		p.t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	checkAll(p.t, local, "", m)
}

// send sends a request to one of the pair, and does not follow where it leads.
func (p pair) send(method string, to *replicas.Registry, path string) *http.Response {
	p.t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(p.CA)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		p.t.Fatalf("%s: %v", p.CA, err)
	}
	c := http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequest(method, "https://"+to.At+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth(replicas.Username, replicas.Password)
	resp, err := c.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// What one of two registries over one object store has accepted, the other has, at once.
func TestReplicas(t *testing.T) {
	t.Parallel()
	p := pair{replicas.Serve(t, replicas.Options{}), t}
	path, m := write(t, samplebundle.Options{Archives: 12})
	if r := invoke(t, "", p.args(p.A, path)...); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	if r := invoke(t, "", p.args(p.B, "--plan", path)...); r.err != nil || r.statuses()["exists"] != len(r.images) {
		t.Fatalf("through the other: %v, %v\n%s", r.err, r.statuses(), r.stderr)
	}
	p.whole(p.B, m)

	// What is deleted through one is missing at the other, and is pushed again.
	var gone samplebundle.Entry
	for _, e := range m.Entries {
		if e.Repository == "k0rdent-ui" {
			gone = e
		}
	}
	at := "/v2/site/" + gone.Repository + "/manifests/" + gone.Digest
	if resp := p.send(http.MethodDelete, p.B, at); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("DELETE %s: %s", at, resp.Status)
	}
	if resp := p.send(http.MethodHead, p.A, at); resp.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD %s at the other: %s, want it gone", at, resp.Status)
	}
	r := invoke(t, "", p.args(p.A, path)...)
	if n := r.statuses(); r.err != nil || n["pushed"] != 1 || n["exists"] != len(r.images)-1 {
		t.Fatalf("after the deletion of one image: %v, %v\n%s", r.err, n, r.stderr)
	}
	p.whole(p.B, m)
}

// upTo calls stop once, when the first image has been pushed.
type upTo struct {
	bytes.Buffer
	stop func()
}

func (u *upTo) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"status":"pushed"`)) {
		u.stop()
	}
	return u.Buffer.Write(line)
}

// A registry that is killed during a push ends the run with status 75, and the same
// command completes it through the other.
func TestReplicaKilled(t *testing.T) {
	t.Parallel()
	p := pair{replicas.Serve(t, replicas.Options{}), t}
	path, m := write(t, samplebundle.Options{Archives: 12})
	stdout, stderr := &upTo{stop: sync.OnceFunc(p.A.Kill)}, new(bytes.Buffer)
	err := run(context.Background(), p.args(p.A, path), strings.NewReader(""), stdout, stderr)
	if cli.Code(err) != cli.CodeTryAgain || !strings.HasPrefix(err.Error(), "registry "+p.A.At+": ") || !strings.Contains(err.Error(), "registry unreachable: ") {
		t.Errorf("status %d, %v, want %d and an unreachable registry\n%s", cli.Code(err), err, cli.CodeTryAgain, stderr)
	}
	r := invoke(t, "", p.args(p.B, path)...)
	if n := r.statuses(); r.err != nil || n["exists"] == 0 || n["failed"] > 0 {
		t.Fatalf("through the other: %v, %v\n%s", r.err, n, r.stderr)
	}
	p.whole(p.B, m)
}

// A registry that sends clients to the object store for blobs is read like any other.
func TestReplicasRedirect(t *testing.T) {
	t.Parallel()
	p := pair{replicas.Serve(t, replicas.Options{Redirect: [2]bool{false, true}}), t}
	path, m := write(t, samplebundle.Options{Archives: 12})
	if r := invoke(t, "", p.args(p.A, path)...); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	reg, err := client.New(client.Options{At: p.B.At + "/site", CAFile: p.CA, Username: replicas.Username, PasswordFile: p.PasswordFile})
	if err != nil {
		t.Fatal(err)
	}
	img, err := reg.Image(t.Context(), "k0rdent-ui", "1.1.1")
	if err != nil {
		t.Fatal(err)
	}
	resp := p.send(http.MethodGet, p.B, "/v2/site/k0rdent-ui/blobs/"+img.Blobs[0].Digest.String())
	if to, err := url.Parse(resp.Header.Get("Location")); err != nil || resp.StatusCode != http.StatusTemporaryRedirect || to.Host != p.Store {
		t.Fatalf("%s to %q, want a redirect to the store, %s", resp.Status, resp.Header.Get("Location"), p.Store)
	}
	p.whole(p.B, m)
}
