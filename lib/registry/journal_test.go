package registry

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// journaled gives a registry with a repository that is large enough to have
// its changes journaled.
func journaled(t *testing.T) *testRegistry {
	reg := newRegistry(t)
	reg.pushImage("a", "v0", "0")
	r, err := reg.disk.repos.acquire(reg.disk, "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		r.index.tag(fmt.Sprintf("t%d", i), r.index.tags["v0"])
	}
	if err := reg.disk.replaceIndex(r); err != nil {
		t.Fatal(err)
	}
	reg.disk.repos.release(r)
	return reg
}

// crash ends a store as a killed process would: nothing is folded or closed in
// an orderly way. It starts another on what is there.
func (reg *testRegistry) crash() {
	reg.t.Helper()
	reg.disk.folding.mu.Lock()
	for r, timer := range reg.disk.folding.timers {
		if timer.Stop() {
			reg.disk.folding.running.Done()
			delete(reg.disk.folding.timers, r)
		}
	}
	reg.disk.folding.mu.Unlock()
	reg.stop()
	reg.start()
}

func TestJournal(t *testing.T) {
	reg := journaled(t)
	index := reg.path(repoPath("a", "index.json"))
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	d := reg.pushImage("a", "new", "1")
	reg.pushImage("a", "newer", "2")
	reg.want(202, "DELETE", "/v2/a/manifests/t7", nil)
	reg.want(202, "DELETE", "/v2/a/manifests/newer", nil)
	if after, err := os.ReadFile(index); err != nil || string(after) != string(before) {
		t.Errorf("index.json was replaced at once, %v", err)
	}
	// A line that was cut short must not hide the one that takes its place.
	journal, err := os.OpenFile(reg.path(journalPath("a")), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	journal.WriteString(`{"untag":"new`)
	journal.Close()
	reg.want(202, "DELETE", "/v2/a/manifests/t8", nil)

	reg.crash()
	for tag, want := range map[string]int{"new": 200, "newer": 404, "t7": 404, "t8": 404, "t9": 200} {
		if a := reg.do("GET", "/v2/a/manifests/"+tag, nil); a.StatusCode != want {
			t.Errorf("after a crash GET %s = %d, want %d", tag, a.StatusCode, want)
		}
	}
	if text, err := os.ReadFile(index); err != nil || !strings.Contains(string(text), string(d)) {
		t.Errorf("index.json lacks what the journal had, %v", err)
	}
	if left, _ := os.ReadDir(reg.path(journalsDir)); len(left) != 0 {
		t.Errorf("journals left: %v", left)
	}
	checkStorage(t, reg.dir)
}

// Other tools read index.json; it must follow before long while the server
// runs, and at once when it stops.
func TestJournalIsFolded(t *testing.T) {
	reg := journaled(t)
	r, err := reg.disk.repos.acquire(reg.disk, "a")
	if err != nil {
		t.Fatal(err)
	}
	reg.pushImage("a", "new", "1")
	reg.disk.folding.running.Wait()
	if r.logged != 0 {
		t.Error("the journal was not folded")
	}
	reg.disk.repos.release(r)
	d := reg.pushImage("a", "newer", "2")
	reg.stop()
	if text, err := os.ReadFile(reg.path(repoPath("a", "index.json"))); err != nil || !strings.Contains(string(text), string(d)) {
		t.Errorf("index.json lacks the last push, %v", err)
	}
	reg.start()
	reg.want(200, "GET", "/v2/a/manifests/newer", nil)
}

// A damaged index.json must be told, not be replaced by an empty one.
func TestDamagedIndex(t *testing.T) {
	reg := journaled(t)
	reg.pushImage("a", "new", "1")
	reg.pushImage("b", "v1", "1")
	reg.disk.folding.mu.Lock()
	for _, timer := range reg.disk.folding.timers {
		timer.Stop()
		reg.disk.folding.running.Done()
	}
	clear(reg.disk.folding.timers)
	reg.disk.folding.mu.Unlock()
	reg.stop()
	index := reg.path(repoPath("a", "index.json"))
	good, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, good[:len(good)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	reg.start()
	m := image(digestBytes("sha256", []byte("{}")), "2")
	reg.want(500, "GET", "/v2/a/manifests/new", nil)
	reg.want(500, "PUT", "/v2/a/manifests/v9", m, "Content-Type", mediaTypeImage)
	reg.want(200, "GET", "/v2/b/manifests/v1", nil)
	if err := os.WriteFile(index, good, 0o644); err != nil {
		t.Fatal(err)
	}
	reg.want(200, "GET", "/v2/a/manifests/new", nil) // the journal has been kept
}
