package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// begin opens a session and returns its location.
func (reg *testRegistry) begin(name string) string {
	reg.t.Helper()
	return reg.want(202, "POST", "/v2/"+name+"/blobs/uploads/", nil).Header.Get("Location")
}

func TestUploadWays(t *testing.T) {
	data := []byte(strings.Repeat("some bytes ", 1000))
	for _, algorithm := range []string{"sha256", "sha512"} {
		d := string(digestBytes(algorithm, data))
		for name, push := range map[string]func(*testRegistry){
			"whole": func(reg *testRegistry) {
				reg.want(201, "POST", "/v2/a/blobs/uploads/?digest="+d, data)
			},
			"put": func(reg *testRegistry) {
				reg.want(201, "PUT", reg.begin("a")+"?digest="+d, data)
			},
			"stream": func(reg *testRegistry) {
				at := reg.begin("a")
				reg.want(202, "PATCH", at, data)
				reg.want(201, "PUT", at+"?digest="+d, nil)
			},
			"chunks": func(reg *testRegistry) {
				at := reg.begin("a")
				reg.want(202, "PATCH", at, data[:100], "Content-Range", "0-99")
				reg.want(202, "PATCH", at, data[100:300], "Content-Range", "100-299")
				reg.want(201, "PUT", at+"?digest="+d, data[300:], "Content-Range", fmt.Sprintf("300-%d", len(data)-1))
			},
			"algorithm announced": func(reg *testRegistry) {
				at := reg.want(202, "POST", "/v2/a/blobs/uploads/?digest-algorithm="+algorithm, nil).Header.Get("Location")
				reg.want(202, "PATCH", at, data)
				reg.want(201, "PUT", at+"?digest="+d, nil)
			},
			"across restarts": func(reg *testRegistry) {
				at := reg.begin("a")
				reg.want(202, "PATCH", at, data[:100])
				reg.restart()
				if got := reg.want(204, "GET", at, nil).Header.Get("Range"); got != "0-99" {
					t.Errorf("after a restart Range: %s, want 0-99", got)
				}
				reg.want(202, "PATCH", at, data[100:])
				reg.restart()
				reg.want(201, "PUT", at+"?digest="+d, nil)
			},
		} {
			t.Run(algorithm+" "+name, func(t *testing.T) {
				reg := newRegistry(t)
				push(reg)
				if a := reg.want(200, "GET", "/v2/a/blobs/"+d, nil); a.body != string(data) {
					t.Errorf("got %d bytes back, want %d", len(a.body), len(data))
				}
				left, err := os.ReadDir(reg.path(uploadsDir))
				if err != nil || len(left) != 0 {
					t.Errorf("left in uploads: %v, %v", left, err)
				}
			})
		}
	}
}

func TestUploadRefusals(t *testing.T) {
	reg := newRegistry(t)
	data := []byte("0123456789")
	good := "?digest=" + string(digestBytes("sha256", data))

	at := reg.begin("a")
	reg.want(202, "PATCH", at, data[:5])
	a := reg.want(416, "PATCH", at, data[6:], "Content-Range", "6-9")
	if a.Header.Get("Range") != "0-4" || a.Header.Get("Location") != at {
		t.Errorf("416 says Range %q, Location %q, want where to go on", a.Header.Get("Range"), a.Header.Get("Location"))
	}
	reg.want(416, "PATCH", at, data[5:], "Content-Range", "bytes 5-9/10")
	reg.want(400, "PATCH", at, data[5:], "Content-Range", "5-8")
	reg.want(404, "PATCH", strings.Replace(at, "/a/", "/b/", 1), data[5:])
	reg.want(201, "PUT", at+good, data[5:], "Content-Range", "5-9")
	reg.want(404, "PUT", at+good, nil)

	at = reg.begin("a")
	reg.want(202, "PATCH", at, []byte("other"))
	if a := reg.want(400, "PUT", at+good, nil); !strings.Contains(a.body, "DIGEST_INVALID") {
		t.Errorf("wrong digest: %s", a.body)
	}
	reg.want(404, "GET", at, nil)

	at = reg.begin("a")
	reg.want(204, "DELETE", at, nil)
	reg.want(404, "DELETE", at, nil)
	reg.want(400, "POST", "/v2/a/blobs/uploads/?digest="+dig512, data)
	checkStorage(t, reg.dir)
	if left, _ := os.ReadDir(reg.path(uploadsDir)); len(left) != 0 {
		t.Errorf("left in uploads: %v", left)
	}
}

// brokenReader returns some bytes and then an error, like a lost connection.
type brokenReader struct{ left int }

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	r.left -= n
	return n, nil
}

func TestLostConnection(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	const sent = copyBuffer + 1000
	id, err := reg.disk.StartUpload(ctx, session(""), "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := reg.disk.WriteUpload(ctx, session(id), Part{-1, -1}, &brokenReader{sent}); n != sent || err != io.ErrUnexpectedEOF {
		t.Fatalf("WriteUpload = %d, %v, want %d and the body's error", n, err, sent)
	}
	if n, err := reg.disk.WriteUpload(ctx, session(id), Part{sent, -1}, strings.NewReader("end")); n != sent+3 || err != nil {
		t.Fatalf("WriteUpload = %d, %v, want %d", n, err, sent+3)
	}
	data := append(bytes.Repeat([]byte("x"), sent), "end"...)
	if err := reg.disk.FinishUpload(ctx, session(id), digestBytes("sha256", data)); err != nil {
		t.Errorf("FinishUpload: %v", err)
	}
}

// A chunked body longer than its Content-Range must leave the session as it was.
func TestTooLong(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	id, err := reg.disk.StartUpload(ctx, session(""), "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := reg.disk.WriteUpload(ctx, session(id), Part{0, 3}, strings.NewReader("abcd")); n != 0 || !errors.Is(err, ErrSizeInvalid) {
		t.Fatalf("WriteUpload = %d, %v, want 0, ErrSizeInvalid", n, err)
	}
	if n, err := reg.disk.WriteUpload(ctx, session(id), Part{0, 3}, strings.NewReader("abc")); n != 3 || err != nil {
		t.Fatalf("WriteUpload = %d, %v, want 3", n, err)
	}
	if err := reg.disk.FinishUpload(ctx, session(id), digestBytes("sha256", []byte("abc"))); err != nil {
		t.Error(err)
	}
}

// Requests for one session take turns, and one that waits ends with its client.
func TestSessionIsExclusive(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	id, err := reg.disk.StartUpload(ctx, session(""), "sha256")
	if err != nil {
		t.Fatal(err)
	}
	pr, pw := io.Pipe()
	first := make(chan error)
	go func() {
		_, err := reg.disk.WriteUpload(ctx, session(id), Part{-1, -1}, pr)
		first <- err
	}()
	pw.Write([]byte("x")) // returns when the request is reading
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := reg.disk.WriteUpload(gone, session(id), Part{-1, -1}, strings.NewReader("y")); !errors.Is(err, context.Canceled) {
		t.Errorf("second request: %v, want context.Canceled", err)
	}
	pw.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := reg.disk.UploadSize(ctx, session(id)); n != 1 || err != nil {
		t.Errorf("UploadSize = %d, %v, want 1", n, err)
	}
}

// An owner with too many sessions loses the one that has been idle longest; others
// keep theirs and find room for more.
func TestSessionQuota(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	alice := func(id string) Session { return Session{Repository: "a", ID: id, Owner: "alice"} }
	bob := func(id string) Session { return Session{Repository: "a", ID: id, Owner: "bob"} }
	his, err := reg.disk.StartUpload(ctx, bob(""), "sha256")
	if err != nil {
		t.Fatal(err)
	}
	var hers []string
	for range maxSessions {
		id, err := reg.disk.StartUpload(ctx, alice(""), "sha256")
		if err != nil {
			t.Fatal(err)
		}
		hers = append(hers, id)
	}
	if _, err := reg.disk.UploadSize(ctx, alice(hers[0])); !errors.Is(err, ErrUploadUnknown) {
		t.Errorf("her first session: %v, want it ended", err)
	}
	if _, err := reg.disk.UploadSize(ctx, alice(hers[maxSessions-1])); err != nil {
		t.Errorf("her last session: %v", err)
	}
	if _, err := reg.disk.WriteUpload(ctx, bob(his), Part{-1, -1}, strings.NewReader("x")); err != nil {
		t.Errorf("his session: %v", err)
	}
	if _, err := reg.disk.StartUpload(ctx, bob(""), "sha256"); err != nil {
		t.Errorf("another one of his: %v", err)
	}
	if left, _ := os.ReadDir(reg.path(uploadsDir)); len(left) > maxSessions {
		t.Errorf("%d sessions, want at most %d", len(left), maxSessions)
	}
}

// Only its owner can write to, look up or end an upload, also after a restart.
func TestSessionOwner(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	owned := Session{Repository: "a", Owner: "alice"}
	var err error
	if owned.ID, err = reg.disk.StartUpload(ctx, owned, "sha256"); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.disk.WriteUpload(ctx, owned, Part{-1, -1}, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, owner := range []string{"bob", ""} {
			other := Session{Repository: "a", ID: owned.ID, Owner: owner}
			if _, err := reg.disk.UploadSize(ctx, other); !errors.Is(err, ErrUploadUnknown) {
				t.Errorf("UploadSize as %q: %v", owner, err)
			}
			if _, err := reg.disk.WriteUpload(ctx, other, Part{-1, -1}, strings.NewReader("x")); !errors.Is(err, ErrUploadUnknown) {
				t.Errorf("WriteUpload as %q: %v", owner, err)
			}
			if err := reg.disk.CancelUpload(ctx, other); !errors.Is(err, ErrUploadUnknown) {
				t.Errorf("CancelUpload as %q: %v", owner, err)
			}
		}
		reg.restart()
	}
	if err := reg.disk.FinishUpload(ctx, owned, digestBytes("sha256", []byte("abc"))); err != nil {
		t.Errorf("FinishUpload by the owner: %v", err)
	}
}

// Uploads expire by their idle time, not by the host's clock, which may jump. --gc
// removes them by their date, and with --uploads all.
func TestExpiry(t *testing.T) {
	reg := newRegistry(t)
	old, fresh := reg.begin("a"), reg.begin("a")
	file := func(at string) string { return uploadPath(session(at[strings.LastIndex(at, "/")+1:])) }
	yesterday := time.Now().Add(-uploadExpiry - time.Minute)
	if err := os.Chtimes(reg.path(file(old)), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(reg.path(uploadsDir+"/tmp-x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"/tmp-link", "/foreign"} { // a tag that a kill left
		if err := os.Symlink("../nowhere", reg.path(uploadsDir+link)); err != nil {
			t.Fatal(err)
		}
	}
	reg.begin("a")
	if _, err := os.Stat(reg.path(uploadsDir + "/tmp-x")); err != nil {
		t.Errorf("a file that may be in use was removed: %v", err)
	}
	reg.want(204, "GET", old, nil)
	reg.disk.uploads.m[file(old)].used = time.Now().Add(-uploadExpiry - time.Minute)
	reg.disk.uploads.swept = time.Time{}
	reg.begin("a")
	reg.want(404, "GET", old, nil)
	reg.restart()
	for _, name := range []string{"/tmp-x", "/tmp-link"} {
		if _, err := os.Lstat(reg.path(uploadsDir + name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after a start: %v, want none", name, err)
		}
	}
	if _, err := os.Lstat(reg.path(uploadsDir + "/foreign")); err != nil {
		t.Errorf("a foreign link after a start: %v", err)
	}
	reg.want(204, "GET", fresh, nil)
	for _, c := range []struct {
		all  bool
		want int
	}{{false, 0}, {true, 3}} {
		if got, err := reg.disk.Collect(t.Context(), c.all); err != nil || got.Uploads != c.want {
			t.Errorf("Collect(%v) removed %d uploads, %v, want %d", c.all, got.Uploads, err, c.want)
		}
	}
	reg.want(404, "GET", fresh, nil)
}

// After a crash during a commit the session's file is the blob, which a write to the
// session does not change.
func TestCrashInCommit(t *testing.T) {
	reg := newRegistry(t)
	data := []byte("content")
	d := digestBytes("sha256", data)
	at := reg.begin("a")
	reg.want(202, "PATCH", at, data)
	file := uploadPath(session(at[strings.LastIndex(at, "/")+1:]))
	if err := os.Link(reg.path(file), reg.path(poolPath(d))); err != nil {
		t.Fatal(err)
	}
	reg.want(404, "PATCH", at, []byte("more"))
	reg.restart()
	if _, err := os.Stat(reg.path(file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("session's file after a start: %v, want none", err)
	}
	reg.want(404, "PATCH", at, []byte("more"))
	checkStorage(t, reg.dir)
	reg.want(201, "POST", "/v2/a/blobs/uploads/?mount="+string(d), nil)
}
