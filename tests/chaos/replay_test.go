package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k0rdent-airgap/lib/registry"
	"k0rdent-airgap/tests/machine"
)

// The system calls of clients that push to new repositories are recorded, and
// the storage is made as a loss of power could leave it after each of them. It
// must open and serve, hold what had been acknowledged, and show nothing that
// leads nowhere.
func TestReplay(t *testing.T) {
	strace := machine.NeedProgram(t, "strace")
	dir := ramDisk(t)
	trace := filepath.Join(dir, "trace")
	s := &server{t: t, storage: filepath.Join(dir, "storage"), wrapper: []string{
		strace, "-f", "-y", "-xx", "-s", "1000000", "-o", trace, "-e", "signal=none", "-e", "trace=" + traced}}
	if err := os.Mkdir(s.storage, 0o755); err != nil {
		t.Fatal(err)
	}
	s.start()
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() { record(t, s.url.Load().(string), i) })
	}
	all.Wait()
	s.end(syscall.SIGTERM)
	calls := readTrace(t, trace)
	m, requests := modelOf(t, calls, s.storage), requestsOf(calls)
	if len(requests) < 50 {
		t.Fatalf("%d requests in the trace", len(requests))
	}
	random := rand.New(rand.NewPCG(*seed, 1))
	checks := 0
	for n, c := range calls {
		if c.name == "read" || c.name == "openat" && !strings.Contains(c.args[2], "O_CREAT") {
			continue // it changes nothing
		}
		for _, r := range []*rand.Rand{nil, random} {
			if r == nil && !certain(c) {
				continue // the same state as after the last call
			}
			checks++
			at := filepath.Join(dir, "replayed")
			if err := os.Mkdir(at, 0o755); err != nil {
				t.Fatal(err)
			}
			m.make(t, at, c.end, r)
			checkReplayed(t, at, requests, c.end, checks%50 == 0)
			if t.Failed() {
				t.Fatalf("after call %d of %d, a %s; all of the rest is lost: %v; seed %d", n, len(calls), c.name, r == nil, *seed)
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d requests, %d calls, %d states checked", len(requests), len(calls), checks)
}

// certain reports whether a call changes what certainly survives, or what must.
func certain(c call) bool {
	return c.name == "fsync" || c.name == "syncfs" || c.name == "write" && strings.HasPrefix(fdPath(c.args[0]), "socket:")
}

// ramDisk returns a directory, in memory if that can be mounted.
func ramDisk(t *testing.T) string {
	dir := t.TempDir()
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512m") == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
	}
	return dir
}

// record is a client that does what clients do, one request a connection.
func record(t *testing.T, url string, i int) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(want int, method, target, body string) http.Header {
		r, err := http.NewRequest(method, url+target, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return nil
		}
		if strings.Contains(target, "/manifests/") {
			r.Header.Set("Content-Type", imageType)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != want {
			t.Errorf("%s %s = %d %s, want %d", method, target, resp.StatusCode, text, want)
		}
		return resp.Header
	}
	layer := fmt.Sprint("layer ", i)
	image := func(note, subject string) string {
		return fmt.Sprintf(`{"mediaType":%q,"config":{"digest":%q},"layers":[{"digest":%q}],"annotations":{"n":"%d %s"}%s}`,
			imageType, digest([]byte("{}")), digest([]byte(layer)), i, note, subject)
	}
	for _, name := range []string{"shared", fmt.Sprintf("new%d/x", i)} {
		at := "/v2/" + name
		do(201, "POST", at+"/blobs/uploads/?digest="+digest([]byte("{}")), "{}")
		to := do(202, "POST", at+"/blobs/uploads/", "").Get("Location")
		do(202, "PATCH", to, layer)
		do(201, "PUT", to+"?digest="+digest([]byte(layer)), "")
		one, two := image("one", ""), image("two", "")
		tag := fmt.Sprintf("%s/manifests/t%d", at, i)
		do(201, "PUT", tag, one)
		do(201, "PUT", tag, two)
		do(201, "PUT", tag+"-signed", image("three", fmt.Sprintf(`,"subject":{"digest":%q}`, digest([]byte(two)))))
		do(202, "DELETE", tag, "")
		do(201, "PUT", tag, one)
		do(202, "DELETE", at+"/manifests/"+digest([]byte(one)), "")
		do(201, "PUT", tag+"-again", one)
	}
	do(201, "POST", fmt.Sprintf("/v2/mounted%d/blobs/uploads/?mount=%s", i, digest([]byte(layer))), "")
}

// request is one that a trace shows, with its answer.
type request struct {
	method, name, reference string // reference is of a blob or a manifest
	status, digest          string
	begin, answered         int
}

var requestForm = regexp.MustCompile(`^(PUT|POST|DELETE) /v2/(\S+?)/(blobs/uploads/\S*\?(?:digest|mount)=|manifests/)(\S+) `)

// requestsOf finds the requests that change something, in the order of their
// answers. What an answer says counts from when it begins to be sent.
func requestsOf(calls []call) (requests []request) {
	open := make(map[string]*request)
	for _, c := range calls {
		if c.name != "read" && c.name != "write" || c.ret <= 0 || !strings.HasPrefix(fdPath(c.args[0]), "socket:") {
			continue
		}
		data := text(c.args[1])
		if m := requestForm.FindStringSubmatch(data); c.name == "read" && m != nil {
			open[fdPath(c.args[0])] = &request{method: m[1], name: m[2], reference: strings.ReplaceAll(m[4], "%3A", ":"), begin: c.begin}
		}
		r := open[fdPath(c.args[0])]
		if c.name == "read" || r == nil || !strings.HasPrefix(data, "HTTP/1.1 ") {
			continue
		}
		r.status, r.answered = data[9:12], c.begin
		if _, rest, ok := strings.Cut(data, "Docker-Content-Digest: "); ok {
			r.digest, _, _ = strings.Cut(rest, "\r\n")
		}
		requests = append(requests, *r)
	}
	slices.SortFunc(requests, func(a, b request) int { return a.answered - b.answered })
	return requests
}

// ledger is what must be there: digest by name@digest of what is, and by
// name:tag. Where a request has not been answered, there is another possibility.
type ledger map[string][]string

// at returns what must be there at a line.
func ledgerAt(requests []request, line int) ledger {
	l := make(ledger)
	for _, r := range requests {
		if r.begin > line {
			continue
		}
		set := func(key, value string) {
			if r.answered > line {
				l[key] = append(l[key], value)
				if len(l[key]) == 1 {
					l[key] = append(l[key], "")
				}
			} else {
				l[key] = []string{value}
			}
		}
		switch {
		case r.method == "DELETE" && strings.Contains(r.reference, ":"):
			set(r.name+"@"+r.reference, "")
			for _, key := range slices.Collect(maps.Keys(l)) {
				if strings.HasPrefix(key, r.name+":") && slices.Contains(l[key], r.reference) {
					set(key, "")
				}
			}
		case r.method == "DELETE":
			set(r.name+":"+r.reference, "")
		default:
			set(r.name+"@"+r.digest, r.digest)
			if !strings.Contains(r.reference, ":") {
				set(r.name+":"+r.reference, r.digest)
			}
		}
	}
	return l
}

// checkReplayed opens a storage and looks at all that it shows.
func checkReplayed(t *testing.T, dir string, requests []request, line int, push bool) {
	t.Helper()
	disk, err := registry.OpenDisk(dir)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	var log bytes.Buffer
	h := registry.New(disk, registry.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	do := func(method, target, body string) (status int, got string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	for key, want := range ledgerAt(requests, line) {
		target := strings.Replace(key, "@", "/blobs/", 1)
		if !strings.Contains(key, "@") {
			target = strings.Replace(key, ":", "/manifests/", 1)
		}
		status, body := do("GET", "/v2/"+target, "")
		got := ""
		if status == 200 {
			got = digest([]byte(body))
		}
		if !slices.Contains(want, got) || status != 200 && status != 404 {
			t.Errorf("%s is %d %q, want one of %q", key, status, got, want)
		}
	}
	_, catalog := do("GET", "/v2/_catalog", "")
	for _, name := range list(t, catalog, "repositories") {
		_, tags := do("GET", "/v2/"+name+"/tags/list", "")
		for _, tag := range list(t, tags, "tags") {
			status, text := do("GET", "/v2/"+name+"/manifests/"+tag, "")
			if status != 200 {
				t.Errorf("%s:%s is listed, and leads to %d", name, tag, status)
				continue
			}
			var m struct {
				Config struct{ Digest string }
				Layers []struct{ Digest string }
			}
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Errorf("%s:%s: %v", name, tag, err)
			}
			for _, layer := range append(m.Layers, m.Config) {
				if _, content := do("GET", "/v2/"+name+"/blobs/"+layer.Digest, ""); digest([]byte(content)) != layer.Digest {
					t.Errorf("%s:%s names %s, which is not there", name, tag, layer.Digest)
				}
			}
		}
	}
	if push {
		for _, name := range []string{"shared", "other"} {
			if status, text := do("POST", "/v2/"+name+"/blobs/uploads/?digest="+digest([]byte("new")), "new"); status != 201 {
				t.Errorf("a push to %s: %d %s", name, status, text)
			}
		}
	}
	if err := disk.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	checkLeft(t, dir)
	if log.Len() > 0 {
		t.Errorf("log: %s", &log)
	}
}

// kept are the paths that a storage has, other than directories, by their kind.
// What a change makes under another name on its way there matches none.
var kept = map[fs.FileMode]*regexp.Regexp{
	0: regexp.MustCompile(`^(lock|format|clock|` +
		`((blobs|repositories/\S+/_layout/blobs)/sha256/[0-9a-f]{64})|` +
		`repositories/\S+/_layout/(index\.json|oci-layout)|` +
		`uploads/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{16})$`),
	fs.ModeSymlink: regexp.MustCompile(`^repositories/\S+/_layout/(tags/[\w.-]+|manifests/sha256/[0-9a-f]{64}|` +
		`referrers/sha256/[0-9a-f]{64}/sha256-[0-9a-f]{64}|deleted/sha256-[0-9a-f]{64})$`),
}

// checkLeft looks for temporary files and links, and for sessions whose file is a
// blob already.
func checkLeft(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, file)
		form := kept[e.Type()]
		switch {
		case form == nil || !form.MatchString(name):
			t.Errorf("left behind: %s, %v", name, info.Mode())
		case strings.HasPrefix(name, "uploads/") && info.Sys().(*syscall.Stat_t).Nlink > 1:
			t.Errorf("left behind: %s, which is a blob", name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func list(t *testing.T, text, field string) (names []string) {
	t.Helper()
	var all map[string]json.RawMessage
	err := json.Unmarshal([]byte(text), &all)
	if err == nil {
		err = json.Unmarshal(all[field], &names)
	}
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return names
}
