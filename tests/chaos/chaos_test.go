package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	duration = flag.Duration("for", 6*time.Second, "how long")
	seed     = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what the decisions are made from")
)

const imageType = "application/vnd.oci.image.manifest.v1+json"

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// tag is changed by one writer, step by step. Step n sets it to image n, or
// deletes it if n is a multiple of 5. What a reader sees lies between the last
// step that was acknowledged or seen, and the last one that was tried.
type tag struct {
	repository, name string

	mu    sync.Mutex
	floor int
	tried int
}

func (g *tag) window() (floor, tried int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.floor, g.tried
}

func (g *tag) raise(step int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.floor = max(g.floor, step)
}

// deleted reports whether there is a step that deletes in a window.
func deleted(floor, tried int) bool { return floor == 0 || tried/5*5 >= floor }

func (g *tag) layer(step int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("layer %d of a few ", step%7)), 300) // shared by repositories
}

func (g *tag) manifest(step int) []byte {
	layer := g.layer(step)
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x/y","digest":%q,"size":2},"layers":[{"mediaType":"x/z","digest":%q,"size":%d}],"annotations":{"tag":%q,"step":"%d"}}`,
		imageType, digest([]byte("{}")), digest(layer), len(layer), g.name, step)
}

type chaos struct {
	t      *testing.T
	server *server
	tags   []*tag
	stop   chan struct{}

	mu                   sync.Mutex
	acknowledged, checks int
}

// do sends a request in a life. ok is false if the server was not there to the
// end of it.
func (c *chaos) do(life int64, method, target string, body []byte) (status int, text []byte, ok bool) {
	url := c.server.url.Load().(string)
	if url == "" || c.server.life.Load() != life {
		return 0, nil, false
	}
	r, err := http.NewRequest(method, url+target, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if method == "PUT" {
		r.Header.Set("Content-Type", imageType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, false
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err == nil
}

func (c *chaos) running() bool {
	select {
	case <-c.stop:
		return false
	default:
		return true
	}
}

// write changes a tag step by step until the time is over.
func (c *chaos) write(g *tag) {
	for step := 1; c.running(); {
		life := c.server.life.Load()
		g.mu.Lock()
		g.tried = step
		g.mu.Unlock()
		if c.server.url.Load() == "" || !c.step(life, g, step) {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		g.raise(step)
		c.mu.Lock()
		c.acknowledged++
		c.mu.Unlock()
		step++
	}
}

// step pushes an image as clients do, or deletes the tag.
func (c *chaos) step(life int64, g *tag, step int) bool {
	base := "/v2/" + g.repository
	if step%5 == 0 {
		status, text, ok := c.do(life, "DELETE", base+"/manifests/"+g.name, nil)
		if ok && status != 202 && status != 404 { // 404: an earlier try was not answered
			c.t.Errorf("DELETE %s = %d %s", g.name, status, text)
		}
		return ok
	}
	for _, blob := range [][]byte{[]byte("{}"), g.layer(step)} {
		status, _, ok := c.do(life, "HEAD", base+"/blobs/"+digest(blob), nil)
		if !ok {
			return false
		}
		if status == 200 { // not sent again
			continue
		}
		if status, text, ok := c.do(life, "POST", base+"/blobs/uploads/?digest="+digest(blob), blob); !ok || status != 201 {
			if ok {
				c.t.Errorf("POST = %d %s", status, text)
			}
			return false
		}
	}
	status, text, ok := c.do(life, "PUT", base+"/manifests/"+g.name, g.manifest(step))
	if ok && status != 201 {
		c.t.Errorf("PUT %s step %d = %d %s", g.name, step, status, text)
	}
	return ok && status == 201
}

// read checks a tag, and sometimes what its image needs and the list of tags.
func (c *chaos) read(random *rand.Rand, g *tag) {
	life := c.server.life.Load()
	floor, _ := g.window()
	status, text, ok := c.do(life, "GET", "/v2/"+g.repository+"/manifests/"+g.name, nil)
	if !ok {
		return
	}
	_, tried := g.window()
	c.mu.Lock()
	c.checks++
	c.mu.Unlock()
	switch status {
	case 404:
		if !deleted(floor, tried) {
			c.t.Errorf("life %d: %s is absent, though step %d had been seen and %d is the last tried", life, g.name, floor, tried)
		}
		return
	case 200:
	default:
		c.t.Errorf("GET %s = %d %s", g.name, status, text)
		return
	}
	var m struct {
		Annotations map[string]string
		Layers      []struct{ Digest string }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		c.t.Errorf("%s: %v in %q", g.name, err, text)
		return
	}
	var step int
	fmt.Sscan(m.Annotations["step"], &step)
	if step < floor || step > tried || !bytes.Equal(text, g.manifest(step)) {
		c.t.Errorf("life %d: %s shows step %d, though %d had been seen and %d is the last tried", life, g.name, step, floor, tried)
	}
	g.raise(step)
	if random.IntN(4) > 0 {
		return
	}
	status, blob, ok := c.do(life, "GET", "/v2/"+g.repository+"/blobs/"+m.Layers[0].Digest, nil)
	if ok && (status != 200 || digest(blob) != m.Layers[0].Digest) {
		c.t.Errorf("life %d: the layer of %s: %d, %d bytes", life, g.name, status, len(blob))
	}
}

// list checks a list of tags.
func (c *chaos) list(repository string) {
	life := c.server.life.Load()
	before := make(map[*tag]int)
	for _, g := range c.tags {
		before[g], _ = g.window()
	}
	status, text, ok := c.do(life, "GET", "/v2/"+repository+"/tags/list", nil)
	if !ok || status == 404 {
		return
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(text, &list); err != nil || !slices.IsSorted(list.Tags) {
		c.t.Errorf("list of %s: %v %s", repository, err, text)
	}
	for _, g := range c.tags {
		floor := before[g]
		_, tried := g.window()
		if g.repository != repository {
			continue
		}
		listed := slices.Contains(list.Tags, g.name)
		if listed && floor == tried && floor%5 == 0 {
			c.t.Errorf("life %d: %s is listed after step %d, which deleted it", life, g.name, floor)
		}
		if !listed && !deleted(floor, tried) {
			c.t.Errorf("life %d: %s is not listed, though step %d had been seen and %d is the last tried", life, g.name, floor, tried)
		}
	}
}

// age makes all blobs two days old, as if that time had passed, which a
// collection of garbage must not confuse with the time since a client was sent their names.
func (c *chaos) age() {
	old := time.Now().Add(-48 * time.Hour)
	files, _ := filepath.Glob(filepath.Join(c.server.storage, "blobs/sha256/*"))
	for _, file := range files {
		os.Chtimes(file, old, old)
	}
}

// rule ends one life after the other until the time is over.
func (c *chaos) rule(random *rand.Rand) (lives int) {
	for end := time.Now().Add(*duration); time.Now().Before(end); lives++ {
		time.Sleep(time.Duration(50+random.IntN(900)) * time.Millisecond)
		switch random.IntN(8) {
		case 0:
			c.server.tool("--scrub")
		case 1:
			c.server.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			c.server.cmd.Process.Signal(syscall.SIGCONT)
		}
		how := syscall.SIGKILL
		if random.IntN(4) == 0 {
			how = syscall.SIGTERM
		}
		c.server.end(how)
		for _, what := range [][]string{{"--scrub"}, {"--gc"}, {"--gc", "--uploads"}, {"--layout"}} {
			if random.IntN(5) > 0 {
				continue
			}
			if what[0] == "--gc" && random.IntN(2) == 0 {
				c.age()
			}
			c.server.tool(what...)
		}
		c.server.start()
	}
	return lives
}

func TestChaos(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	c := &chaos{t: t, server: &server{t: t, storage: t.TempDir()}, stop: make(chan struct{})}
	for i := range 8 {
		c.tags = append(c.tags, &tag{repository: fmt.Sprintf("group%d/repo%d", i%2, i%3), name: fmt.Sprintf("tag%d", i)})
	}
	c.server.start()
	var all sync.WaitGroup
	for i, g := range c.tags {
		all.Go(func() { c.write(g) })
		own := rand.New(rand.NewPCG(*seed, uint64(i)+1))
		all.Go(func() {
			for c.running() {
				c.read(own, c.tags[own.IntN(len(c.tags))])
				if own.IntN(8) == 0 {
					c.list(g.repository)
				}
				time.Sleep(time.Duration(own.IntN(4)) * time.Millisecond)
			}
		})
	}
	lives := c.rule(random)
	close(c.stop)
	all.Wait()
	for _, g := range c.tags {
		c.read(random, g)
		c.list(g.repository)
	}
	c.server.end(syscall.SIGTERM)
	c.server.tool("--scrub")
	c.indexes()
	t.Logf("%d lives, %d steps acknowledged, %d checks", lives, c.acknowledged, c.checks)
}

// indexes checks that each index.json has the tags that there are, after a stop.
func (c *chaos) indexes() {
	for _, g := range c.tags {
		dir := filepath.Join(c.server.storage, "repositories", g.repository, "_layout")
		text, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err != nil {
			continue // removed with all its tags, or never made
		}
		_, err = os.Lstat(filepath.Join(dir, "tags", g.name))
		if listed := strings.Contains(string(text), `"`+g.name+`"`); listed != (err == nil) {
			c.t.Errorf("%s/index.json lists %s: %v, but the tag is there: %v", dir, g.name, listed, err == nil)
		}
	}
}
