package chart

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/tests/samplebundle"
)

// sample returns a registry with the sample bundle.
func sample(t *testing.T, o samplebundle.Options) (*memory, *Chart) {
	t.Helper()
	dir := t.TempDir()
	content, err := samplebundle.WriteDir(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	for _, e := range content.Entries {
		if e.Kind != samplebundle.KindOCI {
			continue
		}
		for _, p := range unpacked(t, filepath.Join(dir, filepath.FromSlash(e.Path))) {
			m.blob(p)
		}
		if m.tags[e.Repository] == nil {
			m.tags[e.Repository] = map[string]string{}
		}
		m.tags[e.Repository][e.Tag] = e.Digest
		m.types[e.Digest] = e.MediaType
	}
	k := closure{site: Site{Registry: registry}, inv: m}
	c, err := k.open(context.Background(), registry+"/charts/k0rdent-enterprise:"+samplebundle.DefaultRelease)
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

// unpacked returns the files of a tar.
func unpacked(t *testing.T, name string) [][]byte {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for tr := tar.NewReader(bytes.NewReader(p)); ; {
		_, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// The sample bundle is a complete release: it has everything that its charts and its
// k0s request.
func TestSampleBundle(t *testing.T) {
	site := Site{Registry: registry, KubeVersion: "v1.32.8+k0s.0", CASecret: "ca"}
	for _, o := range []samplebundle.Options{{}, {Archives: 226}} {
		inv, c := sample(t, o)
		values, notes := derive(t, c, site, inv)
		for _, n := range notes {
			if n.Warning {
				t.Errorf("%s: %s", n.Value, n.Text)
			}
		}
		needs, _, err := c.Closure(context.Background(), values, site, inv)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(needs) {
			if o.Archives > 0 || !strings.Contains(fault, "optional") {
				t.Errorf("%d archives: %s", o.Archives, fault)
			}
		}
		if !slices.ContainsFunc(needs, func(n Need) bool { return n.Kind == KindArtifact }) {
			t.Errorf("%d archives: no components among %d needs", o.Archives, len(needs))
		}
		script, err := os.ReadFile("../../../tests/k0s/k0s")
		if err != nil {
			t.Fatal(err)
		}
		images, err := exec.Command("sh", "-c", string(script), "k0s", "airgap", "list-images").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range resolved(t, site, inv, strings.Fields(string(images))...) {
			if n.Missing {
				t.Errorf("%d archives: k0s requests %s, which is missing", o.Archives, n.Reference)
			}
		}
	}
}
