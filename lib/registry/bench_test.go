package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// manyTags adds tags to a repository without syncing them.
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

// BenchmarkManyTags pushes a manifest, moves a tag and deletes both in an empty
// repository and, by turns, in one of 100,000 tags. "full/empty" is the ratio of
// the medians.
func BenchmarkManyTags(b *testing.B) {
	reg := newRegistry(b)
	manyTags(b, reg, "full", 100000)
	manyTags(b, reg, "empty", 0)
	config := digestBytes("sha256", []byte("{}"))
	manifests := [][]byte{image(config, "1"), image(config, "2")}
	for _, name := range []string{"full", "empty"} {
		reg.pushImage(name, "one", "1")
		reg.pushImage(name, "two", "2")
	}
	n := 0
	unique := func(name string) []byte { n++; return image(config, fmt.Sprint(name, n)) }
	for _, c := range []struct {
		name string
		do   func(name string, i int)
	}{
		{"put", func(name string, i int) {
			m := unique(name)
			reg.want(201, "PUT", "/v2/"+name+"/manifests/"+string(digestBytes("sha256", m)), m, "Content-Type", mediaTypeImage)
		}},
		{"put with a new tag", func(name string, i int) {
			m := unique(name)
			reg.want(201, "PUT", fmt.Sprintf("/v2/%s/manifests/new%d", name, n), m, "Content-Type", mediaTypeImage)
		}},
		{"move a tag", func(name string, i int) {
			reg.want(201, "PUT", "/v2/"+name+"/manifests/moving", manifests[i%2], "Content-Type", mediaTypeImage)
		}},
		{"untag", func(name string, i int) {
			if err := os.Symlink(tagTarget(digestBytes("sha256", manifests[0])), reg.path(tagPath(name, "gone"))); err != nil {
				b.Fatal(err)
			}
			reg.want(202, "DELETE", "/v2/"+name+"/manifests/gone", nil)
		}},
		{"push and delete by digest", func(name string, i int) {
			m := unique(name)
			reg.want(201, "PUT", "/v2/"+name+"/manifests/x", m, "Content-Type", mediaTypeImage)
			reg.want(202, "DELETE", "/v2/"+name+"/manifests/"+string(digestBytes("sha256", m)), nil)
		}},
		{"get", func(name string, i int) { reg.want(200, "GET", "/v2/"+name+"/manifests/one", nil) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			reg.disk.indexes.idle()
			byTurns(b, "full/empty", func(i int) { c.do("full", i) }, func(i int) { c.do("empty", i) })
		})
	}
}

// byTurns runs two functions alternately and reports the ratio of their median
// times, and the first one's as ns/op.
func byTurns(b *testing.B, unit string, one, other func(i int)) {
	times := make([][]time.Duration, 2)
	b.ResetTimer()
	for i := range b.N {
		for j, do := range []func(int){one, other} {
			start := time.Now()
			do(i)
			times[j] = append(times[j], time.Since(start))
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	b.ReportMetric(float64(times[0][b.N/2])/float64(times[1][b.N/2]), unit)
	b.ReportMetric(float64(times[0][b.N/2]), "ns/op")
}

// idle waits until no index is stale.
func (x *indexer) idle() {
	for behind := 1; behind > 0; time.Sleep(10 * time.Millisecond) {
		x.writing.Lock()
		x.mu.Lock()
		behind = len(x.changed)
		x.mu.Unlock()
		x.writing.Unlock()
	}
}

// Lists of many tags are complete and take little memory, also for many clients at
// a time.
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

// A deletion by digest removes every tag of its manifest and no other.
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

// listRepo makes a repository that the catalog lists, without syncing it.
func listRepo(t testing.TB, reg *testRegistry, name string) {
	t.Helper()
	file := reg.path(manifestPath(name, digestBytes("sha256", nil)))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mediaTypeImage, file); err != nil {
		t.Fatal(err)
	}
}

// manyRepos makes repositories and returns their names in order.
func manyRepos(t testing.TB, reg *testRegistry, n int) (names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("r%06d", i)
		if i%10 == 0 {
			name = "group/" + name
		}
		listRepo(t, reg, name)
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// catalog returns the names of all repositories, n at a time.
func catalog(reg *testRegistry, n int) (names []string) {
	for target := fmt.Sprintf("/v2/_catalog?n=%d", n); target != ""; {
		a := reg.want(200, "GET", target, nil)
		list := strings.TrimSuffix(strings.TrimPrefix(a.body, `{"repositories":[`), "]}")
		names = append(names, strings.Split(strings.ReplaceAll(list, `"`, ""), ",")...)
		target, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	return names
}

// Every repository is listed once, whatever the size of the pages.
func TestCatalogPages(t *testing.T) {
	reg := newRegistry(t)
	want := manyRepos(t, reg, 2500)
	for _, n := range []int{7, 100, 1000, 5000} {
		got := catalog(reg, n)
		if !slices.Equal(got, want) {
			t.Errorf("n=%d: %d names, want %d: %.200q", n, len(got), len(want), got)
		}
	}
}

// A name comes before what is below it, and "a-b" in between, whatever the size
// of the pages.
func TestCatalogOrder(t *testing.T) {
	reg := newRegistry(t)
	var want []string
	for i := range 120 {
		want = append(want, "x"+strings.Repeat("-x", i))
	}
	want = append(want, want[119]+"/y", "a", "a-b", "a-b/c", "a.b", "a/b", "a/b-c", "a/b/c", "ab", "b/c/d/e", "x/y", "x-x/y")
	for _, name := range want {
		listRepo(t, reg, name)
	}
	slices.Sort(want)
	for _, n := range []int{1, 2, 3, 200} {
		if got := catalog(reg, n); !slices.Equal(got, want) {
			t.Errorf("n=%d: %q, want %q", n, got, want)
		}
	}
}

// A signal makes the system return some of a directory's entries only, and the
// runtime sends many.
func TestCatalogWithSignals(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v", "x")
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(os.Getpid(), syscall.SIGURG)
			}
		}
	})
	for i := range 20000 {
		if has, err := reg.disk.hasManifest("a"); !has || err != nil {
			t.Errorf("look %d: %v, %v", i, has, err)
			break
		}
	}
	close(stop)
	sender.Wait()
}

// BenchmarkCatalog asks for pages of a catalog of 100,000 repositories: the
// first, the last, and the whole. The registry remembers nothing of a page, so
// each request costs what the first one after a start does. cpu-ms is the
// process's user and system time for one.
func BenchmarkCatalog(b *testing.B) {
	reg := newRegistry(b)
	names := manyRepos(b, reg, 100000)
	computed := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for target, want := range map[string]int{
		"?n=1000":                                1000,
		"?n=1000&last=" + names[len(names)-1001]: 1000,
		"":                                       len(names),
	} {
		b.Run(target, func(b *testing.B) {
			times := make([]time.Duration, b.N)
			before := computed()
			for i := range b.N {
				start := time.Now()
				if a := reg.want(200, "GET", "/v2/_catalog"+target, nil); strings.Count(a.body, ",") != want-1 {
					b.Fatalf("%d names, want %d", strings.Count(a.body, ",")+1, want)
				}
				times[i] = time.Since(start)
			}
			b.ReportMetric(float64((computed()-before).Microseconds())/1000/float64(b.N), "cpu-ms")
			slices.Sort(times)
			b.ReportMetric(float64(times[b.N/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(times[0].Microseconds())/1000, "least-ms")
		})
	}
}
