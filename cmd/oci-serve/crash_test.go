package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

const imageType = "application/vnd.oci.image.manifest.v1+json"

// pushed is an image that the pusher makes from a number.
type pushed struct {
	repository, tag string
	layer, manifest []byte
}

var configBlob = []byte("{}")

// makeImage returns image n. Ten repositories share their layers in pairs, and
// "many" has hundreds of tags.
func makeImage(n int) pushed {
	p := pushed{repository: fmt.Sprintf("repo/%d", n%10), tag: fmt.Sprintf("v%d", n/10)}
	if n%3 == 0 {
		p.repository, p.tag = "many", fmt.Sprintf("n%d", n)
	}
	p.layer = make([]byte, 72<<10)
	rand.New(rand.NewSource(int64(n / 2))).Read(p.layer)
	p.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x/y","digest":%q,"size":2},"layers":[{"mediaType":"x/z","digest":%q,"size":%d}],"annotations":{"n":"%d"}}`,
		imageType, digest(configBlob), digest(p.layer), len(p.layer), n)
	return p
}

// ledger records what the registry has acknowledged.
type ledger struct {
	mu      sync.Mutex
	blobs   map[string]bool   // repository/blobs/digest
	tags    map[string]string // repository/manifests/tag → digest
	deleted map[string]bool   // tags whose deletion was acknowledged
	pending map[string]bool   // tags with a request that was not answered
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// push sends an image as go-containerregistry does: POST, PATCH, PUT for each
// blob, then the manifest. Every seventh image is deleted again. It returns the
// first error, which is that of a server that was killed, or a status that is
// wrong.
func (l *ledger) push(url string, n int) error {
	p := makeImage(n)
	base := url + "/v2/" + p.repository
	for _, blob := range [][]byte{configBlob, p.layer} {
		resp, _, err := do("POST", base+"/blobs/uploads/", nil)
		if err != nil {
			return err
		}
		at := url + resp.Header.Get("Location")
		if err := expect(202, "PATCH", at, blob); err != nil {
			return err
		}
		if err := expect(201, "PUT", at+"?digest="+digest(blob), nil); err != nil {
			return err
		}
		l.note(func() { l.blobs[p.repository+"/blobs/"+digest(blob)] = true })
	}
	tag := p.repository + "/manifests/" + p.tag
	l.note(func() { l.pending[tag] = true })
	if err := expect(201, "PUT", base+"/manifests/"+p.tag, p.manifest, "Content-Type", imageType); err != nil {
		return err
	}
	l.note(func() { l.tags[tag] = digest(p.manifest); delete(l.deleted, tag) })
	if n%7 == 0 {
		if err := expect(202, "DELETE", base+"/manifests/"+p.tag, nil); err != nil {
			return err
		}
		l.note(func() { delete(l.tags, tag); l.deleted[tag] = true })
	}
	l.note(func() { delete(l.pending, tag) })
	return nil
}

// expect sends a request and checks the status.
func expect(status int, method, url string, body []byte, headers ...string) error {
	resp, text, err := do(method, url, body, headers...)
	if err != nil {
		return err
	}
	if resp.StatusCode != status {
		return fmt.Errorf("status %d for %s %s: %s", resp.StatusCode, method, url, text)
	}
	return nil
}

// check asks a registry for everything that the ledger has.
func (l *ledger) check(t *testing.T, url string) {
	t.Helper()
	for blob := range l.blobs {
		resp, data, err := do("GET", url+"/v2/"+blob, nil)
		if err != nil || resp.StatusCode != 200 || !strings.HasSuffix(blob, digest(data)) {
			t.Errorf("acknowledged blob %s: %v %v", blob, resp, err)
		}
	}
	for tag, want := range l.tags {
		resp, data, err := do("GET", url+"/v2/"+tag, nil)
		if l.pending[tag] && err == nil && resp.StatusCode == 404 {
			continue // its deletion was under way
		}
		if err != nil || resp.StatusCode != 200 || digest(data) != want {
			t.Errorf("acknowledged tag %s: %v %v", tag, resp, err)
		}
	}
	for tag := range l.deleted {
		if l.pending[tag] {
			continue // it was being pushed again
		}
		if resp, _, err := do("GET", url+"/v2/"+tag, nil); err != nil || resp.StatusCode != 404 {
			t.Errorf("deleted tag %s: %v %v", tag, resp, err)
		}
	}
}

// checkFiles checks the storage of a registry that has just started: every
// file under a digest has that digest, what an index.json lists is there, and
// nothing temporary is left.
func checkFiles(t *testing.T, storage string) {
	t.Helper()
	seen := make(map[uint64]string) // digests by inode: a blob has several links
	err := filepath.WalkDir(storage, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if e.Type() == fs.ModeSymlink {
			checkLink(t, file)
			return nil
		}
		if info, err := e.Info(); err == nil && filepath.Base(filepath.Dir(file)) == "sha256" {
			inode := info.Sys().(*syscall.Stat_t).Ino
			if seen[inode] == e.Name() {
				return nil
			}
			seen[inode] = e.Name()
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		switch dir := filepath.Base(filepath.Dir(file)); {
		case dir == "sha256":
			if digest(data) != "sha256:"+e.Name() {
				t.Errorf("%s holds %d other bytes", file, len(data))
			}
		case strings.HasPrefix(e.Name(), "tmp-"):
			for range 250 { // an index.json may just be written
				if _, err := os.Lstat(file); err != nil {
					return nil
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("left behind: %s", file)
		case e.Name() == "index.json":
			checkIndex(t, file, data)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// checkLink checks a link in a layout: a tag points at a blob, and a manifest
// is one.
func checkLink(t *testing.T, file string) {
	t.Helper()
	dir := filepath.Dir(file)
	if filepath.Base(dir) == "tags" {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("tag: %v", err)
		}
	} else if _, err := os.Stat(filepath.Join(dir, "../../blobs", filepath.Base(dir), filepath.Base(file))); err != nil {
		t.Errorf("manifest: %v", err)
	}
}

func checkIndex(t *testing.T, file string, data []byte) {
	t.Helper()
	var index struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal(data, &index); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	for _, m := range index.Manifests {
		blob := filepath.Join(filepath.Dir(file), "blobs", strings.Replace(m.Digest, ":", "/", 1))
		if _, err := os.Stat(blob); err != nil {
			t.Errorf("%s lists what is absent: %v", file, err)
		}
	}
}

// oci-serve is killed again and again while three clients push. Whatever it has
// acknowledged must be there when it starts again, and the push must complete.
func TestKill(t *testing.T) {
	const rounds, most = 25, 10 // images that each client pushes in a round, then it waits
	storage := t.TempDir()
	l := &ledger{blobs: map[string]bool{}, tags: map[string]string{}, deleted: map[string]bool{}, pending: map[string]bool{}}
	c := startChild(t, storage)
	for i := range 400 {
		if err := tagMany(c.url, i); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	done := make([]int, 3) // how far each client is
	for round := range rounds {
		killed := make(chan struct{})
		life := time.Duration(random.Intn(150)) * time.Millisecond
		if round%5 == 4 { // long enough for index.json to be written
			life += 950 * time.Millisecond
		}
		time.AfterFunc(life, func() {
			c.kill()
			close(killed)
		})
		var clients sync.WaitGroup
		for i := range done {
			clients.Go(func() {
				for end := done[i] + most; done[i] < end; done[i]++ {
					if err := l.push(c.url, i+len(done)*done[i]); err != nil {
						if strings.HasPrefix(err.Error(), "status") {
							t.Errorf("round %d: %v", round, err)
						}
						return
					}
				}
			})
		}
		<-killed
		clients.Wait()
		c = startChild(t, storage)
		checkFiles(t, storage)
	}
	l.check(t, c.url)
	end := slices.Max(done) + 3
	for i := range done {
		for ; done[i] < end; done[i]++ {
			if err := l.push(c.url, i+len(done)*done[i]); err != nil {
				t.Fatalf("push after the last start: %v", err)
			}
		}
	}
	l.check(t, c.url)
	c.stop()
	checkFiles(t, storage)
	t.Logf("%d images, %d blobs, %d tags, %d deleted, over %d kills", done[0]+done[1]+done[2], len(l.blobs), len(l.tags), len(l.deleted), rounds)
}

// tagMany adds a tag to the repository "many".
func tagMany(url string, n int) error {
	if n == 0 {
		if err := expect(201, "POST", url+"/v2/many/blobs/uploads/?digest="+digest(configBlob), configBlob); err != nil {
			return err
		}
	}
	m := fmt.Appendf(nil, `{"mediaType":%q,"config":{"digest":%q}}`, imageType, digest(configBlob))
	return expect(201, "PUT", fmt.Sprintf("%s/v2/many/manifests/t%d", url, n), m, "Content-Type", imageType)
}

// An upload goes on after a kill from where the server says.
func TestResumeAfterKill(t *testing.T) {
	storage := t.TempDir()
	c := startChild(t, storage)
	data := bytes.Repeat([]byte("resumable "), 1<<20)
	at := c.want(202, "POST", "/v2/a/blobs/uploads/", nil).Header.Get("Location")
	c.want(202, "PATCH", at, data[:4<<20])
	c.kill()
	c = startChild(t, storage)
	var last int
	if _, err := fmt.Sscanf(c.want(204, "GET", at, nil).Header.Get("Range"), "0-%d", &last); err != nil || last+1 != 4<<20 {
		t.Fatalf("after the kill the upload ends at %d, %v, want %d", last, err, 4<<20-1)
	}
	c.want(202, "PATCH", at, data[last+1:], "Content-Range", fmt.Sprintf("%d-%d", last+1, len(data)-1))
	c.want(201, "PUT", at+"?digest="+digest(data), nil)
	c.want(200, "GET", "/v2/a/blobs/"+digest(data), nil)
	checkFiles(t, storage)
}
