package registry

import (
	"context"
	"os"
	"testing"
	"time"
)

// Mount, deduplication and deletion change links; gc removes files without any.
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
	got, err := reg.disk.Collect(context.Background(), false)
	if err != nil || got != (Collected{Removed: 1, Kept: 1, RemovedBytes: 4, KeptBytes: 6, Repositories: 2}) {
		t.Errorf("Collect = %+v, %v", got, err)
	}
	reg.want(200, "GET", "/v2/c/blobs/"+string(d), nil)
	reg.want(202, "POST", "/v2/c/blobs/uploads/?mount="+string(gone), nil)
}

// Blobs of a deleted manifest are removed a day later; a blob that any field of a
// manifest names stays.
func TestCollectUnnamed(t *testing.T) {
	reg := newRegistry(t)
	layer := reg.pushBlob("a", []byte("layer"))
	reg.pushBlob("b", []byte("layer"))
	artifact := reg.pushBlob("a", []byte("artifact"))
	reg.want(201, "PUT", "/v2/a/manifests/v1", []byte(`{"blobs":[{"digest":"sha256\u003a`+string(artifact)[7:]+`"}]}`), "Content-Type", "application/vnd.example+json")
	reg.pushImage("a", "v2", "x") // its config
	if got, err := reg.disk.Collect(context.Background(), false); err != nil || got.Removed != 0 {
		t.Errorf("Collect = %+v, %v, want nothing removed that has just come", got, err)
	}
	reg.age(layer)
	reg.age(artifact)
	got, err := reg.disk.Collect(context.Background(), false)
	if err != nil || got.Removed != 1 || got.Kept != 4 || got.Repositories != 1 {
		t.Errorf("Collect = %+v, %v, want the layer removed; artifact, config and two manifests kept", got, err)
	}
	reg.want(404, "GET", "/v2/a/blobs/"+string(layer), nil)
	reg.want(404, "GET", "/v2/b/blobs/"+string(layer), nil)
	reg.want(200, "GET", "/v2/a/blobs/"+string(artifact), nil)
	reg.want(200, "GET", "/v2/a/manifests/v2", nil)
	checkStorage(t, reg.dir)
}

// A blob that a client has seen or pushed stays for a day after that, however old it
// is, because the client does not push it again.
func TestPromises(t *testing.T) {
	for name, promise := range map[string]func(reg *testRegistry, d Digest){
		"HEAD":  func(reg *testRegistry, d Digest) { reg.want(200, "HEAD", "/v2/a/blobs/"+string(d), nil) },
		"mount": func(reg *testRegistry, d Digest) { reg.want(201, "POST", "/v2/b/blobs/uploads/?mount="+string(d), nil) },
		"push":  func(reg *testRegistry, _ Digest) { reg.pushBlob("b", []byte("layer")) },
	} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t)
			d := reg.pushBlob("a", []byte("layer"))
			reg.age(d)
			promise(reg, d)
			reg.restart()
			if got, err := reg.disk.Collect(context.Background(), false); err != nil || got.Removed != 0 {
				t.Errorf("Collect = %+v, %v, want the blob kept", got, err)
			}
			reg.age(d)
			if got, err := reg.disk.Collect(context.Background(), false); err != nil || got.Removed != 1 {
				t.Errorf("a day later Collect = %+v, %v, want the blob removed", got, err)
			}
		})
	}
}

// The storage's time passes while the host runs, whatever its clock shows.
func TestClock(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	note := clockNote{Time: start, Boot: "one", Uptime: time.Hour}
	for _, c := range []struct {
		name   string
		boot   string
		uptime time.Duration
		want   time.Duration
	}{
		{"no time", "one", time.Hour, 0},
		{"two hours", "one", 3 * time.Hour, 2 * time.Hour},
		{"another start, ten minutes ago", "two", 10 * time.Minute, 10 * time.Minute},
		{"a start that is not known", "", 50 * time.Hour, 0},
		{"uptime that goes back", "one", time.Minute, 0},
	} {
		if got := note.advance(c.boot, c.uptime).Time.Sub(start); got != c.want {
			t.Errorf("%s: %v have passed, want %v", c.name, got, c.want)
		}
	}
	reg := newRegistry(t)
	before := reg.disk.now()
	reg.restart()
	if passed := reg.disk.now().Sub(before); passed < 0 || passed > time.Minute {
		t.Errorf("%v have passed over a restart", passed)
	}
}

// A blob with a date in the future, from a wrong clock, is kept.
func TestCollectWrongClock(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushBlob("a", []byte("layer"))
	later := time.Now().Add(1000 * time.Hour)
	if err := os.Chtimes(reg.path(poolPath(d)), later, later); err != nil {
		t.Fatal(err)
	}
	if got, err := reg.disk.Collect(context.Background(), false); err != nil || got.Removed != 0 {
		t.Errorf("Collect = %+v, %v", got, err)
	}
	reg.want(200, "HEAD", "/v2/a/blobs/"+string(d), nil) // dates it anew
	if info, err := os.Stat(reg.path(poolPath(d))); err != nil || info.ModTime().After(time.Now().Add(time.Hour)) {
		t.Errorf("date %v, %v, want one of today", info.ModTime(), err)
	}
}
