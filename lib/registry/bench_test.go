package registry

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pushers run a function b.N times in several goroutines at once.
func pushers(b *testing.B, n int, f func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range n {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				f(int(i))
			}
		})
	}
	all.Wait()
}

// BenchmarkManifest pushes small manifests with a tag each to one repository.
func BenchmarkManifest(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			reg := newRegistry(b)
			config := reg.pushBlob("a", []byte("{}"))
			pushers(b, clients, func(i int) {
				a := reg.do("PUT", fmt.Sprintf("/v2/a/manifests/v%d", i), image(config, fmt.Sprint(i)), "Content-Type", mediaTypeImage)
				if a.StatusCode != 201 {
					b.Errorf("PUT = %d %s", a.StatusCode, a.body)
				}
			})
		})
	}
}

// manyTags gives a repository of a registry tags, without syncing each.
func manyTags(t testing.TB, reg *testRegistry, name string, tags int) Digest {
	t.Helper()
	d := reg.pushImage(name, "v", "x")
	for i := range tags {
		if err := os.Symlink(tagTarget(d), reg.path(tagPath(name, fmt.Sprintf("t%06d", i)))); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// BenchmarkManyTags pushes a manifest, moves a tag and deletes one in an empty
// repository and in one of 100,000 tags.
func BenchmarkManyTags(b *testing.B) {
	for _, tags := range []int{0, 100000} {
		reg := newRegistry(b)
		manyTags(b, reg, "a", tags)
		config := digestBytes("sha256", []byte("{}"))
		two := []Digest{reg.pushImage("a", "one", "1"), reg.pushImage("a", "two", "2")}
		manifests := [][]byte{image(config, "1"), image(config, "2")}
		for name, f := range map[string]func(i int){
			"put": func(i int) {
				m := image(config, fmt.Sprint(tags, b.N, i))
				reg.want(201, "PUT", "/v2/a/manifests/"+string(digestBytes("sha256", m)), m, "Content-Type", mediaTypeImage)
			},
			"tag": func(i int) {
				reg.want(201, "PUT", "/v2/a/manifests/"+string(two[i%2])+"?tag=moving", manifests[i%2], "Content-Type", mediaTypeImage)
			},
			"untag": func(i int) {
				if err := os.Symlink(tagTarget(two[0]), reg.path(tagPath("a", "gone"))); err != nil {
					b.Fatal(err)
				}
				reg.want(202, "DELETE", "/v2/a/manifests/gone", nil)
			},
			"delete": func(i int) {
				m := image(config, fmt.Sprint("d", tags, b.N, i))
				reg.want(201, "PUT", "/v2/a/manifests/x", m, "Content-Type", mediaTypeImage)
				reg.want(202, "DELETE", "/v2/a/manifests/"+string(digestBytes("sha256", m)), nil)
			},
			"get": func(i int) { reg.want(200, "GET", "/v2/a/manifests/one", nil) },
		} {
			b.Run(fmt.Sprintf("tags=%d/%s", tags, name), func(b *testing.B) {
				for i := range b.N {
					f(i)
				}
			})
		}
	}
}

// Lists of many tags, whole and for many clients at once, take little memory
// and are complete.
func TestListManyTags(t *testing.T) {
	const tags = 12000
	reg := newRegistry(t)
	manyTags(t, reg, "a", tags)
	a := reg.want(200, "GET", "/v2/a/tags/list", nil)
	if n := strings.Count(a.body, `"t0`); n != tags || !strings.HasPrefix(a.body, `{"name":"a","tags":["t000000","t000001",`) || !strings.HasSuffix(a.body, `"t011999","v"]}`) {
		t.Errorf("a list of %d tags, want %d: %.60s … %s", n, tags, a.body, a.body[max(0, len(a.body)-40):])
	}
	a = reg.want(200, "GET", "/v2/a/tags/list?n=11000&last=t000009", nil)
	if n := strings.Count(a.body, `"t`); n != maxPage+1 || !strings.Contains(a.Header.Get("Link"), "last=t010009&n=11000") {
		t.Errorf("a page of %d tags, Link %q", n, a.Header.Get("Link"))
	}
	runtime.GC()
	var all sync.WaitGroup
	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	}()
	for range 20 {
		all.Go(func() { reg.want(200, "HEAD", "/v2/a/tags/list", nil) })
	}
	all.Wait()
	close(stop)
	if peak.Load() > 100<<20 {
		t.Errorf("20 lists at once took %d MB", peak.Load()>>20)
	}
}

// A deletion by digest finds every tag of its manifest, and no other.
func TestDeleteWithManyTags(t *testing.T) {
	reg := newRegistry(t)
	d := manyTags(t, reg, "a", maxPage+10)
	other := reg.pushImage("a", "other", "y")
	reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["other"]}` {
		t.Errorf("tags: %.100s", a.body)
	}
	reg.want(200, "GET", "/v2/a/manifests/"+string(other), nil)
}

// manyRepos makes repositories that are as a push leaves them.
func manyRepos(t testing.TB, reg *testRegistry, n int) (names []string) {
	t.Helper()
	d := reg.pushImage("seed", "v", "x")
	for i := range n {
		name := fmt.Sprintf("r%06d", i)
		if i%10 == 0 {
			name = fmt.Sprintf("group/r%06d", i)
		}
		names = append(names, name)
		for _, dir := range []string{"blobs/sha256", "manifests/sha256", "tags"} {
			if err := os.MkdirAll(reg.path(repoPath(name, dir)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(mediaTypeImage, reg.path(manifestPath(name, d))); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	return append(names, "seed")
}

// Every repository is listed once, whatever the size of the pages.
func TestCatalogPages(t *testing.T) {
	reg := newRegistry(t)
	want := manyRepos(t, reg, 2500)
	for _, n := range []int{7, 100, 1000, 5000} {
		var got []string
		for target := fmt.Sprintf("/v2/_catalog?n=%d", n); target != ""; {
			a := reg.want(200, "GET", target, nil)
			list := strings.TrimSuffix(strings.TrimPrefix(a.body, `{"repositories":[`), "]}")
			got = append(got, strings.Split(strings.ReplaceAll(list, `"`, ""), ",")...)
			target, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
		}
		if !slices.Equal(got, want) {
			t.Errorf("n=%d: %d names, want %d: %.200q", n, len(got), len(want), got)
		}
	}
}

const benchRepos = 5000

// BenchmarkCatalog asks for the first page of a catalog.
func BenchmarkCatalog(b *testing.B) {
	reg := newRegistry(b)
	manyRepos(b, reg, benchRepos)
	b.ResetTimer()
	for range b.N {
		if a := reg.want(200, "GET", "/v2/_catalog?n=1000", nil); strings.Count(a.body, ",") != 999 {
			b.Fatal(a.body)
		}
	}
}
