package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/ref"
)

// firstFormat stops a registry and turns its storage into one of the first format.
func (reg *testRegistry) firstFormat() {
	reg.t.Helper()
	reg.stop()
	err := filepath.WalkDir(reg.path(reposDir), func(file string, e os.DirEntry, err error) error {
		if err != nil || e.Name() != layoutDir {
			return err
		}
		for _, dir := range []string{"tags", "manifests", "referrers"} {
			if err := os.RemoveAll(filepath.Join(file, dir)); err != nil {
				return err
			}
		}
		return filepath.SkipDir
	})
	for _, name := range []string{formatFile, clockFile} {
		err = errors.Join(err, os.Remove(reg.path(name)))
	}
	if err = errors.Join(err, os.MkdirAll(reg.path(journalsDir), 0o755)); err != nil {
		reg.t.Fatal(err)
	}
}

func writeJournal(t *testing.T, reg *testRegistry, name, text string) {
	t.Helper()
	if err := os.WriteFile(reg.path(fmt.Sprintf("%s/%x", journalsDir, sha256.Sum256([]byte(name)))), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A storage of the first format keeps its tags, manifests, media types and
// referrers, with the changes in its journals, except for a truncated line.
func TestConvert(t *testing.T) {
	reg := newRegistry(t)
	one, two := reg.pushImage("a", "v1", "one"), reg.pushImage("a", "v2", "two")
	journaled := reg.pushImage("a", "journaled", "journaled")
	gone := reg.pushImage("a", "gone", "gone")
	reg.pushImage("b/c", "v1", "one")
	subject := []byte(`{"mediaType":"` + mediaTypeIndex + `","manifests":[],"subject":{"digest":"` + string(one) + `"}}`)
	referrer := digestBytes("sha256", subject)
	reg.want(201, "PUT", "/v2/a/manifests/"+string(referrer), subject, "Content-Type", mediaTypeIndex)
	untyped := []byte(`{"manifests":[],"x":1}`)
	reg.want(201, "PUT", "/v2/a/manifests/untyped", untyped, "Content-Type", "application/vnd.example+json")
	reg.want(202, "DELETE", "/v2/a/manifests/journaled", nil)
	reg.firstFormat()
	writeJournal(t, reg, "a", `{"repository":"a","put":{"mediaType":"`+mediaTypeImage+`","digest":"`+string(journaled)+`","size":1},"tags":["journaled","v2"]}`+"\n"+
		`{"remove":"`+string(gone)+`"}`+"\n"+`{"untag":"v1`)

	check := func() {
		t.Helper()
		for tag, want := range map[string]Digest{"v1": one, "v2": journaled, "journaled": journaled} {
			if a := reg.want(200, "GET", "/v2/a/manifests/"+tag, nil); a.Header.Get("Docker-Content-Digest") != string(want) {
				t.Errorf("%s is %s, want %s", tag, a.Header.Get("Docker-Content-Digest"), want)
			}
		}
		reg.want(404, "GET", "/v2/a/manifests/gone", nil)
		reg.want(200, "GET", "/v2/a/manifests/"+string(two), nil)
		reg.want(200, "GET", "/v2/b/c/manifests/v1", nil)
		if a := reg.want(200, "GET", "/v2/a/manifests/untyped", nil); a.Header.Get("Content-Type") != "application/vnd.example+json" {
			t.Errorf("media type %q", a.Header.Get("Content-Type"))
		}
		if a := reg.want(200, "GET", "/v2/a/referrers/"+string(one), nil); !strings.Contains(a.body, string(referrer)) {
			t.Errorf("referrers: %s", a.body)
		}
	}
	reg.start()
	check()
	if w := reg.disk.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	if _, err := os.Stat(reg.path(journalsDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("journals are left: %v", err)
	}
	reg.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	reg.restart() // it is converted once
	reg.want(404, "GET", "/v2/a/manifests/v1", nil)
	checkStorage(t, reg.dir)
}

// A conversion that is interrupted at any step is completed by the next start.
func TestConvertInterrupted(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "one")
	reg.pushImage("a", "v2", "two")
	reg.pushImage("b", "v1", "one")
	reg.firstFormat()
	writeJournal(t, reg, "a", `{"untag":"v2"}`+"\n")
	for n := 1; ; n++ {
		disk, err := newDisk(reg.dir)
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		disk.tree.observe = func(string, string) (func(error), error) {
			if steps++; steps == n {
				return func(error) {}, syscall.ENOSPC
			}
			return func(error) {}, nil
		}
		err = disk.prepare()
		disk.closeFiles()
		if steps < n {
			break
		}
		if err != nil && n > 200 {
			t.Fatal(err)
		}
	}
	reg.start()
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v1"]}` {
		t.Errorf("tags: %s", a.body)
	}
	if a := reg.want(200, "GET", "/v2/b/manifests/v1", nil); a.Header.Get("Docker-Content-Digest") != string(d) {
		t.Errorf("b: %v", a.Header)
	}
}

// A conversion that runs out of inodes reports it, keeps its work, and is completed
// when there are more.
func TestConvertWithoutInodes(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "4m,nr_inodes=300")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	want := make(map[string]Digest)
	for i := range 20 {
		for _, name := range []string{"a", "b"} {
			want[fmt.Sprintf("%s/manifests/t%d", name, i)] = reg.pushImage(name, fmt.Sprint("t", i), fmt.Sprint(i))
		}
	}
	reg.firstFormat()
	inodes := 0
	for ; ; inodes++ {
		if err := os.WriteFile(reg.path(fmt.Sprint("inode", inodes)), nil, 0o644); err != nil {
			break
		}
	}
	attempts, links := 0, 0
	for ; ; attempts++ {
		disk, err := OpenDisk(reg.dir)
		if err == nil {
			disk.Close()
			break
		}
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "an inode for each tag and manifest; the next start completes it") {
			t.Fatalf("OpenDisk: %v", err)
		}
		made, err := filepath.Glob(reg.path(tagPath("*", "*")))
		if err != nil || len(made) < links {
			t.Errorf("%d tags are left of %d after another start, %v", len(made), links, err)
		}
		links = len(made)
		for range 30 {
			if inodes--; inodes >= 0 {
				if err := os.Remove(reg.path(fmt.Sprint("inode", inodes))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if attempts < 2 || links == 0 {
		t.Errorf("%d attempts, %d tags before the last, want several", attempts, links)
	}
	reg.start()
	for target, d := range want {
		if a := reg.want(200, "GET", "/v2/"+target, nil); a.Header.Get("Docker-Content-Digest") != string(d) {
			t.Errorf("%s is %s, want %s", target, a.Header.Get("Docker-Content-Digest"), d)
		}
	}
}

// A damaged index.json is kept and reported; its manifests are recovered, so that
// garbage collection keeps what they name.
func TestConvertDamaged(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "x")
	layer := reg.pushBlob("a", []byte("layer"))
	artifact := []byte(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"` + string(layer) + `"}}`)
	reg.want(201, "PUT", "/v2/a/manifests/v2", artifact, "Content-Type", mediaTypeImage)
	reg.age(layer)
	reg.firstFormat()
	index := reg.path(repoPath("a", "index.json"))
	text, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := "v1", "v2" // the order is that of the directory
	if bytes.Index(text, []byte(`"v2"`)) < bytes.Index(text, []byte(`"v1"`)) {
		kept, lost = "v2", "v1"
	}
	if err := os.WriteFile(index, text[:bytes.Index(text, []byte(`"`+lost+`"`))-20], 0o644); err != nil {
		t.Fatal(err)
	}
	reg.start()
	if w := reg.disk.Warnings(); len(w) != 1 || !strings.Contains(w[0].Error(), "repositories/a/_layout/index.json") {
		t.Errorf("warnings %v, want one of a's index.json", w)
	}
	reg.want(200, "GET", "/v2/a/manifests/"+kept, nil)
	reg.want(404, "GET", "/v2/a/manifests/"+lost, nil)
	reg.want(200, "GET", "/v2/a/manifests/"+string(digestBytes("sha256", artifact)), nil)
	if _, err := os.Stat(reg.path(quarantineDir + "/" + repoPath("a", "index.json"))); err != nil {
		t.Error(err)
	}
	if got, err := reg.disk.Collect(t.Context(), false); err != nil || got.Removed != 0 {
		t.Errorf("Collect = %+v, %v, want nothing removed", got, err)
	}
	reg.want(200, "GET", "/v2/a/manifests/"+string(d), nil)
}

// indexEntries reads layouts that other tools wrote.
func TestParseForeignIndex(t *testing.T) {
	const text = `{"schemaVersion":2, "annotations":{"a":"b"}, "manifests":[
	 {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + dig256 + `","size":7,"platform":{"os":"linux"},
	  "annotations":{"org.opencontainers.image.ref.name":"docker.io/library/a:b"}},
	 {"mediaType":"x/y","digest":"blake3:00","size":1},
	 {"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + dig512 + `","size":8,
	  "annotations":{"org.opencontainers.image.ref.name":"v1","io.k0rdent.airgap.subject":"nonsense"}}]}`
	var got []string
	for e, err := range indexEntries(strings.NewReader(text)) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprint(e.MediaType, " ", e.Digest, e.tags))
	}
	want := []string{mediaTypeImage + " " + dig256 + "[]", mediaTypeIndex + " " + dig512 + "[v1]"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("entries %q, want %q", got, want)
	}
}

func TestParseDamagedIndex(t *testing.T) {
	for _, text := range []string{"", "{", `{"manifests":[`, `{"manifests":{}}`, `[]`, `{"manifests":[{"digest":1}]}`, "\x00\x00"} {
		var err error
		for _, err = range indexEntries(strings.NewReader(text)) {
		}
		if err == nil {
			t.Errorf("indexEntries(%q) ends without an error", text)
		}
	}
}

// FuzzParseIndex: every entry is safe to use in a path.
func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"` + dig256 + `"},{"digest":"` + dig256 + `","size":3,"annotations":{"org.opencontainers.image.ref.name":"../x"}}]}`))
	f.Add([]byte(`{"put":{"digest":"sha256:../.."},"tags":["../x"],"untag":"../y","remove":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for e, err := range indexEntries(bytes.NewReader(data)) {
			if err != nil {
				break
			}
			for _, tag := range e.tags {
				if !filepath.IsLocal(tagPath("a", tag)) || ref.CheckTag(tag) != nil {
					t.Fatalf("tag %q", tag)
				}
			}
			if !filepath.IsLocal(blobPath("a", e.Digest)) {
				t.Fatalf("digest %q", e.Digest)
			}
		}
		var c change
		if json.Unmarshal(data, &c) != nil || !c.valid() {
			return
		}
		for _, tag := range append(c.Tags, c.Untag) {
			if tag != "" && ref.CheckTag(tag) != nil {
				t.Fatalf("tag %q of a change", tag)
			}
		}
		if c.Remove != "" && !filepath.IsLocal(manifestPath("a", c.Remove)) {
			t.Fatalf("digest %q of a change", c.Remove)
		}
	})
}
