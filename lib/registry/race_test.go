package registry

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Clients that push the same blob at a time all succeed and leave one file.
func TestSameBlobAtOnce(t *testing.T) {
	reg := newRegistry(t)
	data := bytes.Repeat([]byte("blob"), 100000)
	d := digestBytes("sha256", data)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			at := reg.do("POST", fmt.Sprintf("/v2/repo%d/blobs/uploads/", i%4), nil).Header.Get("Location")
			if a := reg.do("PATCH", at, data); a.StatusCode != 202 {
				t.Errorf("PATCH = %d %s", a.StatusCode, a.body)
			}
			if a := reg.do("PUT", at+"?digest="+string(d), nil); a.StatusCode != 201 {
				t.Errorf("PUT = %d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if n := links(t, reg.path(poolPath(d))); n != 1+4 {
		t.Errorf("the blob has %d links, want the pool's and one for each of 4 repositories", n)
	}
	checkStorage(t, reg.dir)
}

// While a manifest is pushed and deleted at a time, no tag points to an absent one.
func TestPushAgainstDelete(t *testing.T) {
	reg := newRegistry(t)
	config := reg.pushBlob("a", []byte("{}"))
	m := image(config, "x")
	d := digestBytes("sha256", m)
	stop := make(chan struct{})
	var all sync.WaitGroup
	loop := func(do func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	loop(func() { reg.do("PUT", "/v2/a/manifests/v1", m, "Content-Type", mediaTypeImage) })
	loop(func() { reg.do("DELETE", "/v2/a/manifests/"+string(d), nil) })
	loop(func() { reg.do("DELETE", "/v2/a/blobs/"+string(d), nil) })
	for range 300 {
		// Nothing changes under the manifest's lock, so a tagged one exists.
		unlock := reg.disk.manifests.lock("a@" + string(d))
		if c, err := reg.disk.Manifest(t.Context(), "a", "v1", ""); err == nil {
			if _, err := os.Stat(reg.path(blobPath("a", c.Digest))); err != nil {
				t.Errorf("the tag leads to what is absent: %v", err)
			}
		}
		unlock()
	}
	close(stop)
	all.Wait()
	checkStorage(t, reg.dir)
}
