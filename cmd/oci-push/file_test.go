package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// bareMetal writes the sample of the bundle for bare metal, as a file.
func bareMetal(t *testing.T, o samplebundle.Options) (string, samplebundle.Manifest) {
	t.Helper()
	o.Bundle = samplebundle.BareMetal
	var b bytes.Buffer
	m, err := samplebundle.Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "airgap-bundle-0.2.2.tar.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, m
}

// fileRecords returns the file records of a run by name.
func fileRecords(t *testing.T, r result) map[string]record.File {
	t.Helper()
	all := make(map[string]record.File)
	for line, err := range record.Read(strings.NewReader(r.stdout)) {
		var f record.File
		if err != nil {
			t.Fatal(err)
		}
		if line.Kind == f.Kind() {
			if err := line.Decode(&f); err != nil {
				t.Fatal(err)
			}
			all[f.Name] = f
		}
	}
	return all
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return body
}

// Files arrive as artifacts that hold their bytes, from a stream and from a
// directory, small ones and some that do not fit in memory; a second run sends
// none.
func TestFiles(t *testing.T) {
	path, m := bareMetal(t, samplebundle.Options{Size: 24 << 20})
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := samplebundle.WriteDir(dir, samplebundle.Options{Bundle: samplebundle.BareMetal, Size: 24 << 20}); err != nil {
		t.Fatal(err)
	}
	var listed strings.Builder
	listed.WriteString(`{"kind":"file","path":"/usr/local/bin/k0s","status":"written"}` + "\n")
	largest := int64(0)
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindFile {
			largest = max(largest, e.Size)
			fmt.Fprintf(&listed, `{"kind":"file","bundle":%q,"entry":%q,"repository":"files/x","tag":"x","digest":%q}`+"\n", path, strings.TrimPrefix(e.Path, "bundle/"), e.Digest)
		}
	}
	if largest <= newMemory(minMemory, 1).most {
		t.Fatalf("the largest file has %d bytes: too small for this test", largest)
	}
	for _, args := range [][]string{{path}, {dir}, {}} {
		host := serve(t, nil)
		args = append([]string{"--to", host, "--memory", "32MiB"}, args...)
		r := invoke(t, listed.String(), args...)
		if r.err != nil {
			t.Fatalf("%q: %v, %s", args, r.err, r.stderr)
		}
		checkFiles(t, host, m, fileRecords(t, r), record.StatusPushed)
		if passed := strings.Contains(r.stdout, `{"kind":"file","path":"/usr/local/bin/k0s","status":"written"}`); passed != (len(args) == 4) {
			t.Errorf("%q: the record of a host's file was passed on: %v", args, passed)
		}
		checkFiles(t, host, m, fileRecords(t, invoke(t, listed.String(), args...)), record.StatusExists)
	}
}

// repacked writes the entries of a plain tar as a tar.gz, which is fast as it does
// not compress. If altered, its files have other content of the same size.
func repacked(t *testing.T, plain string, m samplebundle.Manifest, altered bool) (string, samplebundle.Manifest) {
	t.Helper()
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	zw, _ := gzip.NewWriterLevel(out, gzip.NoCompression)
	w, r := tar.NewWriter(zw), tar.NewReader(bytes.NewReader(text))
	m.Entries = slices.Clone(m.Entries)
	for h, err := r.Next(); err != io.EOF; h, err = r.Next() {
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(m.Entries, func(e samplebundle.Entry) bool { return e.Path == h.Name && e.Kind == samplebundle.KindFile })
		if altered && i >= 0 {
			content[len(content)-1]++
			m.Entries[i].Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write(content)
	}
	if err := errors.Join(w.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return path, m
}

// A file that another one of the same name and size has replaced since the last run
// is sent, whatever its size, and only if the bundle is trusted.
func TestFilesReplaced(t *testing.T) {
	plain, m := bareMetal(t, samplebundle.Options{Size: 24 << 20, Format: samplebundle.Tar})
	old, _ := repacked(t, plain, m, false)
	path, replaced := repacked(t, plain, m, true)
	host := serve(t, nil)
	args := []string{"--to", host, "--memory", "32MiB"}
	if r := invoke(t, "", append(args, old)...); r.err != nil {
		t.Fatal(r.err)
	}
	untrusted := fmt.Sprintf(`{"kind":"bundle","path":%q,"digest":"sha256:%064d","signature":"ok"}`+"\n", path, 1)
	r := invoke(t, untrusted, append(args, "--verified-by", "-", path)...)
	if r.err == nil {
		t.Fatal("a bundle with another digest was pushed")
	}
	checkFiles(t, host, m, fileRecords(t, invoke(t, "", append(args, old)...)), record.StatusExists)
	if r = invoke(t, "", append(args, path)...); r.err != nil {
		t.Fatalf("%v, %s", r.err, r.stderr)
	}
	checkFiles(t, host, replaced, fileRecords(t, r), record.StatusPushed)
	// On stdin there is no second reading.
	text, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if r = invokeWith(t, bytes.NewReader(text), append(args, "-")...); r.err != nil {
		t.Fatalf("%v, %s", r.err, r.stderr)
	}
	checkFiles(t, host, m, fileRecords(t, r), record.StatusPushed)
}

func checkFiles(t *testing.T, host string, m samplebundle.Manifest, got map[string]record.File, status string) {
	t.Helper()
	for _, e := range m.Entries {
		if e.Kind != samplebundle.KindFile {
			continue
		}
		f := got[e.Name]
		delete(got, e.Name)
		at := strings.LastIndexByte(e.Name, '/')
		if f.Digest != e.Digest || f.Size != e.Size || f.Status != status || f.Reference != host+"/files/"+e.Name[:at]+":"+e.Name[at+1:] {
			t.Errorf("%s: %+v", e.Name, f)
			continue
		}
		var manifest struct {
			ArtifactType string
			Layers       []struct {
				Digest      string
				Annotations map[string]string
			}
		}
		at2 := "http://" + host + "/v2/" + f.Repository
		if err := json.Unmarshal(get(t, at2+"/manifests/"+f.Tag), &manifest); err != nil {
			t.Fatal(err)
		}
		l := manifest.Layers[0]
		sum := fmt.Sprintf("sha256:%x", sha256.Sum256(get(t, at2+"/blobs/"+l.Digest)))
		if manifest.ArtifactType != "application/vnd.k0rdent-airgap.file.v1" || sum != e.Digest || l.Annotations["org.opencontainers.image.title"] != f.Tag {
			t.Errorf("%s: %+v, content %s", e.Name, manifest, sum)
		}
	}
	delete(got, "")
	if len(got) > 0 {
		t.Errorf("further files: %q", slices.Collect(maps.Keys(got)))
	}
}

// With --files, files appear below a directory, once the bundle is trusted.
func TestFilesDirectory(t *testing.T) {
	path, m := bareMetal(t, samplebundle.Options{})
	host, dir := serve(t, nil), filepath.Join(t.TempDir(), "www")
	for _, status := range []string{record.StatusPlanned, record.StatusWritten, record.StatusUnchanged} {
		args := []string{"--to", host, "--files", dir, path}
		if status == record.StatusPlanned {
			args = append(args, "--plan")
		}
		r := invoke(t, "", args...)
		if r.err != nil {
			t.Fatalf("%v, %s", r.err, r.stderr)
		}
		got := fileRecords(t, r)
		for _, e := range m.Entries {
			if e.Kind != samplebundle.KindFile {
				continue
			}
			f, want := got[e.Name], filepath.Join(dir, e.Name)
			content, err := os.ReadFile(want)
			sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
			if f.Status != status || f.Path != want || f.Digest != e.Digest || f.Reference != "" || (err == nil) != (status != record.StatusPlanned) || err == nil && sum != e.Digest {
				t.Errorf("%s: %+v, %v, content %s", status, f, err, sum)
			}
		}
	}
	bad := filepath.Join(t.TempDir(), "bad")
	verdict := `{"kind":"bundle","path":"` + path + `","digest":"sha256:` + strings.Repeat("0", 64) + `","signature":"good"}` + "\n"
	r := invoke(t, verdict, "--to", host, "--verified-by", "-", "--files", bad, path)
	if r.err == nil {
		t.Error("another bundle was verified, but the run succeeded")
	}
	filepath.WalkDir(bad, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s was written", name)
		}
		return nil
	})
}

// Names that lead elsewhere are refused, and so are links that another user could
// have made and two entries that are one file.
func TestHostileFiles(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "www")
	os.MkdirAll(filepath.Join(dir, "bins", "a"), 0o755)
	for _, name := range []string{"..&..&escaped", "&escaped", "a&b", "a/b", "good"} {
		os.WriteFile(filepath.Join(dir, "bins", name), []byte(name), 0o644)
	}
	for _, args := range [][]string{{"--files", out}, nil} {
		r := invoke(t, "", append([]string{"--to", serve(t, nil), dir}, args...)...)
		statuses := make(map[string]int)
		for line := range strings.Lines(r.stdout) {
			var f record.File
			json.Unmarshal([]byte(line), &f)
			statuses[f.Status]++
		}
		if r.err == nil || statuses[record.StatusFailed] != 3 {
			t.Errorf("%q: %v, %v, %s", args, r.err, statuses, r.stderr)
		}
	}
	var found []string
	filepath.WalkDir(filepath.Dir(out), func(name string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			found = append(found, strings.TrimPrefix(name, out))
		}
		return nil
	})
	if want := []string{"/a/b", "/good"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}
