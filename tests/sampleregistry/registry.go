// Package sampleregistry serves a registry behind TLS with images of the sample
// bundle in it, for tests of what installs from one.
package sampleregistry

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/registry"
	"k0rdent-airgap/tests/samplebundle"
)

// Registry is one that is served.
type Registry struct {
	At, CA string // HOST:PORT, and the file of its authority

	srv  *httptest.Server
	disk *registry.Disk
}

// Content is what of the sample bundle a registry gets.
type Content struct {
	Repositories string            // the prefix of those that it gets
	Made         map[string]string // further images, each of the content of one that it gets, by NAME:TAG
	Without      []string          // prefixes of the names that it does not get
}

// Serve serves a registry with its files below dir, until it is closed.
func Serve(t testing.TB, dir string, c Content) *Registry {
	t.Helper()
	disk, err := registry.OpenDisk(filepath.Join(dir, "storage"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(registry.New(disk, registry.Options{}))
	r := &Registry{At: srv.Listener.Addr().String(), CA: filepath.Join(dir, "ca.pem"), srv: srv, disk: disk}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(r.CA, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.fill(t, c)
	return r
}

// Close ends it.
func (r *Registry) Close() {
	r.srv.Close()
	r.disk.Close()
}

func (r *Registry) fill(t testing.TB, c Content) {
	t.Helper()
	dir := t.TempDir()
	m, err := samplebundle.WriteDir(dir, samplebundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Entries {
		if e.Kind != samplebundle.KindOCI || !strings.HasPrefix(e.Repository, c.Repositories) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.Path)))
		if err != nil {
			t.Fatal(err)
		}
		names := []string{e.Repository + ":" + e.Tag}
		for name, like := range c.Made {
			if like == e.Repository {
				names = append(names, name)
			}
		}
		for _, name := range names {
			skip := false
			for _, w := range c.Without {
				skip = skip || strings.HasPrefix(name, w)
			}
			if skip {
				continue
			}
			if err := r.upload(name, text); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// upload puts an OCI archive into the registry.
func (r *Registry) upload(name string, archive []byte) error {
	repository, tag, _ := strings.Cut(name, ":")
	a, err := oci.Open(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	images, err := a.Images()
	if err != nil {
		return err
	}
	for _, image := range images {
		for _, d := range image.Blobs {
			blob, ok := a.Blob(d.Digest)
			if !ok {
				return fmt.Errorf("%s: no blob %v", name, d.Digest)
			}
			if err := r.send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+d.Digest.String(), "application/octet-stream", blob); err != nil {
				return err
			}
		}
		for i, m := range image.Manifests {
			reference := m.Descriptor.Digest.String()
			if i == len(image.Manifests)-1 {
				reference = tag
			}
			if err := r.send(http.MethodPut, "/v2/"+repository+"/manifests/"+reference, string(m.Descriptor.MediaType), bytes.NewReader(m.Raw)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Registry) send(method, path, mediaType string, body io.Reader) error {
	req, err := http.NewRequest(method, r.srv.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := r.srv.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
	}
	return nil
}
