package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/samplebundle"
)

// leeway is how long distribution accepts a token after its end. A token issued almost
// that long in the past has a short life.
const leeway = time.Minute

// signer is a token server for distribution: it signs whatever it is asked for, as JSON
// web tokens, for its only user.
type signer struct {
	key  *ecdsa.PrivateKey
	cert []byte // DER
	life time.Duration
}

func newSigner(t *testing.T, life time.Duration) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "tokens"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key: key, cert: cert, life: life}
}

func (s *signer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != testUser || password != testSecret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	granted := []access{}
	for _, scope := range strings.Fields(strings.Join(r.URL.Query()["scope"], " ")) {
		if part := strings.Split(scope, ":"); len(part) == 3 {
			granted = append(granted, access{part[0], part[1], strings.Split(part[2], ",")})
		}
	}
	now := time.Now()
	end := now.Add(s.life - leeway)
	claims := map[string]any{
		"iss": "tokens", "sub": testUser, "aud": "test", "jti": rand.Text(),
		"exp": end.Unix(), "nbf": end.Add(-time.Hour).Unix(), "iat": end.Add(-time.Hour).Unix(), "access": granted,
	}
	json.NewEncoder(w).Encode(map[string]string{"token": s.sign(claims)})
}

// sign returns a JSON web token, with ES256 (RFC 7518, section 3.4).
func (s *signer) sign(claims map[string]any) string {
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.cert)}}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	a, b, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		panic(err)
	}
	raw := make([]byte, 64)
	a.FillBytes(raw[:32])
	b.FillBytes(raw[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
}

var listening = regexp.MustCompile(`listening on 127\.0\.0\.1:(\d+)`)

// distribution runs the registry of the distribution project over a directory, with the
// YAML of its auth section and further settings of its storage, and returns its host and
// port.
func distribution(t *testing.T, program, dir, auth string, storage ...string) (host string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registry.yml")
	yaml := fmt.Sprintf("version: 0.1\nstorage: {%s}\nhttp: {addr: 127.0.0.1:0}\n%s",
		strings.Join(append(storage, "filesystem: {rootdirectory: "+dir+"}"), ", "), auth)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", file)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port := make(chan string, 1)
	ended := make(chan struct{})
	go func() { // ends with the program
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
		close(port)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		cmd.Wait()
	})
	p := <-port
	if p == "" {
		t.Fatalf("%s did not start", program)
	}
	return "localhost:" + p
}

// The real registry accepts tokens that we fetch, refuses them after their end, and
// accepts the next ones.
func TestTokensOfDistribution(t *testing.T) {
	for _, program := range []string{"registry", "docker-registry"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			machine.NeedProgram(t, program)
			path, m := write(t, samplebundle.Options{Archives: 12})
			s := newSigner(t, 5*time.Second) // in whole seconds; a busy machine takes some to use one
			server := httptest.NewServer(s)
			defer server.Close()
			dir := t.TempDir()
			roots := filepath.Join(dir, "roots.pem")
			if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert}), 0o600); err != nil {
				t.Fatal(err)
			}
			realm := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/token"
			host := distribution(t, program, dir, fmt.Sprintf("auth: {token: {realm: %s, service: test, issuer: tokens, rootcertbundle: %s}}\n", realm, roots))
			through, late := detain(t, host, s.life)
			if r := pushAs(t, through, testSecret, path); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			if late.Load() == 0 {
				t.Error("the registry refused no token with a body")
			}
			checkTags(t, distribution(t, program, dir, ""), m)
		})
	}
}

// checkTags is checkAll for registries that check what a client reads, and that accept no
// manifest before its blobs.
func checkTags(t *testing.T, host string, m samplebundle.Manifest) {
	t.Helper()
	for _, e := range m.Entries {
		if e.Kind != samplebundle.KindOCI {
			continue
		}
		req, err := http.NewRequest(http.MethodGet, "http://"+host+"/v2/"+e.Repository+"/manifests/"+e.Tag, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json")
		resp, err := peer.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(raw)); err != nil || got != e.Digest {
			t.Errorf("%s:%s = %d %s, %v, want %s", e.Repository, e.Tag, resp.StatusCode, got, err, e.Digest)
		}
	}
}

// detain is a proxy that holds the first request with a body until its token has expired.
// It counts the refusals of such requests.
func detain(t *testing.T, to string, life time.Duration) (host string, late *atomic.Int64) {
	t.Helper()
	late = new(atomic.Int64)
	var first sync.Once
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if r.In.ContentLength > 0 {
				first.Do(func() { time.Sleep(life) })
			}
			r.SetURL(&url.URL{Scheme: "http", Host: to})
			r.Out.Host = r.In.Host // so that its addresses point here
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusUnauthorized && r.Request.ContentLength > 0 {
				late.Add(1)
			}
			return nil
		},
	})
	t.Cleanup(s.Close)
	return strings.Replace(strings.TrimPrefix(s.URL, "http://"), "127.0.0.1", "localhost", 1), late
}

// Referrers survive a copy through registries that do not list them, and back to one that
// does; each registry proves what it has.
func TestReferrersThroughDistribution(t *testing.T) {
	first := serve(t, nil)
	f := newFiller(t, first)
	child := f.manifest("app/x", "", "image", nil)
	root := f.index("app/x", "1.0", child)
	signature := f.manifest("app/x", "", "signature", &root)
	sbom := f.manifest("app/x", "", "sbom", &child)
	at := first
	for _, program := range []string{"registry", "docker-registry", ""} {
		next := ""
		if program == "" {
			next = serve(t, nil)
		} else {
			machine.NeedProgram(t, program)
			next = distribution(t, program, t.TempDir(), "")
		}
		if r := invoke(t, "", "--from", at, "--to", next); r.err != nil {
			t.Fatalf("to %s: %v\n%s", program, r.err, r.stderr)
		}
		at = next
		reg := newFiller(t, at).reg
		for subject, want := range map[v1.Hash]v1.Hash{root.Digest: signature.Digest, child.Digest: sbom.Digest} {
			if got, err := reg.Referrers(t.Context(), "app/x", subject); err != nil || len(got) != 1 || got[0] != want.String() {
				t.Errorf("%s: referrers = %v, %v, want %v", program, got, err, want)
			}
		}
	}
}

// A registry under maintenance is reported once, for all images.
func TestReadOnlyDistribution(t *testing.T) {
	machine.NeedProgram(t, "registry")
	path, _ := write(t, samplebundle.Options{Archives: 40})
	dir := t.TempDir()
	host := distribution(t, "registry", dir, "") // creates the directory
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	other, _ := write(t, samplebundle.Options{Archives: 40, Seed: 7})
	host = distribution(t, "registry", dir, "", "maintenance: {readonly: {enabled: true}}")
	r := invoke(t, "", "--to", host, other)
	if want := "registry " + host + ": registry answered 405 Method Not Allowed"; r.err == nil || !strings.HasPrefix(r.err.Error(), want) {
		t.Errorf("%v, want %s\n%s", r.err, want, r.stderr)
	}
	if n := strings.Count(r.stderr, "405"); n > refusals {
		t.Errorf("reported %d times:\n%s", n, r.stderr)
	}
}
