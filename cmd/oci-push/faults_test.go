package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/diskstore"
	"k0rdent-airgap/tests/samplebundle"
)

// big is a bundle with layers that stream through instead of being held.
func big(t *testing.T, format samplebundle.Format) (string, samplebundle.Manifest) {
	t.Helper()
	path, m := write(t, samplebundle.Options{Format: format, Size: 44 << 20, Archives: 4})
	var largest int64
	for _, e := range m.Entries {
		for _, b := range e.Blobs {
			largest = max(largest, b.Size)
		}
	}
	if largest < 13<<20 {
		t.Fatalf("largest blob has %d bytes: too small for this test", largest)
	}
	return path, m
}

func TestTemporaryFaultsAreRetried(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	faults := map[string]func(w http.ResponseWriter){
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429 with Retry-After": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"dropped connection": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			var over atomic.Bool
			host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
				if over.Load() || n.Add(1)%9 != 5 {
					return false
				}
				fault(w)
				return true
			})
			if r := invoke(t, "", "--to", host, path); r.err != nil {
				t.Fatalf("%v\n%s", r.err, r.stderr)
			}
			over.Store(true)
			checkAll(t, host, "", m)
		})
	}
}

// cutter forwards connections and cuts each that has carried limit bytes towards the
// registry, while there are cuts left.
func cutter(t *testing.T, to string, limit int64, cuts int64) (host string) {
	t.Helper()
	return forward(t, to, cuts, func(out, in net.Conn, cut func() bool) {
		if _, err := io.CopyN(out, in, limit); err == nil && !cut() {
			io.Copy(out, in)
		}
	}, func(in, out net.Conn, _ func() bool) { io.Copy(in, out) })
}

// downCutter is cutter for bytes from the registry.
func downCutter(t *testing.T, to string, limit int64, cuts int64) (host string) {
	t.Helper()
	return forward(t, to, cuts, func(out, in net.Conn, _ func() bool) { io.Copy(out, in) },
		func(in, out net.Conn, cut func() bool) {
			if _, err := io.CopyN(in, out, limit); err == nil && !cut() {
				io.Copy(in, out)
			}
		})
}

// forward listens and carries each connection to another address and back.
func forward(t *testing.T, to string, cuts int64, up, down func(dst, src net.Conn, cut func() bool)) (host string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	left := new(atomic.Int64)
	left.Store(cuts)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			// A cut loses less than is held to be sent again.
			in.(*net.TCPConn).SetReadBuffer(1 << 20)
			cut := func() bool { return left.Add(-1) >= 0 }
			for _, carry := range []func(){func() { down(in, out, cut) }, func() { up(out, in, cut) }} {
				go func() {
					carry()
					in.Close()
					out.Close()
				}()
			}
		}
	}()
	return l.Addr().String()
}

func TestBrokenUploadResumesWhereTheRegistryStopped(t *testing.T) {
	t.Parallel()
	path, m := big(t, samplebundle.TarGz)
	for _, memory := range []string{"32MiB", "64MiB"} {
		var resumed atomic.Int64
		host := serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch && r.Header.Get("Content-Range") != "" {
				resumed.Add(1)
			}
			return false
		})
		through := cutter(t, host, 6<<20, 3)
		r := invoke(t, "", "--to", through, "--memory", memory, path)
		if r.err != nil {
			t.Fatalf("%s: %v\n%s", memory, r.err, r.stderr)
		}
		if resumed.Load() == 0 {
			t.Errorf("%s: no upload was resumed", memory)
		}
		checkAll(t, host, "", m)
	}
}

// loseUpload makes the registry forget the first upload session that has received more
// than can be sent again from the minimum of memory.
func loseUpload() func(http.ResponseWriter, *http.Request) bool {
	var lost atomic.Bool
	var session atomic.Value
	return func(w http.ResponseWriter, r *http.Request) bool {
		id := r.URL.Path
		if s, _ := session.Load().(string); s != "" && s == id {
			http.Error(w, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`, http.StatusNotFound)
			return true
		}
		if r.Method != http.MethodPatch || r.ContentLength < 13<<20 || !lost.CompareAndSwap(false, true) {
			return false
		}
		session.Store(id)
		io.CopyN(io.Discard, r.Body, 11<<20)
		panic(http.ErrAbortHandler)
	}
}

func TestLostUploadFailsOneImageOfAStream(t *testing.T) {
	t.Parallel()
	path, m := big(t, samplebundle.TarGz)
	host := serve(t, loseUpload())
	r := invoke(t, "", "--to", host, "--memory", "32MiB", path)
	if cli.Code(r.err) != cli.CodeFailed || r.statuses()["failed"] != 1 {
		t.Fatalf("%v, %v, want one image failed", r.err, r.statuses())
	}
	for _, i := range r.images {
		if i.Status == "failed" && !strings.Contains(i.Error, "upload was lost") {
			t.Errorf("error = %q, want a lost upload", i.Error)
		}
	}
	if r := invoke(t, "", "--to", host, path); r.err != nil || r.statuses()["pushed"] != 1 {
		t.Fatalf("second run: %v, %v, want one image pushed", r.err, r.statuses())
	}
	checkAll(t, host, "", m)
}

func TestLostUploadStartsAnewFromAFile(t *testing.T) {
	t.Parallel()
	path, m := big(t, samplebundle.Tar)
	host := serve(t, loseUpload())
	if r := invoke(t, "", "--to", host, path); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	checkAll(t, host, "", m)
}

func TestRegistryThatDiesHalfWay(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	h := diskstore.Handler(t)
	var n atomic.Int64
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 60 {
			s.Listener.Close()
		}
		if n.Load() >= 60 {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	r := invoke(t, "", "--to", strings.TrimPrefix(s.URL, "http://"), path)
	if cli.Code(r.err) != cli.CodeTryAgain {
		t.Errorf("%v, code %d, want 75\n%s", r.err, cli.Code(r.err), r.stderr)
	}
	again := httptest.NewServer(h)
	defer again.Close()
	host := strings.TrimPrefix(again.URL, "http://")
	if r := invoke(t, "", "--to", host, path); r.err != nil || r.statuses()["failed"] > 0 {
		t.Errorf("second run: %v, %v", r.err, r.statuses())
	}
	checkAll(t, host, "", m)
}

// nobody is an address at which nothing listens. Another test may get a port that was
// assigned and closed.
const nobody = "127.0.0.1:1"

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	path, _ := write(t, samplebundle.Options{Archives: 12})
	if r := invoke(t, "", "--to", nobody, path); cli.Code(r.err) != cli.CodeTryAgain {
		t.Errorf("%v, code %d, want 75", r.err, cli.Code(r.err))
	}
}

// If a registry loses what it acknowledged, the tag is not pushed.
func TestNoTagWithoutItsBlobs(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 6})
	victim := m.Entries[2]
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v2/"+victim.Repository+"/blobs/uploads/") && r.Method != http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
			return true
		}
		return false
	})
	r := invoke(t, "", "--to", host, path)
	if cli.Code(r.err) != cli.CodeFailed || r.statuses()["failed"] == 0 {
		t.Fatalf("%v, %v, want a failed image", r.err, r.statuses())
	}
	if status, _, _ := fetch(t, "http://"+host+"/v2/"+victim.Repository+"/manifests/"+victim.Tag); status != http.StatusNotFound {
		t.Errorf("%s:%s answers %d, want 404", victim.Repository, victim.Tag, status)
	}
	for _, e := range m.Entries {
		if e.Kind == samplebundle.KindOCI && e.Repository != victim.Repository {
			checkEntry(t, host, "", e)
		}
	}
}

func TestCredentialsDoNotLeak(t *testing.T) {
	path, _ := write(t, samplebundle.Options{Archives: 3})
	secret := "s3cret-and-more"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wrong atomic.Int64
	host := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		if ok && user == "pusher" && password == secret {
			return false
		}
		wrong.Add(1)
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	r := invoke(t, "", "--to", host, "--username", "pusher", "--password-file", file, "--verbose", path)
	if r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	if strings.Contains(r.stderr+fmt.Sprint(r.images), secret) {
		t.Error("the password stands in the output")
	}
	r = invoke(t, "", "--to", host, "--username", "other", "--password-file", file, path)
	if cli.Code(r.err) != cli.CodeFailed || strings.Contains(r.stderr, secret) {
		t.Errorf("wrong user: %v, want code 1", r.err)
	}
}
