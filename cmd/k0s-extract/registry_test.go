package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
	standin "k0rdent-airgap/tests/k0s"
)

// serve runs a real registry. before is called with each request; if it returns
// true, it has answered.
func serve(t *testing.T, before func(http.ResponseWriter, *http.Request) bool) (host string) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody's credentials
	store, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := registry.New(store, registry.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { s.Close(); store.Close() })
	return strings.TrimPrefix(s.URL, "http://")
}

// upload pushes an image.
func upload(t *testing.T, host, repository, tag string, b blobs) {
	t.Helper()
	reg, err := client.New(client.Options{At: host, Names: client.Names{At: "--to"}, Push: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	put := func(name string, p []byte) {
		mediaType := typeManifest
		if bytes.Contains(p, []byte(typeIndex)) {
			mediaType = typeIndex
		}
		if err := reg.PutManifest(t.Context(), repository, name, mediaType, p); err != nil {
			t.Fatal(err)
		}
	}
	var manifests []string
	for d, p := range b.by {
		if bytes.Contains(p, []byte(`"schemaVersion"`)) {
			manifests = append(manifests, d)
			continue
		}
		hash, err := v1.NewHash(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := reg.Upload(repository, hash, int64(len(p))).Send(t.Context(), bytes.NewReader(p)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range manifests {
		if d != b.top.Digest {
			put(d, b.by[d])
		}
	}
	put(tag, b.by[b.top.Digest])
}

// TestRegistry extracts k0s from a registry.
func TestRegistry(t *testing.T) {
	host := serve(t, nil)
	const at = "site/k0sproject/k0s"
	image := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v132)), zipped(t, layerTar(t, member{name: "entrypoint.sh", body: []byte("#!")}))}},
		platformImage{"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}})
	upload(t, host, at, "v1.32.8-k0s.0", image)
	upload(t, host, at, "latest", image)
	newer := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v133))}})
	upload(t, host, at, "v1.33.1-k0s.10", newer)
	upload(t, host, "busybox", "v1.0.0", blobsOf(platformImage{"amd64", [][]byte{zipped(t, layerTar(t))}}))
	arm := standin.Program("arm64", v132)
	for _, tt := range []struct {
		ref, args, version, source string
		want                       []byte
		err                        string
	}{
		{at + ":v1.32.8-k0s.0", "", v132, at + ":v1.32.8-k0s.0", k0sFor(v132), ""},
		{at + ":v1.32.8-k0s.0", "--platform linux/arm64", v132, at + ":v1.32.8-k0s.0", arm, ""},
		{at, "", v133, at + ":v1.33.1-k0s.10", k0sFor(v133), ""},
		{at, "--k0s-version " + v132, v132, at + ":v1.32.8-k0s.0", k0sFor(v132), ""},
		{at + ":latest", "", "", at + ":latest", k0sFor(v132), ""},
		{at + ":latest", "--k0s-version " + v132, v132, at + ":latest", k0sFor(v132), ""},
		{at + "@" + image.top.Digest, "--k0s-version " + v132, v132, at + "@" + image.top.Digest, k0sFor(v132), ""},
		{at + ":v1.32.8-k0s.0@" + image.top.Digest, "", v132, at + ":v1.32.8-k0s.0@" + image.top.Digest, k0sFor(v132), ""},

		{at + ":v1.33.1-k0s.10@" + image.top.Digest, "", "", "", nil, "the tag has moved: the registry has " + newer.top.Digest + ", not " + image.top.Digest},
		{at + ":v1.33.1-k0s.10", "--platform linux/arm64", "", "", nil, "contains linux/amd64, not linux/arm64"},
		{at + ":v1.32.8-k0s.0", "--k0s-version " + v133, "", "", nil, "is not k0s v1.33.1+k0s.10"},
		{at, "--k0s-version v1.31.0", "", "", nil, "does not contain k0s v1.31.0, only v1.33.1+k0s.10, v1.32.8+k0s.0"},
		{at + ":v1.31.0-k0s.0", "", "", "", nil, "404 Not Found"},
		{"busybox:v1.0.0", "", "", "", nil, "image does not contain usr/local/bin/k0s"},
		{"gone/k0s", "", "", "", nil, "404 Not Found"},
	} {
		to := filepath.Join(t.TempDir(), "k0s")
		for _, status := range []string{record.StatusPlanned, record.StatusWritten, record.StatusUnchanged} {
			args := append(strings.Fields(tt.args), "--to", to, "--from", host+"/"+tt.ref)
			if status == record.StatusPlanned {
				args = append([]string{"--plan"}, args...)
			}
			out, _, err := run1(t, nil, args...)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s %s: %v, want %q", tt.ref, tt.args, err, tt.err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s %s: %v", tt.ref, tt.args, err)
			}
			r := records(t, out)[0]
			if r.Status != status || r.Version != tt.version || r.Source != "registry "+host+"/"+tt.source || r.Digest != digestOf(tt.want) {
				t.Errorf("%s %s: %+v, want it %s, version %q", tt.ref, tt.args, r, status, tt.version)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "k0s")
	if _, _, err := run1(t, nil, "--name", "--to", dir, "--from", host+"/"+at); err != nil || names(t, dir) != "k0s-v1.32.8+k0s.0-amd64 k0s-v1.33.1+k0s.10-amd64" {
		t.Errorf("--name: %v, %s, want both versions", err, names(t, dir))
	}
	if _, _, err := run1(t, nil, "--name", "--to", dir, "--from", host+"/"+at+":latest"); !cli.IsMisuse(err) {
		t.Errorf("--name of what tells no version: %v, want misuse", err)
	}
}

// TestRegistryBreaksOff closes the connection in the middle of the layer, and
// continues with bytes of another one.
func TestRegistryBreaksOff(t *testing.T) {
	layer := k0sLayer(t, append(k0sFor(v132), bytes.Repeat([]byte("0123456789"), 100_000)...))
	var cut atomic.Bool
	var lie atomic.Bool
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/blobs/"+digestOf(layer)) {
			return false
		}
		switch {
		case lie.Load():
			w.Write(bytes.Replace(layer, layer[len(layer)/2:len(layer)/2+4], []byte("lies"), 1))
			return true
		case cut.CompareAndSwap(false, true):
			w.Header().Set("Content-Length", "99999")
			w.Write(layer[:len(layer)/2])
			panic(http.ErrAbortHandler)
		}
		return false
	})
	upload(t, host, repository, "v1.32.8-k0s.0", blobsOf(platformImage{"amd64", [][]byte{layer}}))
	to := filepath.Join(t.TempDir(), "k0s")
	if _, _, err := run1(t, nil, "--to", to, "--from", host+"/"+repository+":v1.32.8-k0s.0"); err != nil || !cut.Load() {
		t.Errorf("%v, want it to resume where the connection broke (%v)", err, cut.Load())
	}
	lie.Store(true)
	writeFile(t, to, k0sFor("v1.31.0+k0s.0"), 0o755)
	if _, _, err := run1(t, nil, "--to", to, "--from", host+"/"+repository+":v1.32.8-k0s.0"); err == nil {
		t.Error("content with another digest: no error")
	}
	checkFile(t, to, k0sFor("v1.31.0+k0s.0"))
	if got := names(t, filepath.Dir(to)); got != "k0s" {
		t.Errorf("left behind: %s", got)
	}
}

func TestRegistryIsNotThere(t *testing.T) {
	const host = "127.0.0.1:1" // nothing listens there
	_, _, err := run1(t, nil, "--from", host+"/k0sproject/k0s:v1.32.8-k0s.0", "--to", filepath.Join(t.TempDir(), "k0s"))
	if cli.Code(err) != cli.CodeTryAgain || !strings.Contains(err.Error(), host) {
		t.Errorf("%v (exit code %d), want %d and an error about %s", err, cli.Code(err), cli.CodeTryAgain, host)
	}
}

// TestReference checks which values of --from are files, and which are images.
func TestReference(t *testing.T) {
	t.Chdir(t.TempDir())
	digest := digestOf(nil)
	for from, want := range map[string]bool{
		"10.0.0.5:5000/k0sproject/k0s:v1": true,
		"[::1]:5000/k0s:v1":               true,
		"localhost/k0s":                   true,
		"reg.local/a/b@" + digest:         true,
		"reg.local/a/b:v1@" + digest:      true,
		"my.dir/k0s":                      true,
		"k0s":                             false,
		"k0s-v1.32.8+k0s.0-amd64":         false,
		"media/usb/k0s":                   false,
		"/media/usb.1/k0s":                false,
		"./usb.1/k0s":                     false,
		"../k0s":                          false,
	} {
		r, ok, err := parseFrom(from)
		if ok != want || err != nil || ok && r.String() != from {
			t.Errorf("parseFrom(%q) = %v, %v, %v, want an image: %v", from, r, ok, err, want)
		}
	}
	if _, _, err := parseFrom("reg.local/a/b@sha256:ab"); !cli.IsMisuse(err) {
		t.Errorf("a truncated digest: %v, want misuse", err)
	}
	writeFile(t, "my.dir/k0s", nil, 0o644)
	if _, ok, _ := parseFrom("my.dir/k0s"); ok {
		t.Error("an existing file was taken for an image")
	}
}
