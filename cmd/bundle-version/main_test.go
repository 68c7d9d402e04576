package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/samplebundle"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func version(t *testing.T, stdin io.Reader, args ...string) (out, stderr string, code int) {
	t.Helper()
	var stdoutBuf, stderrBuf bytes.Buffer
	err := run(context.Background(), args, stdin, &stdoutBuf, &stderrBuf)
	cli.Report(&stderrBuf, "bundle-version", err)
	return stdoutBuf.String(), stderrBuf.String(), cli.Code(err)
}

func sample(t *testing.T, name string, o samplebundle.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := samplebundle.Write(f, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryForm(t *testing.T) {
	const found = `,"entry":"charts/k0rdent-enterprise_1.2.3.tar","name":"k0rdent-enterprise","version":"1.2.3"`
	const k0s = `,"k0s":["v1.32.8+k0s.0"]`
	for _, o := range []samplebundle.Options{
		{Format: samplebundle.TarGz}, {Format: samplebundle.TarZst}, {Format: samplebundle.Tar},
		{Format: samplebundle.TarGz, Top: "airgap-bundle-1.2.3"}, {Format: samplebundle.Tar, Top: "x", DotSlash: true},
	} {
		path := sample(t, "b", o)
		for _, all := range []bool{false, true} {
			want := `{"kind":"version","bundle":"` + path + `"` + found
			if all || o.Format == samplebundle.Tar {
				want += k0s
			}
			args := []string{path}
			if all {
				args = []string{"--all", path}
			}
			if out, stderr, code := version(t, nil, args...); code != 0 || out != want+"}\n" {
				t.Errorf("%+v, --all %v: %d, %s%s, want %s", o, all, code, out, stderr, want)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := samplebundle.WriteDir(dir, samplebundle.Options{}); err != nil {
		t.Fatal(err)
	}
	if out, _, _ := version(t, nil, dir); out != `{"kind":"version","bundle":"`+dir+`"`+found+k0s+"}\n" {
		t.Errorf("directory: %s", out)
	}
}

// The rest of a stream is not waited for.
func TestStopsAtTheChart(t *testing.T) {
	content, err := os.ReadFile(sample(t, "b", samplebundle.Options{Size: 4 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	defer w.Close()
	go w.Write(content[:len(content)*9/10]) // then nothing, without closing
	if out, stderr, code := version(t, r, "-"); code != 0 || !strings.Contains(out, `"version":"1.2.3"`) {
		t.Errorf("%d, %s%s", code, out, stderr)
	}
}

func TestWarnings(t *testing.T) {
	path := sample(t, "airgap-bundle-1.3.0.tar.gz", samplebundle.Options{})
	out, stderr, code := version(t, nil, "--format", "{{.version}}", path)
	if code != 0 || out != "1.2.3\n" || !strings.Contains(stderr, "the file name says 1.3.0, but its chart says 1.2.3") {
		t.Errorf("%d, %s%s", code, out, stderr)
	}
	path = sample(t, "airgap-bundle-1.2.3.tgz", samplebundle.Options{})
	if _, stderr, _ := version(t, nil, "--quiet", path); stderr != "" {
		t.Errorf("all is well, but stderr: %s", stderr)
	}
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := samplebundle.WriteDir(dir, samplebundle.Options{}); err != nil {
		t.Fatal(err)
	}
	chart := filepath.Join(dir, "charts/k0rdent-enterprise_1.2.3.tar")
	content, _ := os.ReadFile(chart)
	os.Rename(chart, filepath.Join(dir, "charts/k0rdent-enterprise_1.2.2.tar"))
	out, stderr, code = version(t, nil, "--format", "{{.version}}", dir)
	if code != 0 || out != "1.2.3\n" || !strings.Contains(stderr, "calls itself k0rdent-enterprise 1.2.3") {
		t.Errorf("%d, %s%s", code, out, stderr)
	}
	os.WriteFile(chart, content, 0o644)
	if _, stderr, _ = version(t, nil, dir); !strings.Contains(stderr, "k0rdent-enterprise_1.2.3.tar: another chart") {
		t.Errorf("two charts: %s", stderr)
	}
}

func TestNotFound(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, nil, 0o644)
	other := filepath.Join(dir, "other")
	os.MkdirAll(filepath.Join(other, "charts"), 0o755)
	// Names that a search for the beginning of the product's name would match.
	os.WriteFile(filepath.Join(other, "charts/k0rdent-enterprise-extra_1.0.tar"), []byte("x"), 0o644)
	os.WriteFile(filepath.Join(other, "k0rdent-enterprise_1.0.tar"), []byte("x"), 0o644)
	broken := filepath.Join(dir, "broken")
	os.MkdirAll(filepath.Join(broken, "charts"), 0o755)
	os.WriteFile(filepath.Join(broken, "charts/k0rdent-enterprise_1.0.tar"), []byte("x"), 0o644)
	cut := filepath.Join(dir, "cut")
	content, _ := os.ReadFile(sample(t, "b", samplebundle.Options{}))
	os.WriteFile(cut, content[:2000], 0o644)
	for _, tt := range []struct{ path, want string }{
		{empty, "the file is empty"},
		{other, "no chart charts/k0rdent-enterprise_*.tar"},
		{broken, "entry charts/k0rdent-enterprise_1.0.tar: not an OCI archive"},
		{cut, "truncated at byte 2000"},
		{filepath.Join(dir, "nosuch"), "no such file"},
	} {
		out, stderr, code := version(t, nil, tt.path)
		if code != 1 || out != "" || !strings.Contains(stderr, tt.path) || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: %d, %q, %s, want 1 and %q", tt.path, code, out, stderr, tt.want)
		}
	}
}

func TestRecordsOnStdin(t *testing.T) {
	path := sample(t, "b", samplebundle.Options{})
	bundle := `{"kind":"bundle","path":"` + path + `","signature":"none"}` + "\n"
	out, stderr, code := version(t, strings.NewReader(`{"kind":"note"}`+"\n"+bundle+`{"kind":"end"}`+"\n"))
	kinds := []string{}
	for line := range strings.Lines(out) {
		kinds = append(kinds, strings.Split(line, `"`)[3])
	}
	if want := []string{"note", "bundle", "version", "end"}; code != 0 || !slices.Equal(kinds, want) {
		t.Errorf("%d, %q, %s, want %q", code, kinds, stderr, want)
	}
	if _, stderr, code := version(t, strings.NewReader(strings.Replace(bundle, "none", "bad", 1))); code != 1 || !strings.Contains(stderr, "signature") {
		t.Errorf("bad signature: %d, %s", code, stderr)
	}
}

// Without its own chart, a further bundle has the version of most of its charts.
func TestFurtherCharts(t *testing.T) {
	for _, tt := range []struct {
		entries       string
		kind, version string
	}{
		{"charts/k0rdent-bm&charts&a@0.2.2.tar bundle/charts/k0rdent-bm&charts&b@0.2.2.tar charts/k0rdent-bm&charts&c@0.3.0.tar", typeBareMetal, "0.2.2"},
		{"images/acme&tool@1.tar bins/acme&kernel charts/acme&chart@4.5.6_b.1.tar", typeBareMetal, "4.5.6+b.1"},
		{"charts/registry.example&k0rdent-bm&charts&a@1.0.tar", typeBareMetal, "1.0"},
		{"images/quay.io&ceph&ceph@v19.tar charts/a&b&ceph-thing@1.2.tar", typeCeph, "1.2"},
		{"charts/ceph&a@1.2.tar charts/ceph&b@1.3.tar", typeCeph, ""},
		{"charts/acme&a@1.2.tar", "", ""},
		{"charts/k0rdent-bm_1.2.tar images/ceph_1.tar", "", ""},
	} {
		var f further
		for entry := range strings.FieldsSeq(tt.entries) {
			f.note(entry)
		}
		if got := f.version("other.tar"); got.Type != tt.kind || got.Version != tt.version {
			t.Errorf("%s: %q, %q, want %q, %q", tt.entries, got.Type, got.Version, tt.kind, tt.version)
		}
	}
}

// A further bundle has the version of its own chart or, without that, the one in
// its file's name.
func TestFurtherBundles(t *testing.T) {
	for _, tt := range []struct{ bundle, file, without, want, warning string }{
		{"bare-metal", "airgap-bundle-0.2.2.tar.gz", "", `,"entry":"charts/k0rdent-bm&charts&cluster-api-provider-metal3@0.2.2.tar","name":"cluster-api-provider-metal3","version":"0.2.2","type":"bare-metal"}`, ""},
		{"bare-metal", "other", "", `"version":"0.2.2","type":"bare-metal"}`, ""},
		{"bare-metal", "airgap-bundle-0.2.3.tar.gz", "", `"version":"0.2.2","type":"bare-metal"}`, "the file name says 0.2.3"},
		{"bare-metal", "airgap-bundle-0.2.2", "charts", `,"version":"0.2.2","type":"bare-metal"}`, ""},
		{"ceph", "airgap-bundle-ceph-1.0.11.tar.gz", "", `"name":"ceph-controller","version":"1.0.11","type":"ceph"}`, ""},
		{"ceph", "airgap-bundle-ceph-1.0.11", "charts", `,"version":"1.0.11","type":"ceph"}`, ""},
		{"ceph", "other", "charts", "", "neither its charts nor its file name show which version"},
		{"bare-metal", "airgap-bundle-ceph-1.0.11", "charts", "", "neither its charts nor its file name show which version"},
		{"bare-metal", "other", "charts/k0rdent-bm&charts&cluster-api-provider-metal3@0.2.2.tar", "", "neither its charts"},
		{"bare-metal", "other", "charts/k0rdent-bm&charts&capm3-standalone-cp@0.2.3.tar", `"version":"0.2.2"`, ""},
	} {
		path := filepath.Join(t.TempDir(), tt.file)
		if tt.without == "" {
			path = sample(t, tt.file, samplebundle.Options{Bundle: tt.bundle})
		} else if _, err := samplebundle.WriteDir(path, samplebundle.Options{Bundle: tt.bundle}); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(path, "bundle", tt.without))
		out, stderr, code := version(t, nil, path)
		if (code == 0) != (tt.want != "") || !strings.Contains(out, tt.want) || !strings.Contains(stderr, tt.warning) || tt.warning == "" && stderr != "" {
			t.Errorf("%s as %s without %q: %d, %s%s, want %s and %q", tt.bundle, tt.file, tt.without, code, out, stderr, tt.want, tt.warning)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	tags := []string{"v1.32.8-k0s.0", "v1.9.1-k0s.0", "v1.35.1-rc.1-k0s.0", "v1.35.1-k0s.0", "v1.35.1-k0s.10", "v1.35.1-k0s.2", "v1.32.8-k0s.0", "latest"}
	got := newestFirst(tags)
	want := []string{"v1.35.1+k0s.10", "v1.35.1+k0s.2", "v1.35.1+k0s.0", "v1.35.1-rc.1+k0s.0", "v1.32.8+k0s.0", "v1.9.1+k0s.0"}
	if !slices.Equal(got, want) {
		t.Errorf("newestFirst = %q, want %q", got, want)
	}
}

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

func TestDocs(t *testing.T) {
	var c config
	clitest.Docs(t, c.flags(), usage, "../..")
}

func TestUsage(t *testing.T) {
	out, _, _ := version(t, nil, "--help")
	path := filepath.Join("testdata", "usage.txt")
	if *update {
		os.MkdirAll("testdata", 0o755)
		os.WriteFile(path, []byte(out), 0o644)
	}
	if want, err := os.ReadFile(path); err != nil || out != string(want) {
		t.Errorf("%s differs; -update rewrites it, then read the diff: %v", path, err)
	}
}
