package registry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The disk and its inode table fill up at random points, the registry stops or is
// killed there, and space returns. Nothing acknowledged is lost, and every start and
// garbage collection succeeds, also on the full disk.
func TestFullAtRandom(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			f := &fullDisk{t: t, dir: small(t, "3m,nr_inodes=500"), random: rand.New(rand.NewPCG(seed, 3)), want: make(map[string][]string)}
			f.open()
			for round := range 12 {
				for range 15 {
					f.act()
				}
				f.fill()
				for range 15 {
					f.act()
				}
				f.check(fmt.Sprintf("round %d, on a full disk", round))
				f.end()
				f.open()
				f.check(fmt.Sprintf("round %d, after a start on a full disk", round))
				if _, err := f.disk.Collect(t.Context(), f.random.IntN(2) == 0); err != nil {
					t.Errorf("Collect: %v", err)
				}
				f.check("after a collection of garbage")
				if f.random.IntN(3) > 0 {
					f.empty()
				}
			}
			f.empty()
			f.end()
			f.open()
			f.check("at last")
			f.push("a", "last", "last")
			if f.refused {
				t.Error("a push fails with space free")
			}
			if err := f.disk.Close(); err != nil {
				t.Error(err)
			}
			checkStorage(t, f.dir)
			t.Logf("%d changes acknowledged, %d refused", f.done, f.full)
		})
	}
}

// fullDisk is a registry on a small disk. want holds the possible digests of each
// tag, of which only the first has been acknowledged.
type fullDisk struct {
	t       *testing.T
	dir     string
	random  *rand.Rand
	disk    *Disk
	h       http.Handler
	want    map[string][]string
	refused bool // the last request
	done    int
	full    int
}

func (f *fullDisk) open() {
	f.t.Helper()
	disk, err := OpenDisk(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.disk, f.h = disk, New(disk, Options{Log: slog.New(slog.NewTextHandler(f.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
}

// end closes the storage, or leaves it as a kill does.
func (f *fullDisk) end() {
	f.t.Helper()
	if f.random.IntN(2) == 0 {
		if err := f.disk.Close(); err != nil {
			f.t.Errorf("Close: %v", err)
		}
		return
	}
	f.disk.kill()
}

// fill leaves little or nothing free.
func (f *fullDisk) fill() {
	f.t.Helper()
	for n := 0; ; n++ {
		err := os.WriteFile(fmt.Sprintf("%s/inode%d", f.dir, n), nil, 0o644)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	file, err := os.OpenFile(f.dir+"/inode0", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) { // there was none free
		return
	}
	if err != nil {
		f.t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	info, err := file.Stat()
	if err == nil && f.random.IntN(2) == 0 {
		err = file.Truncate(max(0, info.Size()-int64(f.random.IntN(1<<16))))
	}
	if err = errors.Join(err, file.Close()); err != nil {
		f.t.Fatal(err)
	}
	for n := range f.random.IntN(12) {
		os.Remove(fmt.Sprintf("%s/inode%d", f.dir, n+1))
	}
}

func (f *fullDisk) empty() {
	f.t.Helper()
	for n := range 500 {
		if err := os.Remove(fmt.Sprintf("%s/inode%d", f.dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			f.t.Fatal(err)
		}
	}
}

func (f *fullDisk) do(method, target string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, body)
	if method == "PUT" {
		r.Header.Set("Content-Type", mediaTypeImage)
	}
	f.h.ServeHTTP(w, r)
	if f.refused = w.Code >= 400; f.refused && w.Code != 507 && w.Code != 404 {
		f.t.Errorf("%s %s = %d %s", method, target, w.Code, w.Body)
	}
	return w
}

func (f *fullDisk) act() {
	name, tag := fmt.Sprintf("r%d", f.random.IntN(4)), fmt.Sprintf("t%d", f.random.IntN(4))
	switch f.random.IntN(8) {
	case 0: // an upload that is left unfinished
		if at := f.do("POST", "/v2/"+name+"/blobs/uploads/", nil).Header().Get("Location"); at != "" {
			f.do("PATCH", at, strings.NewReader(strings.Repeat("x", f.random.IntN(1<<16))))
		}
	case 1:
		f.change(name+":"+tag, "", f.do("DELETE", "/v2/"+name+"/manifests/"+tag, nil).Code == 202)
	case 2:
		d := string(digestBytes("sha256", image(digestBytes("sha256", []byte("{}")), tag)))
		deleted := f.do("DELETE", "/v2/"+name+"/manifests/"+d, nil).Code == 202
		for key, may := range f.want {
			if strings.HasPrefix(key, name+":") && may[0] == d {
				f.change(key, "", deleted)
			}
		}
	default:
		f.push(name, tag, fmt.Sprint("t", f.random.IntN(4)))
	}
}

func (f *fullDisk) push(name, tag, note string) {
	config := []byte("{}")
	m := image(digestBytes("sha256", config), note)
	f.do("POST", "/v2/"+name+"/blobs/uploads/?digest="+string(digestBytes("sha256", config)), strings.NewReader("{}"))
	pushed := f.do("PUT", "/v2/"+name+"/manifests/"+tag, strings.NewReader(string(m))).Code == 201
	f.change(name+":"+tag, string(digestBytes("sha256", m)), pushed)
}

// change records what a tag is or may be.
func (f *fullDisk) change(key, digest string, acknowledged bool) {
	switch {
	case acknowledged:
		f.want[key] = []string{digest}
		f.done++
	case f.want[key] == nil:
		f.want[key] = []string{"", digest}
		f.full++
	default:
		f.want[key] = append(f.want[key], digest)
		f.full++
	}
}

func (f *fullDisk) check(when string) {
	f.t.Helper()
	for key, may := range f.want {
		w := f.do("GET", "/v2/"+strings.Replace(key, ":", "/manifests/", 1), nil)
		got := w.Header().Get("Docker-Content-Digest")
		ok := false
		for _, digest := range may {
			ok = ok || digest == got
		}
		if got != "" && string(digestBytes("sha256", w.Body.Bytes())) != got {
			f.t.Errorf("%s: %s holds other bytes", when, key)
		}
		if !ok {
			f.t.Errorf("%s: %s is %q, want one of %q", when, key, got, may)
		}
	}
}
