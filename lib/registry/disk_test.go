package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func links(t testing.TB, file string) uint64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}

func TestLock(t *testing.T) {
	reg := newRegistry(t)
	_, err := OpenDisk(reg.dir)
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Errorf("second OpenDisk: %v, want an InUseError that names process %d", err, os.Getpid())
	}
	reg.restart() // the lock ends with Close
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDisk(file); err == nil {
		t.Error("a file was opened as a storage")
	}
}

// Mount, deduplication and deletion are links; gc takes what has none.
func TestLinksAndCollect(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushBlob("a", []byte("shared"))
	pool := reg.path(poolPath(d))
	reg.want(201, "POST", "/v2/b/blobs/uploads/?mount="+string(d)+"&from=a", nil)
	reg.want(201, "POST", "/v2/c/blobs/uploads/?mount="+string(d), nil)
	reg.want(202, "POST", "/v2/c/blobs/uploads/?mount="+dig256, nil)
	if n := links(t, pool); n != 4 {
		t.Errorf("%d links, want the pool's and three more", n)
	}
	for _, name := range []string{"a", "b"} {
		reg.want(202, "DELETE", "/v2/"+name+"/blobs/"+string(d), nil)
		reg.want(404, "GET", "/v2/"+name+"/blobs/"+string(d), nil)
		reg.want(404, "DELETE", "/v2/"+name+"/blobs/"+string(d), nil)
	}
	gone := reg.pushBlob("a", []byte("gone"))
	reg.want(202, "DELETE", "/v2/a/blobs/"+string(gone), nil)
	got, err := reg.disk.Collect(context.Background())
	if err != nil || got != (Collected{Removed: 1, Kept: 1, RemovedBytes: 4, KeptBytes: 6}) {
		t.Errorf("Collect = %+v, %v", got, err)
	}
	reg.want(200, "GET", "/v2/c/blobs/"+string(d), nil)
	reg.want(202, "POST", "/v2/c/blobs/uploads/?mount="+string(gone), nil)
}

// What a deleted manifest leaves in its repository is taken out a day later;
// what a manifest names, in whatever field, stays.
func TestCollectUnnamed(t *testing.T) {
	reg := newRegistry(t)
	layer := reg.pushBlob("a", []byte("layer"))
	reg.pushBlob("b", []byte("layer"))
	artifact := reg.pushBlob("a", []byte("artifact"))
	reg.want(201, "PUT", "/v2/a/manifests/v1", []byte(`{"blobs":[{"digest":"sha256\u003a`+string(artifact)[7:]+`"}]}`), "Content-Type", "application/vnd.example+json")
	reg.pushImage("a", "v2", "x") // its config
	freed := map[Digest]bool{}
	if err := reg.disk.unlinkUnnamed("a", time.Now().Add(-time.Hour), freed); err != nil || len(freed) != 0 {
		t.Errorf("unlinked what has just come: %v, %v", freed, err)
	}
	later := time.Now().Add(time.Hour)
	for _, name := range []string{"a", "b"} {
		if err := reg.disk.unlinkUnnamed(name, later, freed); err != nil {
			t.Fatal(err)
		}
	}
	got, err := reg.disk.Collect(context.Background())
	if err != nil || got.Removed != 1 || got.Kept != 4 {
		t.Errorf("Collect = %+v, %v, want the layer removed; artifact, config and two manifests kept", got, err)
	}
	reg.want(404, "GET", "/v2/a/blobs/"+string(layer), nil)
	reg.want(404, "GET", "/v2/b/blobs/"+string(layer), nil)
	reg.want(200, "GET", "/v2/a/blobs/"+string(artifact), nil)
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
	checkStorage(t, reg.dir)
}

func TestDeleteManifest(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "x")
	reg.pushImage("a", "latest", "x")
	other := reg.pushImage("a", "v2", "y")
	// As a blob a manifest cannot be deleted: its tags would point at nothing.
	reg.want(405, "DELETE", "/v2/a/blobs/"+string(d), nil)
	reg.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	reg.want(404, "DELETE", "/v2/a/manifests/v1", nil)
	reg.want(200, "GET", "/v2/a/manifests/"+string(d), nil)
	reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
	reg.want(404, "DELETE", "/v2/a/manifests/"+string(d), nil)
	for _, target := range []string{"manifests/latest", "manifests/" + string(d), "blobs/" + string(d)} {
		reg.want(404, "GET", "/v2/a/"+target, nil)
	}
	reg.restart()
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v2"]}` {
		t.Errorf("tags after deletion: %s", a.body)
	}
	reg.want(200, "GET", "/v2/a/manifests/"+string(other), nil)
	checkStorage(t, reg.dir)
}

// What a start must not do is look at everything that is stored.
func TestStartWithManyTags(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("many/tags", "first", "x")
	r, err := reg.disk.repos.acquire(reg.disk, "many/tags")
	if err != nil {
		t.Fatal(err)
	}
	d := r.index.tags["first"]
	for i := range 10000 {
		r.index.apply(change{Put: &Descriptor{Digest: d, MediaType: mediaTypeImage}, Tags: []string{fmt.Sprintf("v%d", i)}})
	}
	if err := reg.disk.replaceIndex(r); err != nil {
		t.Fatal(err)
	}
	reg.disk.repos.release(r)
	reg.stop()
	begin := time.Now()
	reg.start()
	started := time.Since(begin)
	a := reg.want(200, "GET", "/v2/many/tags/manifests/v9999", nil)
	first := time.Since(begin) - started
	t.Logf("start %v, first request %v", started, first)
	if a.Header.Get("Docker-Content-Digest") != string(d) || started+first > time.Second {
		t.Errorf("start took %v, the first request %v, want well below a second", started, first)
	}
}

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

// The indexes in memory must stay within their budget, and none that is in use
// may be forgotten.
func TestRepoCache(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v1", "x")
	held, err := reg.disk.repos.acquire(reg.disk, "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		name := fmt.Sprintf("r%d", i)
		reg.pushImage(name, "v1", "x")
		r, err := reg.disk.repos.acquire(reg.disk, name)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 1000 {
			r.index.put(digestOf(j), mediaTypeImage, 1, "")
		}
		reg.disk.repos.release(r)
	}
	if c := &reg.disk.repos; c.cost > indexBudget || len(c.m) != c.idle.Len()+1 || c.idle.Len() == 0 {
		t.Errorf("%d bytes for %d repositories, %d idle, want at most %d", c.cost, len(c.m), c.idle.Len(), indexBudget)
	}
	if again, err := reg.disk.repos.acquire(reg.disk, "a"); again != held || err != nil {
		t.Errorf("a repository in use was forgotten, %v", err)
	}
	reg.want(200, "GET", "/v2/r0/manifests/v1", nil)
}

// A link that leads out of the storage must not be followed.
func TestLinkOut(t *testing.T) {
	reg := newRegistry(t)
	reg.pushBlob("a", []byte("x"))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, reg.path(blobPath("a", dig256))); err != nil {
		t.Fatal(err)
	}
	if a := reg.do("GET", "/v2/a/blobs/"+dig256, nil); a.StatusCode != 500 || strings.Contains(a.body, "secret") {
		t.Errorf("GET = %d %s, want a refusal", a.StatusCode, a.body)
	}
}

// small mounts a file system of a few megabytes, which a test can fill.
func small(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s needs to mount a tmpfs: %v", t.Name(), err)
		}
		t.Skipf("%s SKIPPED: it needs to mount a tmpfs, as root: %v", t.Name(), err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "8m")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	kept := reg.pushImage("a", "v1", "x")
	big := make([]byte, 16<<20)
	rand.New(rand.NewSource(1)).Read(big)
	const answer = `{"errors":[{"code":"UNKNOWN","message":"no space left on the registry's disk"}]}`
	at := reg.begin("a")
	if a := reg.want(507, "PATCH", at, big); a.body != answer {
		t.Errorf("PATCH: %s, want %s", a.body, answer)
	}
	reg.want(404, "GET", at, nil)
	reg.want(507, "POST", "/v2/a/blobs/uploads/?digest="+string(digestBytes("sha256", big)), big)
	if left, _ := os.ReadDir(reg.path(uploadsDir)); len(left) != 0 {
		t.Errorf("left in uploads: %v", left)
	}
	fillDisk(t, reg.path("ballast"))
	m := image(digestBytes("sha256", []byte("{}")), "y")
	reg.want(507, "PUT", "/v2/a/manifests/v2", m, "Content-Type", mediaTypeImage)
	reg.want(404, "GET", "/v2/a/manifests/v2", nil)
	reg.want(200, "GET", "/v2/a/manifests/"+string(kept), nil)
	if err := os.Remove(reg.path("ballast")); err != nil {
		t.Fatal(err)
	}
	reg.want(201, "PUT", "/v2/a/manifests/v2", m, "Content-Type", mediaTypeImage)
	reg.restart()
	reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
	checkStorage(t, reg.dir)
}

// fillDisk writes until nothing more fits.
func fillDisk(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkPushSmall pushes blobs of the size of a config, several at once;
// each costs its syncs.
func BenchmarkPushSmall(b *testing.B) {
	reg := newRegistry(b)
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			data := fmt.Appendf(nil, "%d", rand.Int63())
			id, err := reg.disk.StartUpload(ctx, "a", "sha256")
			if err == nil {
				_, err = reg.disk.WriteUpload(ctx, "a", id, Part{-1, -1}, strings.NewReader(string(data)))
			}
			if err == nil {
				err = reg.disk.FinishUpload(ctx, "a", id, digestBytes("sha256", data))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
