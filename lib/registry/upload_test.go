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

// begin opens a session and gives its location.
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

// brokenReader gives some bytes and then an error, as a connection does that
// is lost.
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
	id, err := reg.disk.StartUpload(ctx, "a", "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := reg.disk.WriteUpload(ctx, "a", id, Part{-1, -1}, &brokenReader{sent}); n != sent || err != io.ErrUnexpectedEOF {
		t.Fatalf("WriteUpload = %d, %v, want %d and the body's error", n, err, sent)
	}
	if n, err := reg.disk.WriteUpload(ctx, "a", id, Part{sent, -1}, strings.NewReader("end")); n != sent+3 || err != nil {
		t.Fatalf("WriteUpload = %d, %v, want %d", n, err, sent+3)
	}
	data := append(bytes.Repeat([]byte("x"), sent), "end"...)
	if err := reg.disk.FinishUpload(ctx, "a", id, digestBytes("sha256", data)); err != nil {
		t.Errorf("FinishUpload: %v", err)
	}
}

// A chunked body longer than its Content-Range must leave the session as it was.
func TestTooLong(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	id, err := reg.disk.StartUpload(ctx, "a", "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := reg.disk.WriteUpload(ctx, "a", id, Part{0, 3}, strings.NewReader("abcd")); n != 0 || !errors.Is(err, ErrSizeInvalid) {
		t.Fatalf("WriteUpload = %d, %v, want 0, ErrSizeInvalid", n, err)
	}
	if n, err := reg.disk.WriteUpload(ctx, "a", id, Part{0, 3}, strings.NewReader("abc")); n != 3 || err != nil {
		t.Fatalf("WriteUpload = %d, %v, want 3", n, err)
	}
	if err := reg.disk.FinishUpload(ctx, "a", id, digestBytes("sha256", []byte("abc"))); err != nil {
		t.Error(err)
	}
}

// Requests for one session take turns, and one that waits gives up with its
// client.
func TestSessionIsExclusive(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	id, err := reg.disk.StartUpload(ctx, "a", "sha256")
	if err != nil {
		t.Fatal(err)
	}
	pr, pw := io.Pipe()
	first := make(chan error)
	go func() {
		_, err := reg.disk.WriteUpload(ctx, "a", id, Part{-1, -1}, pr)
		first <- err
	}()
	pw.Write([]byte("x")) // returns when the request is reading
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := reg.disk.WriteUpload(gone, "a", id, Part{-1, -1}, strings.NewReader("y")); !errors.Is(err, context.Canceled) {
		t.Errorf("second request: %v, want context.Canceled", err)
	}
	pw.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := reg.disk.UploadSize(ctx, "a", id); n != 1 || err != nil {
		t.Errorf("UploadSize = %d, %v, want 1", n, err)
	}
}

func TestManySessions(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	first, err := reg.disk.StartUpload(ctx, "a", "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.disk.WriteUpload(ctx, "a", first, Part{-1, -1}, strings.NewReader("begin ")); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxHashes {
		if _, err := reg.disk.StartUpload(ctx, "a", "sha256"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(reg.disk.uploads.m); n > maxHashes {
		t.Errorf("%d sessions in memory, want at most %d", n, maxHashes)
	}
	if _, err := reg.disk.WriteUpload(ctx, "a", first, Part{-1, -1}, strings.NewReader("end")); err != nil {
		t.Fatal(err)
	}
	if err := reg.disk.FinishUpload(ctx, "a", first, digestBytes("sha256", []byte("begin end"))); err != nil {
		t.Errorf("the first session: %v", err)
	}
}

func TestSweep(t *testing.T) {
	reg := newRegistry(t)
	old, fresh := reg.begin("a"), reg.begin("a")
	oldFile := reg.path(uploadPath("a", old[strings.LastIndex(old, "/")+1:]))
	yesterday := time.Now().Add(-uploadExpiry - time.Minute)
	if err := os.Chtimes(oldFile, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(reg.path(uploadsDir+"/tmp-x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := reg.disk.sweepUploads(time.Now(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(reg.path(uploadsDir + "/tmp-x")); err != nil {
		t.Errorf("a file that may be in use was removed: %v", err)
	}
	reg.want(404, "GET", old, nil)
	reg.restart()
	if _, err := os.Stat(reg.path(uploadsDir + "/tmp-x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file after a start: %v, want none", err)
	}
	reg.want(204, "GET", fresh, nil)
}

// After a crash between the two steps of a commit the session's file is the
// blob; writing to the session must not change that.
func TestCrashInCommit(t *testing.T) {
	reg := newRegistry(t)
	data := []byte("content")
	d := digestBytes("sha256", data)
	at := reg.begin("a")
	reg.want(202, "PATCH", at, data)
	file := uploadPath("a", at[strings.LastIndex(at, "/")+1:])
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
