package sampleregistry

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
)

// Shared is a registry that several tests of a package read.
type Shared struct {
	Content Content

	once sync.Once
	r    *Registry
	dir  string
}

// Get serves it, the first time.
func (s *Shared) Get(t testing.TB) *Registry {
	t.Helper()
	s.once.Do(func() {
		dir, err := os.MkdirTemp("", "k0rdent-test-site")
		if err != nil {
			t.Fatal(err)
		}
		s.dir, s.r = dir, Serve(t, dir, s.Content)
	})
	return s.r
}

// Close ends it, if it was served.
func (s *Shared) Close() {
	if s.r != nil {
		s.r.Close()
		os.RemoveAll(s.dir)
	}
}

// connect opens the registry as a tool of the site does.
func (r *Registry) connect(t testing.TB) *client.Registry {
	t.Helper()
	reg, err := client.New(client.Options{At: r.At, Names: client.SiteNames, CAFile: r.CA})
	if err == nil {
		err = reg.Connect(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// Pushed returns the records of an oci-push of this content, by
// NAME:TAG.
func (r *Registry) Pushed(t testing.TB, names ...string) string {
	t.Helper()
	reg := r.connect(t)
	var b bytes.Buffer
	out := record.NewWriter(&b, nil)
	for _, name := range names {
		repository, tag, _ := strings.Cut(name, ":")
		digest, err := reg.Digest(t.Context(), repository, tag)
		if err != nil || digest == "" {
			t.Fatalf("%s: digest %q, %v", name, digest, err)
		}
		i := record.Image{Repository: repository, Tag: tag, Digest: digest, Status: record.StatusPushed, Registry: r.At, Reference: r.At + "/" + name}
		if err := out.Write(i); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Move makes a tag stand for other content of the same repository, as anyone
// with write access to the registry can. It returns both digests.
func (r *Registry) Move(t testing.TB, name string) (was, is string) {
	t.Helper()
	reg := r.connect(t)
	repository, tag, _ := strings.Cut(name, ":")
	d, raw, err := reg.Manifest(t.Context(), repository, tag)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte("{"), []byte("{\n"), 1)
	if err := reg.PutManifest(t.Context(), repository, tag, string(d.MediaType), raw); err != nil {
		t.Fatal(err)
	}
	return d.Digest.String(), fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
}

// Unusable is a registry that no node can pull from, as flags say it, and what a
// preflight says of it.
type Unusable struct {
	Name string
	Args []string
	Want string // in the error of the step
	Code int
}

// Unusable lists such registries, the first of which is nowhere.
func (r *Registry) Unusable() []Unusable {
	return []Unusable{
		{"nobody there", []string{"--registry", "127.0.0.1:1", "--ca", r.CA, "--ignore", "loopback"}, "registry: 127.0.0.1:1: ", cli.CodeTryAgain},
		{"localhost", []string{"--registry", r.At, "--ca", r.CA}, "is a loopback address", cli.CodeFailed},
		{"unknown authority", []string{"--registry", r.At, "--ignore", "loopback"}, "its certificate is signed by an unknown authority", cli.CodeFailed},
		{"none", nil, "", cli.CodeMisuse},
		{"no such file", []string{"--registry", r.At, "--ca", "/no/such/ca.pem"}, "", cli.CodeMisuse},
		{"not a certificate", []string{"--registry", r.At, "--ca", "/dev/null"}, "", cli.CodeMisuse},
	}
}
