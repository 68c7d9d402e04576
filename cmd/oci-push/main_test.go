package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/diskstore"
	"k0rdent-airgap/tests/machine"
	"k0rdent-airgap/tests/samplebundle"
)

// asTool is the variable that makes the test program the tool.
const asTool = "TEST_OCI_PUSH_AS_TOOL"

// TestMain sets a memory limit, which runs then keep: many tests push in this process,
// which under the limit of a single push would do little but collect garbage.
func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	debug.SetMemoryLimit(4 << 30)
	os.Exit(machine.Run(m))
}

func TestDocs(t *testing.T) {
	var c config
	clitest.Docs(t, c.flags(), usage, "../..")
}

// serve runs a real registry over a disk store; before, if set, is called with each
// request, and returns true if it has answered.
func serve(t *testing.T, before func(http.ResponseWriter, *http.Request) bool) (host string) {
	t.Helper()
	h := diskstore.Handler(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// result is the outcome of a run of the tool.
type result struct {
	err    error
	images map[string]record.Image // by entry and tag
	kinds  []string
	stdout string
	stderr string
}

func (r result) statuses() map[string]int {
	n := make(map[string]int)
	for _, i := range r.images {
		n[i.Status]++
	}
	return n
}

// invoke runs the tool with immediate retries.
func invoke(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return invokeWith(t, strings.NewReader(stdin), args...)
}

func invokeWith(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	r := result{images: make(map[string]record.Image)}
	r.err = run(context.Background(), args, stdin, &stdout, &stderr)
	r.stdout, r.stderr = stdout.String(), stderr.String()
	for line, err := range record.Read(&stdout) {
		if err != nil {
			t.Fatalf("output: %v", err)
		}
		r.kinds = append(r.kinds, line.Kind)
		if line.Kind == "image" {
			var i record.Image
			if err := line.Decode(&i); err != nil {
				t.Fatal(err)
			}
			r.images[i.Entry+" "+i.Repository+":"+i.Tag] = i
		}
	}
	return r
}

// A sample is a bundle that several tests push, and its manifest.
type sample struct {
	content  []byte
	manifest samplebundle.Manifest
}

// samples has a function for each sample in use, by its options or the name of its
// defect: making a bundle takes longer than pushing it.
var samples sync.Map

// write writes a bundle to a file of the test.
func write(t *testing.T, o samplebundle.Options) (path string, m samplebundle.Manifest) {
	t.Helper()
	return writeSample(t, o, func(w io.Writer) (samplebundle.Manifest, error) { return samplebundle.Write(w, o) })
}

func writeSample(t *testing.T, key any, make func(io.Writer) (samplebundle.Manifest, error)) (path string, m samplebundle.Manifest) {
	t.Helper()
	once, _ := samples.LoadOrStore(key, sync.OnceValues(func() (sample, error) {
		var b bytes.Buffer
		m, err := make(&b)
		return sample{b.Bytes(), m}, err
	}))
	s, err := once.(func() (sample, error))()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(path, s.content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, s.manifest
}

// peer is the client of the tests: closing an httptest.Server also closes the idle
// connections of http.DefaultTransport, which another test may just be using.
var peer = &http.Client{Transport: &http.Transport{}}

// fetch gets a path of the registry and computes its digest.
func fetch(t *testing.T, url string) (status int, body []byte, digest string) {
	t.Helper()
	resp, err := peer.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	return resp.StatusCode, body, "sha256:" + hex.EncodeToString(sum[:])
}

// checkEntry fails unless the registry has an entry completely: the tag, every manifest and
// every blob, each with the generator's digest.
func checkEntry(t *testing.T, host, prefix string, e samplebundle.Entry) {
	t.Helper()
	base := "http://" + host + "/v2/" + prefix + e.Repository
	if status, _, got := fetch(t, base+"/manifests/"+e.Tag); status != 200 || got != e.Digest {
		t.Errorf("%s:%s = %d %s, want %s", e.Repository, e.Tag, status, got, e.Digest)
		return
	}
	for _, b := range e.Blobs {
		kind := "/blobs/"
		if strings.Contains(b.MediaType, "manifest") || strings.Contains(b.MediaType, "index") {
			kind = "/manifests/"
		}
		if status, _, got := fetch(t, base+kind+b.Digest); status != 200 || got != b.Digest {
			t.Errorf("%s %s%s = %d %s", e.Path, kind, b.Digest, status, got)
		}
	}
}

func checkAll(t *testing.T, host, prefix string, m samplebundle.Manifest) {
	t.Helper()
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI {
			checkEntry(t, host, prefix, e)
		}
	}
}

func count(m samplebundle.Manifest) (images, others int) {
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI {
			images++
		} else {
			others++
		}
	}
	return images, others
}

func TestEveryPackingIsPushedWholeAndOnce(t *testing.T) {
	t.Parallel()
	host := serve(t, nil)
	for _, format := range []samplebundle.Format{samplebundle.TarGz, samplebundle.TarZst, samplebundle.Tar} {
		t.Run(string(format), func(t *testing.T) {
			o := samplebundle.Options{Format: format, Size: 8 << 20, Archives: 12}
			if format == samplebundle.TarGz {
				o.Archives = 0 // all of them: more than may wait for their blobs
			}
			path, m := write(t, o)
			prefix := "p" + strings.ReplaceAll(string(format), ".", "")
			pushTwice(t, host, prefix, path, m)
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "b")
		m, err := samplebundle.WriteDir(dir, samplebundle.Options{Size: 8 << 20, Archives: 12})
		if err != nil {
			t.Fatal(err)
		}
		pushTwice(t, host, "pdir", dir, m)
	})
	t.Run("stdin", func(t *testing.T) {
		path, m := write(t, samplebundle.Options{Archives: 12})
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r := invoke(t, string(raw), "--to", host+"/pin", "-"); r.err != nil {
			t.Fatal(r.err)
		}
		checkAll(t, host, "pin/", m)
	})
}

func pushTwice(t *testing.T, host, prefix, path string, m samplebundle.Manifest) {
	t.Helper()
	images, others := count(m)
	for _, status := range []string{"pushed", "exists"} {
		r := invoke(t, "", "--to", host+"/"+prefix, path)
		if r.err != nil || r.statuses()[status] != images {
			t.Fatalf("%v, %v, want %d %s\n%s", r.err, r.statuses(), images, status, r.stderr)
		}
		skipped := 0
		for _, k := range r.kinds {
			if k == "skipped" {
				skipped++
			}
		}
		if skipped != others || r.kinds[len(r.kinds)-1] != "summary" {
			t.Errorf("%d skipped and last %s, want %d and summary", skipped, r.kinds[len(r.kinds)-1], others)
		}
	}
	checkAll(t, host, prefix+"/", m)
}

// records returns those records of bundle-ls for a bundle that oci-push reads.
func records(t *testing.T, path string, m samplebundle.Manifest) []string {
	t.Helper()
	var lines []string
	for _, e := range m.Entries {
		if e.Kind != samplebundle.KindOCI {
			continue
		}
		line, err := record.Marshal(record.Image{Bundle: path, Entry: e.Path, Repository: e.Repository, Tag: e.Tag, Digest: e.Digest})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return lines
}

func TestRecordsMayComeInAnyOrder(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	for seed := range uint64(5) {
		host := serve(t, nil)
		lines := records(t, path, m)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		r := invoke(t, strings.Join(lines, ""), "--to", host)
		if r.err != nil || r.statuses()["pushed"] != len(lines) {
			t.Fatalf("seed %d: %v, %v, want %d pushed", seed, r.err, r.statuses(), len(lines))
		}
		checkAll(t, host, "", m)
	}
}

func TestOnlyWhatTheRecordsNameIsPushed(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	lines := records(t, path, m)
	var renamed record.Image
	if err := json.Unmarshal([]byte(lines[3]), &renamed); err != nil {
		t.Fatal(err)
	}
	renamed.Repository, renamed.Tag = "other/name", "t"
	extra, _ := record.Marshal(renamed)
	foreign := `{"kind":"note","text":"<kept>"}` + "\n"
	r := invoke(t, lines[3]+foreign+string(extra)+lines[7], "--to", host)
	if r.err != nil || r.statuses()["pushed"] != 3 {
		t.Fatalf("%v, %v, want 3 pushed\n%s", r.err, r.statuses(), r.stderr)
	}
	if r.kinds[0] != "note" {
		t.Errorf("kinds = %v, want the record of another kind passed on", r.kinds)
	}
	_, body, _ := fetch(t, "http://"+host+"/v2/_catalog")
	var catalog struct{ Repositories []string }
	if err := json.Unmarshal(body, &catalog); err != nil || len(catalog.Repositories) != 3 {
		t.Errorf("catalog = %s, want three repositories", body)
	}
}

func TestContradictoryRecords(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	good := records(t, path, m)[2]
	line := func(i record.Image) string {
		b, _ := record.Marshal(i)
		return string(b)
	}
	entry := m.Entries[2].Path
	tests := []struct {
		name, in string
		code     int
		want     string
	}{
		{"no such entry", good + line(record.Image{Bundle: path, Entry: "no/such_1.tar", Repository: "a", Tag: "b"}), 1, "1 of 2 images failed"},
		{"another digest", line(record.Image{Bundle: path, Entry: entry, Repository: "a", Tag: "b", Digest: "sha256:" + strings.Repeat("0", 64)}), 1, "1 of 1 images failed"},
		{"bad repository", line(record.Image{Bundle: path, Entry: entry, Repository: "A/../b", Tag: "b"}), 1, "1 of 1 images failed"},
		{"bundle was a pipe", line(record.Image{Bundle: "-", Entry: entry, Repository: "a", Tag: "b"}), 1, "stdin: line 1: the bundle was on bundle-ls's stdin"},
		{"no repository", line(record.Image{Bundle: path, Entry: entry}), 1, "stdin: line 1: image record lacks"},
		{"not a record", "hello\n", 1, "stdin: line 1: not a JSON record"},
		{"bad signature", line2(record.Bundle{Path: path, Signature: record.SignatureBad}) + good, 1, "its signature is bad"},
		{"nothing", "", 1, "stdin: no image records"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := invoke(t, tt.in, "--to", host)
			if cli.Code(r.err) != tt.code || tt.want != "" && !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("%v (code %d), want %q (code %d)", r.err, cli.Code(r.err), tt.want, tt.code)
			}
		})
	}
}

func line2(r record.Record) string {
	b, _ := record.Marshal(r)
	return string(b)
}

func TestPlanSendsNothing(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	images, _ := count(m)
	writes := 0
	host := serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writes++
		}
		return false
	})
	r := invoke(t, "", "--plan", "--to", host, path)
	if r.err != nil || r.statuses()["planned"] != images || writes != 0 {
		t.Errorf("%v, %v, %d writes, want %d planned and no write", r.err, r.statuses(), writes, images)
	}
}

func TestPlatformLeavesDigestsAlone(t *testing.T) {
	t.Parallel()
	for _, format := range []samplebundle.Format{samplebundle.TarGz, samplebundle.Tar} {
		t.Run(string(format), func(t *testing.T) {
			path, m := write(t, samplebundle.Options{Format: format})
			host := serve(t, nil)
			if r := invoke(t, "", "--platform", "linux/arm64", "--to", host, path); r.err != nil {
				t.Fatal(r.err, r.stderr)
			}
			for _, e := range m.Entries {
				if e.Kind != samplebundle.KindOCI {
					continue
				}
				want := 200
				if len(e.Platforms) == 1 && e.Platforms[0] == "linux/amd64" {
					want = 404
				}
				base := "http://" + host + "/v2/" + e.Repository
				status, _, digest := fetch(t, base+"/manifests/"+e.Tag)
				if status != want || want == 200 && digest != e.Digest {
					t.Errorf("%s: %d %s, want %d %s", e.Path, status, digest, want, e.Digest)
				}
				if e.Type != "index" {
					continue
				}
				there := 0
				for _, b := range e.Blobs {
					if s, _, _ := fetch(t, base+"/blobs/"+b.Digest); s == 200 {
						there++
					}
				}
				if there >= len(e.Blobs)-1 {
					t.Errorf("%s: %d of %d blobs are there, want none of linux/amd64", e.Path, there, len(e.Blobs))
				}
			}
		})
	}
}

func TestVectors(t *testing.T) {
	for _, v := range samplebundle.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			path, m := writeSample(t, v.Name, v.Write)
			host := serve(t, nil)
			r := invoke(t, "", "--to", host, path)
			if fails := !slices.Contains([]samplebundle.Class{samplebundle.Fine, samplebundle.Ambiguous, samplebundle.Sparse, samplebundle.Skipped}, v.Want); fails != (r.err != nil) {
				t.Errorf("%s: error %v, class %s\n%s", v.About, r.err, v.Want, r.stderr)
			}
			checkAll(t, host, "", m)
			for _, i := range r.images {
				if i.Status == record.StatusFailed && i.Tag != "" {
					if status, _, _ := fetch(t, "http://"+host+"/v2/"+i.Repository+"/manifests/"+i.Tag); status == 200 && i.Entry == v.Entry {
						t.Errorf("%s: failed entry %s is published", v.About, i.Entry)
					}
				}
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--to", ""}, {"--to", "http://x"}, {"--to", "x/UPPER"}, {"--to", "x", "--jobs", "0"},
		{"--to", "x", "--memory", "1MiB"}, {"--to", "x", "--memory", "lots"}, {"--to", "x", "--platform", "linux"},
		{"--to", "x", "--username", "u"}, {"--to", "x", "--ca", "/nonexistent"}, {"--to", "x", "--platform", "linux/amd64", "-"},
		{"--to", "x:y:z"}, {"--nosuch"}, {"--to", "x", "a", "b"},
	} {
		if r := invoke(t, "", args...); cli.Code(r.err) != cli.CodeMisuse {
			t.Errorf("%q: %v, code %d, want misuse", args, r.err, cli.Code(r.err))
		}
	}
}

func TestNoFlagForTheBundle(t *testing.T) {
	r := invoke(t, "", "--to", "x", "--budle", "b.tgz")
	if want := "name the bundle without a flag: oci-push ... BUNDLE"; cli.HintOf(r.err) != want {
		t.Errorf("%v, hint %q, want %q", r.err, cli.HintOf(r.err), want)
	}
}

func TestMemory(t *testing.T) {
	for in, want := range map[string]int64{"64MiB": 64 << 20, "1G": 1 << 30, "1GB": 1e9, "1TiB": 1 << 40, "31MiB": -1, "1.1TiB": -1, "lots": -1} {
		got, err := parseMemory(in)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("parseMemory(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
}
