package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// Both further bundles are listed in every form: images under the names that the
// vendor's guide gives them, and the files for an HTTP server.
func TestFurtherBundles(t *testing.T) {
	for _, kind := range []string{samplebundle.BareMetal, samplebundle.Ceph} {
		path, m := sample(t, samplebundle.Options{Bundle: kind})
		for i := range m.Entries { // the directory around everything is not part of a name
			m.Entries[i].Path = strings.TrimPrefix(m.Entries[i].Path, "bundle/")
		}
		dir := filepath.Join(t.TempDir(), "airgap-bm")
		if _, err := samplebundle.WriteDir(dir, samplebundle.Options{Bundle: kind}); err != nil {
			t.Fatal(err)
		}
		for _, operand := range []string{path, dir, filepath.Join(dir, "bundle"), "-"} {
			stdin, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			got := ls(t, stdin, operand)
			stdin.Close()
			if got.code != 0 {
				t.Fatalf("%s %s: %d, %s", kind, operand, got.code, got.err)
			}
			images, _ := records(t, got.out)
			compare(t, operand, m, images)
			compareFiles(t, operand, m, got.out)
		}
	}
}

func compareFiles(t *testing.T, bundle string, m samplebundle.Manifest, out string) {
	t.Helper()
	var got, want []record.File
	for line, err := range record.Read(strings.NewReader(out)) {
		var f record.File
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind != f.Kind() {
			continue
		}
		if err := line.Decode(&f); err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindFile {
			at := strings.LastIndexByte(e.Name, '/')
			want = append(want, record.File{Bundle: bundle, Entry: e.Path, Name: e.Name, Size: e.Size, Digest: e.Digest,
				Repository: "files/" + e.Name[:at], Tag: e.Name[at+1:]})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: files %+v, want %+v", bundle, got, want)
	}
}

// A file whose name would lead elsewhere fails, and the others are listed.
func TestHostileFileNames(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "bins"), 0o755)
	names := []string{"..&..&etc&passwd", "&etc&passwd", "a&.ssh&authorized_keys", "-rf", "a b"}
	for _, name := range append(names, "good", "k0s-v1.32.6+k0s.0-amd64") {
		os.WriteFile(filepath.Join(dir, "bins", name), []byte(name), 0o644)
	}
	got := ls(t, nil, "--format", "{{.name}} {{.tag}}", dir)
	if want := "good good\nk0s-v1.32.6+k0s.0-amd64 k0s-v1.32.6-k0s.0-amd64_8ec702165936ab24\n"; got.code != 1 || got.out != want {
		t.Errorf("%d, %q, want %q", got.code, got.out, want)
	}
	for _, name := range names {
		if !strings.Contains(got.err, "bins/"+name+": invalid file name") {
			t.Errorf("%s is not reported: %s", name, got.err)
		}
	}
}
