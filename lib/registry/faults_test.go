package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// modelDisk is what a disk certainly holds. A name is on it once its directory has
// been synced after the name's last change; a failed sync loses what it should have
// written, until that is changed again.
type modelDisk struct {
	mu     sync.Mutex
	now    int
	change map[string]int  // when a name was changed last
	synced map[string]int  // when the last good sync of a directory began
	lost   map[string]bool // names that a failed sync left behind
	random *rand.Rand
	rate   float64 // of steps that fail
	failed map[string]int
}

func newModelDisk(seed uint64) *modelDisk {
	return &modelDisk{change: map[string]int{}, synced: map[string]int{}, lost: map[string]bool{},
		random: rand.New(rand.NewPCG(seed, 1)), failed: map[string]int{}}
}

// faults are the errors that a step may return.
var faults = map[string][]error{
	"fsync":   {syscall.EIO, syscall.ENOSPC},
	"link":    {syscall.EIO, syscall.ENOSPC},
	"symlink": {syscall.ENOSPC},
	"rename":  {syscall.EIO, syscall.ENOSPC},
	"unlink":  {syscall.EIO},
	"mkdir":   {syscall.ENOSPC},
	"open":    {syscall.EMFILE, syscall.ENOSPC},
	"write":   {syscall.ENOSPC},
}

func (m *modelDisk) observe(op, name string) (func(error), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	began := m.now
	var err error
	if m.random.Float64() < m.rate {
		err = faults[op][m.random.IntN(len(faults[op]))]
		m.failed[op]++
	}
	return func(err error) { m.ended(op, name, began, err) }, err
}

func (m *modelDisk) ended(op, name string, began int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	switch {
	case op == "fsync" && err != nil:
		for changed := range m.change {
			if path.Dir(changed) == name && !m.durable(changed) {
				m.lost[changed] = true
			}
		}
	case op == "fsync":
		m.synced[name] = began
	case err == nil && op != "write":
		m.change[name] = m.now
		delete(m.lost, name)
	}
}

// durable reports whether a name would survive a power failure. m.mu is held.
func (m *modelDisk) durable(name string) bool {
	return !m.lost[name] && m.change[name] <= m.synced[path.Dir(name)]
}

// check reports a file or directory on a path that would not survive.
func (m *modelDisk) check(t *testing.T, why string, names ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		for ; name != "."; name = path.Dir(name) {
			if m.change[name] > 0 && !m.durable(name) {
				t.Errorf("%s: a power failure would undo %s", why, name)
			}
		}
	}
}

// Everything acknowledged or read would survive a power failure, though any step may
// fail and clients repeat what failed.
func TestFaults(t *testing.T) {
	for seed := range uint64(2) {
		for _, rate := range []float64{0.02, 0.15} {
			t.Run(fmt.Sprintf("seed %d, rate %v", seed, rate), func(t *testing.T) {
				t.Parallel()
				testFaults(t, seed, rate)
			})
		}
	}
}

func testFaults(t *testing.T, seed uint64, rate float64) {
	disk, err := OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := newModelDisk(seed)
	disk.tree.observe = m.observe
	m.rate = rate
	h := New(disk, Options{})
	var all sync.WaitGroup
	for client := range 6 {
		all.Go(func() {
			c := faultClient{t, h, m, rand.New(rand.NewPCG(seed, uint64(client)+10)), client}
			for range 40 {
				c.act()
			}
		})
	}
	all.Wait()
	m.mu.Lock()
	m.rate = 0
	m.mu.Unlock()
	disk.names.mu.Lock() // index.json is being written
	for name := range disk.names.suspect {
		t.Logf("left suspect: %s", name)
	}
	disk.names.mu.Unlock()
	// When the disk works again, so does everything.
	c := faultClient{t, h, m, rand.New(rand.NewPCG(seed, 99)), 0}
	for r := range 3 {
		for n := range 4 {
			if !c.push(fmt.Sprintf("r%d/x", r), fmt.Sprintf("t%d", n), n) {
				t.Errorf("a push fails though the disk works again")
			}
		}
	}
	if err := disk.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	checkStorage(t, disk.dir)
	t.Logf("failed steps: %v", m.failed)
}

// faultClient repeats what failed, as clients do.
type faultClient struct {
	t      *testing.T
	h      http.Handler
	m      *modelDisk
	random *rand.Rand
	number int
}

func (c *faultClient) do(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if strings.Contains(target, "/manifests/") && method == "PUT" {
		r.Header.Set("Content-Type", mediaTypeImage)
	}
	c.h.ServeHTTP(w, r)
	return w
}

func (c *faultClient) act() {
	name, tag, n := fmt.Sprintf("r%d/x", c.random.IntN(3)), fmt.Sprintf("t%d", c.random.IntN(3)), c.random.IntN(4)
	own := c.random.IntN(2) == 0
	if own { // no other client changes it, except for its directories
		name = fmt.Sprintf("r%d/own%d", c.random.IntN(3), c.number)
	}
	d := digestBytes("sha256", faultImage(n))
	switch c.random.IntN(6) {
	case 0:
		c.do("GET", "/v2/"+name+"/manifests/"+tag, "")
	case 1:
		if c.do("DELETE", "/v2/"+name+"/manifests/"+tag, "").Code == 202 && own {
			c.m.check(c.t, "DELETE of a tag", tagPath(name, tag))
		}
	case 2:
		if c.do("DELETE", "/v2/"+name+"/manifests/"+string(d), "").Code == 202 && own {
			c.m.check(c.t, "DELETE of a manifest", manifestPath(name, d), blobPath(name, d))
		}
	default:
		if c.push(name, tag, n) && own {
			c.m.check(c.t, "PUT of a manifest", tagPath(name, tag), manifestPath(name, d), blobPath(name, d))
		}
	}
}

func faultImage(n int) []byte {
	return image(digestBytes("sha256", []byte("{}")), fmt.Sprint(n))
}

// push pushes an image and repeats each request while it fails.
func (c *faultClient) push(name, tag string, n int) bool {
	config, m := digestBytes("sha256", []byte("{}")), faultImage(n)
	for _, step := range []struct {
		method, target, body string
		status               int
		files                []string
	}{
		{"POST", "/v2/" + name + "/blobs/uploads/?digest=" + string(config), "{}", 201, []string{blobPath(name, config)}},
		{"PUT", "/v2/" + name + "/manifests/" + tag, string(m), 201, nil},
	} {
		ok := false
		for range 8 {
			if w := c.do(step.method, step.target, step.body); w.Code == step.status {
				ok = true
				c.m.check(c.t, step.method+" "+step.target, step.files...)
				break
			} else if w.Code == 404 || w.Code < 400 {
				break
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// A write whose sync failed is acknowledged only after it has been made and synced
// again.
func TestRepeatAfterFailedSync(t *testing.T) {
	reg := newRegistry(t)
	config := reg.pushBlob("a", []byte("{}"))
	reg.pushImage("a", "v1", "one")
	m := newModelDisk(1)
	two := image(config, "two")
	d := digestBytes("sha256", two)
	for _, dir := range []string{
		path.Dir(poolPath(d)), path.Dir(blobPath("a", d)), path.Dir(manifestPath("a", d)), tagsPath("a"),
	} {
		failing := true
		end := reg.observe(func(op, name string) (func(error), error) {
			ended, _ := m.observe(op, name)
			if failing && op == "fsync" && name == dir {
				return ended, syscall.EIO
			}
			return ended, nil
		})
		reg.want(500, "PUT", "/v2/a/manifests/v1", two, "Content-Type", mediaTypeImage)
		if a := reg.want(200, "GET", "/v2/a/manifests/v1", nil); a.body == string(two) {
			t.Errorf("after a failed sync of %s the tag has moved", dir)
		}
		failing = false
		reg.want(201, "PUT", "/v2/a/manifests/v1", two, "Content-Type", mediaTypeImage)
		m.check(t, "PUT after a failed sync of "+dir, poolPath(d), blobPath("a", d), manifestPath("a", d), tagPath("a", "v1"))
		end()
		reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
		if err := reg.disk.tree.remove(poolPath(d)); err != nil {
			t.Fatal(err)
		}
		reg.pushImage("a", "v1", "one")
	}
}

// A deletion whose sync failed is undone.
func TestFailedDeletion(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushImage("a", "v1", "x")
	for _, target := range []string{"manifests/v1", "manifests/" + string(d), "blobs/" + string(digestBytes("sha256", []byte("{}")))} {
		end := reg.observe(func(op, name string) (func(error), error) {
			if op == "fsync" {
				return func(error) {}, syscall.EIO
			}
			return func(error) {}, nil
		})
		reg.want(500, "DELETE", "/v2/a/"+target, nil)
		end()
		reg.want(200, "GET", "/v2/a/"+target, nil)
		reg.want(200, "GET", "/v2/a/manifests/v1", nil)
	}
	reg.restart()
	reg.want(202, "DELETE", "/v2/a/manifests/"+string(d), nil)
	reg.want(404, "GET", "/v2/a/manifests/v1", nil)
}

// A tag, a manifest or a blob is not visible before it is durable.
func TestNothingSeenEarly(t *testing.T) {
	reg := newRegistry(t)
	config := reg.pushBlob("a", []byte("{}"))
	first := reg.pushImage("a", "v1", "one")
	m := image(config, "two")
	d := digestBytes("sha256", m)
	syncing, goOn := make(chan string), make(chan struct{})
	end := reg.observe(func(op, name string) (func(error), error) {
		if op == "fsync" && name == tagsPath("a") {
			syncing <- name
			<-goOn
		}
		return func(error) {}, nil
	})
	put := make(chan answer)
	go func() { put <- reg.do("PUT", "/v2/a/manifests/v2", m, "Content-Type", mediaTypeImage) }()
	<-syncing
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v1"]}` {
		t.Errorf("tags while v2 is being written: %s", a.body)
	}
	got := make(chan answer)
	go func() { got <- reg.do("GET", "/v2/a/manifests/v2", nil) }()
	select {
	case a := <-got:
		t.Errorf("GET = %d before the tag is durable", a.StatusCode)
	default:
	}
	goOn <- struct{}{}
	if a := <-put; a.StatusCode != 201 {
		t.Errorf("PUT = %d %s", a.StatusCode, a.body)
	}
	if a := <-got; a.StatusCode != 200 || a.Header.Get("Docker-Content-Digest") != string(d) {
		t.Errorf("GET = %d", a.StatusCode)
	}
	go func() { put <- reg.do("DELETE", "/v2/a/manifests/v1", nil) }()
	<-syncing
	if a := reg.want(200, "GET", "/v2/a/tags/list", nil); a.body != `{"name":"a","tags":["v1","v2"]}` {
		t.Errorf("tags while v1 is being deleted: %s", a.body)
	}
	goOn <- struct{}{}
	<-put
	end()
	reg.want(200, "GET", "/v2/a/manifests/"+string(first), nil)
}

// A full disk, a used-up quota, a read-only file system and a storage on two mounts
// each have an answer that clients do not retry.
func TestFaultsHaveAnswers(t *testing.T) {
	reg := newRegistry(t)
	config := reg.pushBlob("a", []byte("{}"))
	for errno, want := range map[syscall.Errno]*Error{
		syscall.ENOSPC: ErrNoSpace, syscall.EDQUOT: ErrQuota, syscall.EROFS: ErrReadOnly, syscall.EXDEV: ErrTwoFileSystems,
	} {
		for _, op := range []string{"open", "write", "fsync", "link", "symlink", "rename"} {
			end := reg.observe(func(did, _ string) (func(error), error) {
				if did == op {
					return func(error) {}, errno
				}
				return func(error) {}, nil
			})
			m := image(config, errno.Error()+op)
			a := reg.do("PUT", "/v2/a/manifests/v1", m, "Content-Type", mediaTypeImage)
			if a.StatusCode != want.Status || !strings.Contains(a.body, want.Message) {
				t.Errorf("%s fails with %v: answer %d %s, want %d %s", op, errno, a.StatusCode, a.body, want.Status, want.Message)
			}
			if op != "symlink" && op != "rename" { // a blob is none
				blob := []byte(errno.Error() + op)
				a = reg.do("POST", "/v2/a/blobs/uploads/?digest="+string(digestBytes("sha256", blob)), blob)
				if a.StatusCode != want.Status || !strings.Contains(a.body, want.Message) {
					t.Errorf("%s of a blob fails with %v: answer %d %s, want %d", op, errno, a.StatusCode, a.body, want.Status)
				}
				if err := reg.disk.check(); !errors.Is(err, want) {
					t.Errorf("%s fails with %v: Check = %v", op, errno, err)
				}
			}
			end()
		}
	}
	if err := reg.disk.check(); err != nil {
		t.Errorf("Check = %v", err)
	}
	if got, err := reg.disk.Collect(context.Background(), true); err != nil || got.Uploads != 0 {
		t.Errorf("Collect = %+v, %v, want no upload left", got, err)
	}
}

// A file that cannot have more links is copied.
func TestTooManyLinks(t *testing.T) {
	reg := newRegistry(t)
	d := reg.pushBlob("a", []byte("shared"))
	full := true
	end := reg.observe(func(op, name string) (func(error), error) {
		if full && op == "link" && name == blobPath("b", d) {
			full = false
			return func(error) {}, syscall.EMLINK
		}
		return func(error) {}, nil
	})
	reg.want(201, "POST", "/v2/b/blobs/uploads/?mount="+string(d), nil)
	if n, m := links(t, reg.path(blobPath("a", d))), links(t, reg.path(blobPath("b", d))); n != 1 || m != 2 {
		t.Errorf("%d and %d links, want the old file in a only, and a new one in the pool", n, m)
	}
	end()
	checkStorage(t, reg.dir)
	if s, found := reg.scrubbed(false); s.Bad != 0 {
		t.Errorf("scrub: %q", found)
	}
}

// A failed sync of a directory may lose other changes made before it, although their
// own sync succeeds: they fail too.
func TestFailedSyncOfAnother(t *testing.T) {
	reg := newRegistry(t)
	reg.pushImage("a", "v", "x")
	dir, d := tagsPath("a"), tagTarget(digestBytes("sha256", []byte("x")))
	syncing, goOn, changed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var syncs atomic.Int32
	reg.observe(func(op, name string) (func(error), error) {
		if op == "fsync" && name == dir && syncs.Add(1) == 1 {
			close(syncing)
			<-goOn
			return func(error) {}, syscall.EIO
		}
		return func(error) {
			if op == "rename" && name == tagPath("a", "two") && syncs.Load() == 1 {
				close(changed)
			}
		}, nil
	})
	edits := make(chan error)
	edit := func(tag string) { edits <- reg.disk.edit(reg.disk.linkEdit(tagPath("a", tag), d)) }
	go edit("one")
	<-syncing
	go edit("two")
	<-changed
	close(goOn)
	if a, b := <-edits, <-edits; a == nil || b == nil {
		t.Errorf("edits ended with %v and %v, want both to fail", a, b)
	}
	if there, err := reg.disk.tree.exists(tagPath("a", "two")); there || err != nil {
		t.Errorf("a change that failed is still there, %v", err)
	}
}
