package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k0rdent-airgap/lib/ref"
)

// digestBytes returns the digest of content.
func digestBytes(algorithm string, data []byte) Digest {
	h := ref.NewHash(algorithm)
	h.Write(data)
	return ref.Sum(algorithm, h)
}

// session names an upload to repository a.
func session(id string) Session { return Session{Repository: "a", ID: id} }

// transport is not http.DefaultTransport, whose idle connections every
// httptest.Server closes, even while another test uses one.
var transport = &http.Transport{}

// testRegistry is a server of a disk store.
type testRegistry struct {
	t    testing.TB
	dir  string
	disk *Disk
	url  string
	stop func()
	kill func() // leaves the storage as a kill does
}

func newRegistry(t testing.TB) *testRegistry {
	reg := &testRegistry{t: t, dir: t.TempDir()}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	return reg
}

func (reg *testRegistry) start() {
	reg.t.Helper()
	disk, err := OpenDisk(reg.dir)
	if err != nil {
		reg.t.Fatal(err)
	}
	server := httptest.NewServer(New(disk, Options{}))
	reg.disk, reg.url = disk, server.URL
	reg.stop = func() {
		server.Close()
		if err := disk.Close(); err != nil {
			reg.t.Errorf("close: %v", err)
		}
		reg.stop = func() {}
	}
	reg.kill = func() {
		server.Close()
		disk.kill()
		reg.stop = func() {}
	}
}

// kill leaves the storage as a kill does.
func (d *Disk) kill() {
	d.indexes.cancel()
	d.indexes.running.Wait()
	d.closeFiles()
}

func (reg *testRegistry) restart() {
	reg.t.Helper()
	reg.stop()
	reg.start()
}

// observe calls f for each step of the requests until end is called. The indexer,
// whose steps would be among them, waits.
func (reg *testRegistry) observe(f func(op, name string) (func(error), error)) (end func()) {
	disk := reg.disk
	disk.indexes.writing.Lock()
	disk.tree.observe = f
	end = sync.OnceFunc(func() {
		disk.tree.observe = nil
		disk.indexes.writing.Unlock()
	})
	reg.t.Cleanup(end) // before a failed test closes the storage
	return end
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// do sends a request with pairs of headers. It does not follow redirects.
func (reg *testRegistry) do(method, target string, body []byte, headers ...string) answer {
	reg.t.Helper()
	if len(target) > 0 && target[0] == '/' {
		target = reg.url + target
	}
	r, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		reg.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		reg.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		reg.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// want sends a request and checks the status of its answer.
func (reg *testRegistry) want(status int, method, target string, body []byte, headers ...string) answer {
	reg.t.Helper()
	a := reg.do(method, target, body, headers...)
	if a.StatusCode != status {
		reg.t.Fatalf("%s %s = %d %s, want %d", method, target, a.StatusCode, a.body, status)
	}
	return a
}

func (reg *testRegistry) pushBlob(name string, data []byte) Digest {
	reg.t.Helper()
	d := digestBytes("sha256", data)
	reg.want(201, "POST", "/v2/"+name+"/blobs/uploads/?digest="+string(d), data)
	return d
}

// image makes an image manifest over a config; note makes it differ.
func image(config Digest, note string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"note":%q}}`,
		mediaTypeImage, config, note)
}

// pushImage pushes an image with a tag and returns its digest.
func (reg *testRegistry) pushImage(name, tag, note string) Digest {
	reg.t.Helper()
	m := image(reg.pushBlob(name, []byte("{}")), note)
	reg.want(201, "PUT", "/v2/"+name+"/manifests/"+tag, m, "Content-Type", mediaTypeImage)
	return digestBytes("sha256", m)
}

func (reg *testRegistry) path(rest string) string { return filepath.Join(reg.dir, rest) }

// age makes a blob two days old.
func (reg *testRegistry) age(digest Digest) {
	reg.t.Helper()
	old := reg.disk.now().Add(-2 * promiseTime)
	if err := os.Chtimes(reg.path(poolPath(digest)), old, old); err != nil {
		reg.t.Fatal(err)
	}
}

// checkStorage checks that every blob has its digest, every tag points to a manifest,
// and every manifest exists.
func checkStorage(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		parent, collection := filepath.Base(filepath.Dir(file)), filepath.Base(filepath.Dir(filepath.Dir(file)))
		switch {
		case collection == "blobs":
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if got := digestBytes(parent, data); string(got) != parent+":"+e.Name() {
				t.Errorf("%s holds %s (%d bytes)", file, got, len(data))
			}
		case parent == "tags":
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			digest, err := tagDigest(target)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if _, err := os.Lstat(filepath.Join(filepath.Dir(file), "../manifests", digest.Path())); err != nil {
				if _, err := os.Lstat(filepath.Join(filepath.Dir(file), "../deleted", referrerName(digest))); err != nil {
					t.Errorf("%s points to no manifest: %v", file, err)
				}
			}
		case collection == "manifests":
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), "../../blobs", parent, e.Name())); err != nil {
				t.Errorf("%s is absent: %v", file, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// listed returns the entries of a repository's index.json: digests by tag, or by "@"
// and the digest for a manifest without one.
func listed(t testing.TB, dir, name string) map[string]Digest {
	t.Helper()
	got, err := readListed(dir, name)
	if err != nil {
		t.Error(err)
	}
	return got
}

// readListed is listed for an index.json that may be damaged.
func readListed(dir, name string) (map[string]Digest, error) {
	file := filepath.Join(dir, repoPath(name, "index.json"))
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var index struct{ Manifests []Descriptor }
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	got := make(map[string]Digest)
	for _, e := range index.Manifests {
		got[cmp.Or(e.Annotations[annotationTag], "@"+string(e.Digest))] = e.Digest
	}
	return got, nil
}
