package samplebundle

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// files reads a tar into memory, by name.
func files(t *testing.T, r io.Reader) (names []string, content map[string][]byte) {
	t.Helper()
	content = map[string][]byte{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return names, content
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if content[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, o Options) ([]byte, Manifest) {
	t.Helper()
	var b bytes.Buffer
	m, err := Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), m
}

func TestSameOptionsSameBytes(t *testing.T) {
	sums := map[[32]byte]string{}
	for _, o := range []Options{
		{}, {Seed: 7}, {Format: TarZst}, {Format: Tar}, {Format: Tar, Release: "1.4.0"}, {Format: Tar, Top: "airgap-bundle-1.2.3"},
		{Format: Tar, DotSlash: true}, {Format: Tar, Sparse: true}, {Format: Tar, Archives: 3}, {Size: 8 << 20},
	} {
		name := fmt.Sprintf("%+v", o)
		first, _ := write(t, o)
		second, _ := write(t, o)
		if !bytes.Equal(first, second) {
			t.Errorf("Write(%s) gives other bytes the second time", name)
		}
		sum := sha256.Sum256(first)
		if other, ok := sums[sum]; ok {
			t.Errorf("Write(%s) gives the same bytes as %s", name, other)
		}
		sums[sum] = name
	}
}

// The same bundle comes out of every format.
func TestFormats(t *testing.T) {
	plain, m := write(t, Options{Format: Tar})
	unpack := map[Format]func([]byte) (io.Reader, error){
		TarGz:  func(p []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(p)) },
		TarZst: func(p []byte) (io.Reader, error) { return zstd.NewReader(bytes.NewReader(p)) },
	}
	for f, open := range unpack {
		packed, _ := write(t, Options{Format: f})
		r, err := open(packed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: unpacked to %d bytes (%v), want the %d of the tar", f, len(got), err, len(plain))
		}
	}
	dir := t.TempDir()
	if _, err := WriteDir(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	_, content := files(t, bytes.NewReader(plain))
	for _, e := range m.Entries {
		got, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil || !bytes.Equal(got, content[e.Path]) {
			t.Errorf("directory: %s differs from the tar's (%v)", e.Path, err)
		}
	}
	if _, err := Write(io.Discard, Options{Format: "rar"}); err == nil {
		t.Errorf("Write with format rar = nil, want an error")
	}
	if _, err := WriteDir(dir, Options{}); err == nil {
		t.Errorf("WriteDir into a full directory = nil, want an error")
	}
}

// The manifest is what a reader with only the standard library finds.
func TestManifestIsTrue(t *testing.T) {
	for _, o := range []Options{
		{Format: Tar, Archives: 226},
		{Format: Tar, Sparse: true, Archives: 60, Top: "airgap-bundle-1.2.3"},
		{Format: Tar, Size: 12 << 20, DotSlash: true},
	} {
		p, m := write(t, o)
		names, content := files(t, bytes.NewReader(p))
		var want []string
		for _, e := range m.Entries {
			name := path.Join(m.Root, e.Path)
			if o.DotSlash {
				name = "./" + name
			}
			want = append(want, name)
			if got := int64(len(content[name])); got != e.Size {
				t.Errorf("%s: size %d, want %d", name, got, e.Size)
			}
			if e.Kind == KindOCI {
				checkArchive(t, e, content[name])
			}
		}
		got := slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "/") })
		if !slices.Equal(got, want) {
			t.Errorf("names = %q, want %q", got, want)
		}
	}
}

func checkArchive(t *testing.T, e Entry, p []byte) {
	t.Helper()
	names, content := files(t, bytes.NewReader(p))
	var want []string
	want = append(want, "blobs/", "blobs/sha256/")
	for _, b := range e.Blobs {
		want = append(want, blobName(b.Digest))
		if got := content[blobName(b.Digest)]; digestOf(got) != b.Digest || int64(len(got)) != b.Size {
			t.Errorf("%s: blob %s holds %d bytes of digest %s", e.Path, b.Digest, len(got), digestOf(got))
		}
	}
	if want = append(want, "index.json", "oci-layout"); !slices.Equal(names, want) {
		t.Errorf("%s: members %q, want %q", e.Path, names, want)
	}
	var idx index
	decode(content["index.json"], &idx)
	d := idx.Manifests[0]
	if d.Digest != e.Digest || d.MediaType != e.MediaType || d.Annotations[refName] != e.Annotation {
		t.Errorf("%s: index.json says %+v, the manifest %+v", e.Path, d, e)
	}
	used, missing := map[string]bool{}, []string{}
	walk(t, content, d, used, &missing)
	if !slices.Equal(missing, append([]string{}, e.Missing...)) {
		t.Errorf("%s: missing %q, want %q", e.Path, missing, e.Missing)
	}
	if len(used) != len(e.Blobs) {
		t.Errorf("%s: %d blobs are referred to, there are %d", e.Path, len(used), len(e.Blobs))
	}
}

// walk follows descriptors down from d.
func walk(t *testing.T, content map[string][]byte, d descriptor, used map[string]bool, missing *[]string) {
	t.Helper()
	p, ok := content[blobName(d.Digest)]
	if !ok {
		*missing = append(*missing, d.Digest)
		return
	}
	used[d.Digest] = true
	if int64(len(p)) != d.Size {
		t.Errorf("%s has %d bytes, its descriptor says %d", d.Digest, len(p), d.Size)
	}
	switch d.MediaType {
	case typeIndex:
		var idx index
		decode(p, &idx)
		for _, c := range idx.Manifests {
			walk(t, content, c, used, missing)
		}
	case typeManifest:
		var m manifest
		decode(p, &m)
		for _, c := range append(m.Layers, m.Config) {
			walk(t, content, c, used, missing)
		}
		if m.Config.MediaType == typeConfig && m.Layers[0].MediaType == typeLayer {
			checkDiffIDs(t, content, m)
		}
	}
}

// checkDiffIDs unpacks an image's layers: container runtimes compare these.
func checkDiffIDs(t *testing.T, content map[string][]byte, m manifest) {
	t.Helper()
	var c imageConfig
	decode(content[blobName(m.Config.Digest)], &c)
	for i, l := range m.Layers {
		zr, err := gzip.NewReader(bytes.NewReader(content[blobName(l.Digest)]))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(zr)
		if err != nil || digestOf(raw) != c.RootFS.DiffIDs[i] {
			t.Errorf("layer %s unpacks to %s (%v), the config says %s", l.Digest, digestOf(raw), err, c.RootFS.DiffIDs[i])
		}
		if names, _ := files(t, bytes.NewReader(raw)); len(names) == 0 {
			t.Errorf("layer %s is empty", l.Digest)
		}
	}
}

func TestSizeAndSharing(t *testing.T) {
	const want = 20 << 20
	p, m := write(t, Options{Format: Tar, Size: want, Archives: 120})
	if got := len(p); got < want*9/10 || got > want*11/10 {
		t.Errorf("size %d, want about %d", got, want)
	}
	in := map[string]int{}
	for _, e := range m.Entries {
		for _, b := range e.Blobs {
			in[b.Digest]++
		}
	}
	if shared := slices.Max(slices.Collect(maps.Values(in))); shared < 20 {
		t.Errorf("the most shared blob is in %d archives, want a base layer in at least 20", shared)
	}
	// Layers are compressed, so gzip gains little; but it gains, and does not
	// store, which is what decides how fast the bundle is to inflate.
	packed, _ := write(t, Options{Size: want, Archives: 120})
	if ratio := float64(len(packed)) / float64(len(p)); ratio < 0.90 || ratio > 0.99 {
		t.Errorf("gzip leaves %.3f of the tar, want 0.90 to 0.99", ratio)
	}
}

// What the charts name is in the bundle.
func TestCoreIsClosed(t *testing.T) {
	for _, o := range []Options{{}, {Release: "1.3.1"}, {Archives: 226}} {
		o.Format = Tar
		p, m := write(t, o)
		_, content := files(t, bytes.NewReader(p))
		have := map[string]bool{}
		for _, e := range m.Entries {
			have[e.Repository+":"+e.Tag] = true
		}
		for _, e := range m.Entries {
			if e.Type != "chart" {
				continue
			}
			for name, text := range chartContent(t, content[e.Path]) {
				checkReferences(t, have, e, name, string(text))
			}
		}
	}
}

func checkReferences(t *testing.T, have map[string]bool, e Entry, name, text string) {
	t.Helper()
	if strings.Contains(text, "@VERSION@") || strings.Contains(text, "@RELEASE@") {
		t.Errorf("%s: %s: a placeholder is left", e.Path, name)
	}
	chart := ""
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case e.Chart.Name == "kcm-templates" && key == "chart":
			chart = value
		case chart != "" && key == "version":
			if ref := "charts/" + chart + ":" + strings.ReplaceAll(value, "+", "_"); !have[ref] {
				t.Errorf("%s: %s names %s, which is not in the bundle", e.Path, name, ref)
			}
			chart = ""
		case key == "oci" || key == "imageUrl":
			i := strings.Index(value, "/")
			ref := strings.ReplaceAll(value[i+1:], "{{ $.Chart.AppVersion }}", e.Chart.AppVersion)
			if !have[ref] {
				t.Errorf("%s: %s names %s, which is not in the bundle", e.Path, name, ref)
			}
		}
	}
}

// chartContent unpacks the tgz in a chart's archive.
func chartContent(t *testing.T, p []byte) map[string][]byte {
	t.Helper()
	_, content := files(t, bytes.NewReader(p))
	var idx index
	decode(content["index.json"], &idx)
	var m manifest
	decode(content[blobName(idx.Manifests[0].Digest)], &m)
	if m.Config.MediaType != typeHelmConfig || len(m.Layers) != 1 || m.Layers[0].MediaType != typeHelmContent {
		t.Fatalf("not a chart as Helm pushes it: %+v", m)
	}
	zr, err := gzip.NewReader(bytes.NewReader(content[blobName(m.Layers[0].Digest)]))
	if err != nil {
		t.Fatal(err)
	}
	_, inside := files(t, zr)
	return inside
}

func TestPlatformChart(t *testing.T) {
	p, m := write(t, Options{Format: Tar})
	_, content := files(t, bytes.NewReader(p))
	e, ok := m.Find("charts/k0rdent-enterprise_1.2.3.tar")
	if !ok || *e.Chart != (Chart{Name: "k0rdent-enterprise", Version: "1.2.3"}) {
		t.Fatalf("Find(k0rdent-enterprise) = %+v, %v", e, ok)
	}
	inside := chartContent(t, content[e.Path])
	top := parseMeta(inside["k0rdent-enterprise/Chart.yaml"])
	var aliases []string
	for _, d := range top.Dependencies {
		aliases = append(aliases, d.Name+"="+d.Alias)
		sub := parseMeta(inside["k0rdent-enterprise/charts/"+d.Name+"/Chart.yaml"])
		if sub.Name != d.Name || strings.TrimPrefix(sub.Version, "v") != strings.TrimPrefix(d.Version, "v") {
			t.Errorf("dependency %s %s: the chart has %s %s", d.Name, d.Version, sub.Name, sub.Version)
		}
	}
	if want := []string{"flux2=", "rbac-manager=", "k0rdent-ui=", "kcm-regional=regional"}; !slices.Equal(aliases, want) {
		t.Errorf("dependencies = %q, want %q", aliases, want)
	}
	for _, name := range []string{"values.yaml", "values.schema.json", "charts/kcm-regional/values.schema.json",
		"charts/kcm-regional/charts/cert-manager/values.yaml", "charts/kcm-regional/charts/velero/values.yaml"} {
		if len(inside["k0rdent-enterprise/"+name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestK0s(t *testing.T) {
	program := filepath.Join(t.TempDir(), "k0s")
	given := bytes.Repeat([]byte("given by the caller\n"), 100_000)
	if err := os.WriteFile(program, given, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {K0s: StandIn}, {K0s: program}} {
		o.Format = Tar
		p, m := write(t, o)
		_, content := files(t, bytes.NewReader(p))
		e, _ := m.Find("k0sproject/k0s_v1.32.8-k0s.0.tar")
		found := k0sIn(t, content[e.Path])
		if len(found) != 2 {
			t.Fatalf("%d programs, want one for each platform", len(found))
		}
		for arch, k0s := range found {
			if o.K0s == program {
				if !bytes.Equal(k0s, given) {
					t.Errorf("%s: %d bytes, want the file that was given", arch, len(k0s))
				}
				continue
			}
			checkK0s(t, arch, k0s)
		}
	}
}

// k0sIn finds /usr/local/bin/k0s of each platform.
func k0sIn(t *testing.T, p []byte) map[string][]byte {
	t.Helper()
	_, content := files(t, bytes.NewReader(p))
	var top, idx index
	decode(content["index.json"], &top)
	decode(content[blobName(top.Manifests[0].Digest)], &idx)
	found := map[string][]byte{}
	for _, d := range idx.Manifests {
		var m manifest
		decode(content[blobName(d.Digest)], &m)
		zr, err := gzip.NewReader(bytes.NewReader(content[blobName(m.Layers[len(m.Layers)-1].Digest)]))
		if err != nil {
			t.Fatal(err)
		}
		_, inside := files(t, zr)
		found[d.Platform.Architecture] = inside["usr/local/bin/k0s"]
	}
	return found
}

func checkK0s(t *testing.T, arch string, p []byte) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; f.Machine != want {
		t.Errorf("%s: machine %s, want %s", arch, f.Machine, want)
	}
	if z, err := zip.NewReader(bytes.NewReader(p), int64(len(p))); err != nil || len(z.File) == 0 {
		t.Errorf("%s: %v, want a zip at the end", arch, err)
	}
	if arch != runtime.GOARCH || runtime.GOOS != "linux" {
		return
	}
	name := filepath.Join(t.TempDir(), "k0s")
	if err := os.WriteFile(name, p, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name, "version").Output()
	if err != nil || string(out) != "v1.32.8+k0s.0\n" {
		t.Errorf("k0s version = %q, %v, want v1.32.8+k0s.0", out, err)
	}
}
