package registry

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// flip changes one byte in the middle of a file, as a bad disk does.
func flip(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// scrubbed scrubs a storage, repairs it if asked, and returns each damage as "path:
// reason".
func (reg *testRegistry) scrubbed(repair bool) (Scrubbed, []string) {
	reg.t.Helper()
	var read atomic.Int64
	var found []string
	add := func(damage Damage) error {
		found = append(found, damage.Path+": "+damage.Err.Error())
		if repair {
			return reg.disk.SetAside(context.Background(), damage)
		}
		return nil
	}
	w := Watcher{func(int64) {}, &read, add}
	scrub := func() (Scrubbed, error) { return Scrub(context.Background(), reg.dir, w) }
	if repair {
		scrub = func() (Scrubbed, error) { return reg.disk.Scrub(context.Background(), w) }
	}
	s, err := scrub()
	if err != nil {
		reg.t.Fatal(err)
	}
	return s, found
}

// All damage is found, and a push after a repair restores the content.
func TestScrub(t *testing.T) {
	config := digestBytes("sha256", []byte("{}"))
	manifest := digestBytes("sha256", image(config, "x"))
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, reg *testRegistry)
		found  string // the file and the reason
	}{
		{"a blob", func(t *testing.T, reg *testRegistry) { flip(t, reg.path(poolPath(config))) },
			poolPath(config) + ": its content has another digest"},
		{"a manifest", func(t *testing.T, reg *testRegistry) { flip(t, reg.path(poolPath(manifest))) },
			poolPath(manifest) + ": its content has another digest"},
		{"a truncated blob", func(t *testing.T, reg *testRegistry) {
			if err := os.Truncate(reg.path(poolPath(config)), 0); err != nil {
				t.Fatal(err)
			}
		}, poolPath(config) + ": its content has another digest"},
		{"a manifest that is gone", func(t *testing.T, reg *testRegistry) {
			if err := os.Remove(reg.path(blobPath("a", manifest))); err != nil {
				t.Fatal(err)
			}
		}, blobPath("a", manifest) + ": listed as a manifest, but absent"},
		{"a tag of nothing", func(t *testing.T, reg *testRegistry) {
			if err := os.Remove(reg.path(manifestPath("a", manifest))); err != nil {
				t.Fatal(err)
			}
		}, tagPath("a", "v1") + ": points to a manifest that is absent"},
		{"a copy without links", func(t *testing.T, reg *testRegistry) {
			if err := os.Remove(reg.path(blobPath("a", manifest))); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(reg.path(blobPath("a", manifest)), []byte("other"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, blobPath("a", manifest) + ": its content has another digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := newRegistry(t)
			reg.pushImage("a", "v1", "x")
			reg.pushImage("b/c", "v1", "x")
			if s, found := reg.scrubbed(false); len(found) > 0 || s.Good != 2 || s.Bytes == 0 {
				t.Fatalf("before the damage: %+v, %q", s, found)
			}
			c.damage(t, reg)
			if s, found := reg.scrubbed(false); s.Bad != 1 || len(found) != 1 || !strings.HasPrefix(found[0], c.found) {
				t.Fatalf("scrub found %q, want %q", found, c.found)
			}
			reg.scrubbed(true)
			if s, found := reg.scrubbed(false); s.Bad != 0 {
				t.Errorf("after the repair: %q", found)
			}
			reg.restart()
			reg.pushImage("a", "v1", "x")
			reg.pushImage("b/c", "v1", "x")
			for _, name := range []string{"a", "b/c"} {
				reg.want(200, "GET", "/v2/"+name+"/manifests/v1", nil)
				if a := reg.want(200, "GET", "/v2/"+name+"/blobs/"+string(config), nil); a.body != "{}" {
					t.Errorf("%s: config %q after the repair and a push", name, a.body)
				}
			}
			if s, found := reg.scrubbed(false); s.Bad != 0 || s.Good != 2 {
				t.Errorf("at last: %+v, %q", s, found)
			}
		})
	}
}

// A damage names the images that it affects, also through an index, and a repository
// without such a tag.
func TestScrubNamesImages(t *testing.T) {
	reg := newRegistry(t)
	child := reg.pushImage("a", "direct", "x")
	index := []byte(`{"mediaType":"` + mediaTypeIndex + `","manifests":[{"digest":"` + string(child) + `"}]}`)
	reg.want(201, "PUT", "/v2/a/manifests/indexed", index, "Content-Type", mediaTypeIndex)
	reg.want(201, "PUT", "/v2/a/manifests/other", []byte(`{"manifests":[]}`), "Content-Type", mediaTypeIndex)
	reg.pushBlob("b", []byte("{}"))
	for file, want := range map[string]string{
		poolPath(digestBytes("sha256", []byte("{}"))): "a:direct a:indexed b",
		poolPath(child): "a:direct a:indexed",
	} {
		flip(t, reg.path(file))
		var got []string
		w := Watcher{func(int64) {}, new(atomic.Int64), func(damage Damage) error {
			got = append(got, damage.Affected...)
			return nil
		}}
		if _, err := Scrub(t.Context(), reg.dir, w); err != nil || strings.Join(got, " ") != want {
			t.Errorf("damage of %s concerns %q, %v, want %q", file, got, err, want)
		}
		flip(t, reg.path(file))
	}
}

// No tag leads to what was set aside, and its bytes are kept.
func TestSetAsideKeeps(t *testing.T) {
	reg := newRegistry(t)
	manifest := reg.pushImage("a", "v1", "x")
	for range 2 { // the second time the name in quarantine/ is taken
		flip(t, reg.path(poolPath(manifest)))
		reg.scrubbed(true)
		reg.want(404, "GET", "/v2/a/manifests/v1", nil)
		if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":[]}` {
			t.Errorf("tags: %s", a.body)
		}
		reg.pushImage("a", "v1", "x")
	}
	for _, suffix := range []string{"", ".1"} {
		if _, err := os.Stat(reg.path("quarantine/" + poolPath(manifest) + suffix)); err != nil {
			t.Error(err)
		}
	}
}

func TestScrubStops(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v1", "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var read atomic.Int64
	w := Watcher{func(int64) {}, &read, func(Damage) error { return nil }}
	if _, err := Scrub(ctx, reg.dir, w); !errors.Is(err, context.Canceled) {
		t.Errorf("Scrub = %v, want it to stop", err)
	}
	if _, err := Scrub(context.Background(), t.TempDir(), w); err == nil {
		t.Error("a directory that is not storage was scrubbed")
	}
}

func TestUsage(t *testing.T) {
	reg := newRegistry(t)
	reg.pushBlob("a", []byte("12345"))
	reg.pushBlob("b", []byte("12345"))
	u, err := reg.disk.Usage()
	if err != nil || u.Blobs != 1 || u.Bytes != 5 || u.Free <= 0 {
		t.Errorf("Usage = %+v, %v, want 1 blob of 5 bytes", u, err)
	}
}
