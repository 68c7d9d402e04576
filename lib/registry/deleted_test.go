package registry

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A deletion by digest takes as many steps with many tags as with none. Its tags are
// gone with its answer, also when the manifest is pushed again.
func TestDeletionByDigest(t *testing.T) {
	steps := make(map[int]int)
	for _, tags := range []int{0, maxPage + 10} {
		reg := newRegistry(t)
		d := manyTags(t, reg, "a", tags)
		other := reg.pushImage("a", "other", "y")
		count := 0
		end := reg.observe(func(op, name string) (func(error), error) { // nothing is swept meanwhile
			count++
			return func(error) {}, nil
		})
		reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
		steps[tags] = count
		gone := func() {
			t.Helper()
			for _, tag := range []string{"v", "t000000"} {
				reg.want(404, "GET", "/v2/a/manifests/"+tag, nil)
				reg.want(404, "DELETE", "/v2/a/manifests/"+tag, nil)
			}
			for _, query := range []string{"", "?n=3"} {
				if a := reg.want(200, "GET", "/v2/a/tags/list"+query, nil); a.body != `{"name":"a","tags":["other"]}` {
					t.Errorf("tags: %.100s", a.body)
				}
			}
		}
		gone()
		reg.pushImage("a", "again", "x")
		reg.want(404, "GET", "/v2/a/manifests/v", nil)
		reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
		gone()
		end()
		reg.restart() // which sweeps
		gone()
		reg.want(200, "GET", "/v2/a/manifests/"+string(other), nil)
		for _, dir := range []string{tagsPath("a"), deletedPath("a")} {
			if left, err := os.ReadDir(reg.path(dir)); err != nil || len(left) > 1 {
				t.Errorf("%s has %d entries, %v", dir, len(left), err)
			}
		}
		checkStorage(t, reg.dir)
	}
	if steps[0] != steps[maxPage+10] || steps[0] == 0 {
		t.Errorf("a deletion took %d steps, with many tags %d", steps[0], steps[maxPage+10])
	}
}

// A kill between a deletion and the sweep of its tags restores none of them, and a
// kill during a deletion removes no tag of a manifest that remains.
func TestDeletionKilled(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "x")
	kept := reg.pushImage("a", "v2", "y")
	reg.stop()
	if err := os.MkdirAll(reg.path(deletedPath("a")), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, digest := range []Digest{d, kept} {
		if err := os.Symlink(deletedMark, reg.path(deletedMarkPath("a", digest))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(reg.path(manifestPath("a", d))); err != nil {
		t.Fatal(err)
	}
	if s, found := reg.scrubbed(false); s.Bad > 0 {
		t.Errorf("scrub: %q", found)
	}
	reg.start()
	reg.want(404, "GET", "/v2/a/manifests/v1", nil)
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v2"]}` {
		t.Errorf("tags: %s", a.body)
	}
	if _, err := reg.disk.Collect(t.Context(), false); err != nil {
		t.Error(err)
	}
	reg.pushImage("a", "v3", "x")
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v2","v3"]}` {
		t.Errorf("tags: %s", a.body)
	}
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
}

// Clients that push, delete and list the same manifests at a time never see a deleted
// tag again.
func TestDeletionAtOnce(t *testing.T) {
	reg := newRegistry(t)
	reg.pushBlob("a", []byte("{}"))
	at := func(client int) {
		for i := range 30 {
			tag, m := fmt.Sprintf("c%d", client), image(digestBytes("sha256", []byte("{}")), fmt.Sprint(i%2))
			reg.want(201, "PUT", "/v2/a/manifests/"+tag, m, "Content-Type", mediaTypeImage)
			reg.do("DELETE", "/v2/a/manifests/"+string(digestBytes("sha256", m)), nil)
			if a := reg.do("GET", "/v2/a/tags/list", nil); a.StatusCode == 200 && strings.Contains(a.body, `"`+tag+`"`) {
				t.Errorf("client %d sees its tag after its deletion: %s", client, a.body)
			}
			if a := reg.do("GET", "/v2/a/manifests/"+tag, nil); a.StatusCode != 404 {
				t.Errorf("client %d gets its tag after its deletion: %d %s", client, a.StatusCode, a.body)
			}
		}
	}
	done := make(chan bool)
	for client := range 6 {
		go func() { at(client); done <- true }()
	}
	for range 6 {
		<-done
	}
	reg.stop()
	checkStorage(t, reg.dir)
	reg.start()
}
