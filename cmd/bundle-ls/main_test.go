package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/samplebundle"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ran is the result of a run.
type ran struct {
	out, err string
	code     int
}

func ls(t *testing.T, stdin io.Reader, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(context.Background(), args, stdin, &stdout, &stderr)
	cli.Report(&stderr, "bundle-ls", err)
	return ran{stdout.String(), stderr.String(), cli.Code(err)}
}

// sample writes a small bundle and returns its manifest.
func sample(t testing.TB, o samplebundle.Options) (string, samplebundle.Manifest) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := samplebundle.Write(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return path, m
}

// images and others split the records of a run by kind.
func records(t *testing.T, out string) (images []record.Image, others map[string]int) {
	t.Helper()
	others = map[string]int{}
	for line, err := range record.Read(strings.NewReader(out)) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind != "image" {
			others[line.Kind]++
			continue
		}
		var image record.Image
		if err := line.Decode(&image); err != nil {
			t.Fatal(err)
		}
		images = append(images, image)
	}
	return images, others
}

// compare compares image records with what the generator wrote.
func compare(t *testing.T, path string, m samplebundle.Manifest, images []record.Image) {
	t.Helper()
	var want []samplebundle.Entry
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b samplebundle.Entry) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(images, func(a, b record.Image) int { return strings.Compare(a.Entry, b.Entry) })
	if len(images) != len(want) {
		t.Fatalf("%d images, want %d", len(images), len(want))
	}
	for i, w := range want {
		got := images[i]
		var wantChart *record.Chart
		if w.Chart != nil {
			wantChart = &record.Chart{Name: w.Chart.Name, Version: w.Chart.Version, AppVersion: w.Chart.AppVersion}
		}
		if strings.Contains(got.Warning, "sparse") {
			w.Platforms = got.Platforms // of the manifests in the archive, not of all in the index
		}
		expect := record.Image{Bundle: path, Entry: w.Path, Repository: w.Repository, Tag: w.Tag, Digest: w.Digest, Subject: w.Subject,
			MediaType: w.MediaType, Type: w.Type, Platforms: w.Platforms, Chart: wantChart,
			Size: got.Size, Blobs: got.Blobs, Warning: got.Warning}
		a, _ := record.Marshal(got)
		b, _ := record.Marshal(expect)
		if !bytes.Equal(a, b) {
			t.Errorf("entry %s:\n got %swant %s", w.Path, a, b)
		}
	}
}

func TestEveryForm(t *testing.T) {
	var tgz string
	for _, o := range []samplebundle.Options{
		{Format: samplebundle.TarGz}, {Format: samplebundle.TarZst}, {Format: samplebundle.Tar},
		{Format: samplebundle.TarGz, DotSlash: true}, {Format: samplebundle.Tar, Top: "airgap-bundle-1.2.3"},
		{Format: samplebundle.TarGz, Top: "airgap-bundle-1.2.3", DotSlash: true}, {Format: samplebundle.TarGz, Archives: 226},
	} {
		path, m := sample(t, o)
		got := ls(t, nil, path)
		if got.code != 0 {
			t.Fatalf("%+v: %s", o, got.err)
		}
		images, others := records(t, got.out)
		compare(t, path, m, images)
		if others["skipped"] != 2 || others["summary"] != 1 {
			t.Errorf("%+v: %v", o, others)
		}
		if tgz == "" {
			tgz = path
		}
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	m, err := samplebundle.WriteDir(dir, samplebundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	images, _ := records(t, ls(t, nil, dir).out)
	compare(t, dir, m, images)

	content, _ := os.ReadFile(tgz)
	images, _ = records(t, ls(t, bytes.NewReader(content), "-").out)
	compare(t, "-", m, images)
}

// Every vector ends as its class requires, and everything intact is listed.
func TestVectors(t *testing.T) {
	for _, v := range samplebundle.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			var b bytes.Buffer
			m, err := v.Write(&b)
			if err != nil {
				t.Fatal(err)
			}
			got := ls(t, &b, "-")
			images, others := records(t, got.out)
			if others["summary"] != 1 {
				t.Errorf("no summary")
			}
			wantCode := 1
			switch v.Want {
			case samplebundle.Fine, samplebundle.Sparse, samplebundle.Ambiguous, samplebundle.Skipped:
				wantCode = 0
			case samplebundle.Duplicate: // a duplicate reference is a warning, a duplicate path an error
				wantCode = got.code
				if !strings.Contains(got.err, "twice") && !strings.Contains(got.err, "same reference") {
					t.Errorf("stderr does not name the duplicate: %s", got.err)
				}
			}
			if got.code != wantCode {
				t.Errorf("exit code %d, want %d: %s", got.code, wantCode, got.err)
			}
			warned := strings.Contains(got.err, "warning") || strings.Contains(got.out, `"warning"`)
			if (v.Want == samplebundle.Ambiguous || v.Want == samplebundle.Sparse) && !warned {
				t.Errorf("no warning: %s", got.err)
			}
			if v.Want == samplebundle.Truncated && !strings.Contains(got.err, "truncated at byte") ||
				v.Want == samplebundle.Corrupt && !strings.Contains(got.err, "corrupted near byte") {
				t.Errorf("stderr: %s", got.err)
			}
			stream := v.Want == samplebundle.Truncated || v.Want == samplebundle.Corrupt
			if !stream && v.Want != samplebundle.Duplicate {
				compare(t, "-", m, images)
			}
			if strings.ContainsAny(got.err, "\x1b\r\x00") || strings.Contains(got.err, "goroutine") {
				t.Errorf("stderr is not fit for a terminal: %q", got.err)
			}
		})
	}
}

func TestMap(t *testing.T) {
	path, _ := sample(t, samplebundle.Options{})
	file := filepath.Join(t.TempDir(), "map")
	os.WriteFile(file, []byte("# ours\nbusybox_1.37.0.tar  tools/busybox:stable\nnosuch.tar x:1\n"), 0o644)
	got := ls(t, nil, "--map", file, "--format", "{{.entry}} {{.repository}}:{{.tag}}", path)
	if got.code != 0 || !strings.Contains(got.out, "busybox_1.37.0.tar tools/busybox:stable\n") {
		t.Errorf("%d, %s%s", got.code, got.out, got.err)
	}
	if !strings.Contains(got.err, "nosuch.tar") {
		t.Errorf("an override without its entry is not reported: %s", got.err)
	}
	os.WriteFile(file, []byte("\nbusybox_1.37.0.tar BUSY:1\n"), 0o644)
	if got := ls(t, nil, "--map", file, path); got.code != 2 || !strings.Contains(got.err, "line 2") {
		t.Errorf("%d, %s", got.code, got.err)
	}
	if got := ls(t, nil, "--map", "/nonexistent", path); got.code != 2 {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

// The blob records of an entry are its files, each once.
func TestBlobs(t *testing.T) {
	for _, format := range []samplebundle.Format{samplebundle.TarGz, samplebundle.Tar} {
		path, m := sample(t, samplebundle.Options{Format: format})
		var got, want []string
		for line := range strings.Lines(ls(t, nil, "--blobs", path).out) {
			var b record.Blob
			if strings.HasPrefix(line, `{"kind":"blob"`) && json.Unmarshal([]byte(line), &b) == nil {
				got = append(got, b.Entry+" "+b.Digest+" "+b.MediaType)
			}
		}
		for _, e := range m.Entries {
			for _, b := range e.Blobs {
				want = append(want, e.Path+" "+b.Digest+" "+b.MediaType)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(want) < 100 || !slices.Equal(got, want) {
			t.Errorf("%s: %d blobs, want %d", format, len(got), len(want))
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("%s, want %s", got[i], want[i])
				}
			}
		}
	}
}

func TestRecordsOnStdin(t *testing.T) {
	one, _ := sample(t, samplebundle.Options{Archives: 4})
	two, _ := sample(t, samplebundle.Options{Archives: 5})
	const note = `{"kind":"note","text":"<&>"}` + "\n"
	got := ls(t, strings.NewReader(note+`{"kind":"bundle","path":"`+one+`"}`+"\n"+note+`{"kind":"bundle","path":"`+two+`"}`+"\n"))
	images, others := records(t, got.out)
	if got.code != 0 || len(images) != 9 || others["note"] != 2 || others["bundle"] != 2 || others["summary"] != 1 {
		t.Errorf("%d, %d images, %v: %s", got.code, len(images), others, got.err)
	}
	if !strings.HasPrefix(got.out, note+`{"kind":"bundle"`) || !strings.Contains(got.out, "\n"+note+`{"kind":"bundle"`) {
		t.Errorf("records out of order:\n%s", got.out)
	}
	bad := `{"kind":"bundle","path":"` + one + `","signature":"bad"}` + "\n"
	if got := ls(t, strings.NewReader(bad)); got.code != 1 || got.out != bad {
		t.Errorf("bad signature: %d, wrote %q", got.code, got.out)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	os.WriteFile(text, []byte("hello"), 0o644)
	bundle := filepath.Join(dir, "bundle")
	if _, err := samplebundle.WriteDir(bundle, samplebundle.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"/nonexistent/b.tgz"}, 1, "bundle-ls: stat /nonexistent/b.tgz: no such file or directory\n"},
		{[]string{text}, 1, text + ": not a bundle: a text file"},
		{[]string{filepath.Join(bundle, "busybox_1.37.0.tar")}, 1, "no images in it"},
		{[]string{t.TempDir()}, 1, "no images in it"},
		{[]string{"--nosuch"}, 2, "--nosuch"},
		{[]string{"a", "b"}, 2, "b"},
		{[]string{"--format", "{{.nosuch}}", "a"}, 2, "format"},
	} {
		if got := ls(t, strings.NewReader(""), tt.args...); got.code != tt.code || !strings.Contains(got.err, tt.want) {
			t.Errorf("%q: %d, %s, want %d and %q", tt.args, got.code, got.err, tt.code, tt.want)
		}
	}
}

// Two entries with one reference and two digests: a registry can hold only one of them,
// and their order must not decide silently which one.
func TestSameReferenceTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := samplebundle.WriteDir(dir, samplebundle.Options{}); err != nil {
		t.Fatal(err)
	}
	content, _ := os.ReadFile(filepath.Join(dir, "busybox_1.37.0.tar"))
	os.WriteFile(filepath.Join(dir, "busybox:1.37.0.tar"), content, 0o644)
	if got := ls(t, nil, dir); strings.Contains(got.out, `"warning"`) {
		t.Errorf("the same content twice is reported: %s", got.out)
	}
	file := filepath.Join(t.TempDir(), "map")
	os.WriteFile(file, []byte("charts/k0rdent-enterprise_1.2.3.tar busybox:1.37.0\n"), 0o644)
	got := ls(t, nil, "--map", file, dir)
	if got.code != 0 || !strings.Contains(got.out, "has the same reference and another digest") || !strings.Contains(got.err, "same reference") {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

// A record is written as soon as its archive has passed, before the rest of the bundle
// has arrived.
func TestRecordsFlow(t *testing.T) {
	path, _ := sample(t, samplebundle.Options{Format: samplebundle.Tar, Size: 8 << 20})
	content, _ := os.ReadFile(path)
	stdin, feed := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(context.Background(), []string{"--quiet", "-"}, stdin, stdout, io.Discard)
		stdout.Close()
	}()
	go feed.Write(content[:4<<20])
	n := 0
	for line, err := range record.Read(out) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 { // arrived while half of the bundle was withheld
			go func() {
				feed.Write(content[4<<20:])
				feed.Close()
			}()
		}
		if n == 1 && line.Kind == "summary" {
			t.Fatal("only the summary")
		}
	}
	if err := <-done; err != nil || n < 40 {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

func TestDocs(t *testing.T) {
	var c config
	clitest.Docs(t, c.flags(), usage, "../..")
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update rewrites it, then read the diff. Got:\n%s", path, got)
	}
}

func TestGolden(t *testing.T) {
	golden(t, "usage.txt", ls(t, nil, "--help").out)
	var b bytes.Buffer
	if _, err := samplebundle.Write(&b, samplebundle.Options{Archives: 12}); err != nil {
		t.Fatal(err)
	}
	content := b.Bytes()
	seconds := regexp.MustCompile(`,"bytes":\d+|,"seconds":[0-9.]+| in [0-9.]+ s`)
	for name, args := range map[string][]string{
		"list.ndjson": {"-"}, "blobs.ndjson": {"--blobs", "-"}, "list.table": {"--format", "table", "-"},
		"list.template": {"--format", "{{.type}} {{.repository}}:{{.tag}} {{.platforms}}", "-"},
	} {
		got := ls(t, bytes.NewReader(content), args...)
		golden(t, name, seconds.ReplaceAllString(got.out, ""))
	}
}
