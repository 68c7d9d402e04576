package registry

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Idle uploads make room for others of the same user. Those that are being received
// do not, and one larger than the quota is refused.
func TestUploadLimit(t *testing.T) {
	reg := newRegistry(t)
	reg.disk.LimitUploads(100000)
	old, fresh := reg.begin("a"), reg.begin("a")
	reg.want(202, "PATCH", old, make([]byte, 60000))
	reg.want(202, "PATCH", fresh, make([]byte, 60000))
	reg.want(404, "GET", old, nil)
	reg.want(204, "GET", fresh, nil)
	reg.want(202, "PATCH", fresh, make([]byte, 40000), "Content-Range", "60000-99999")
	if a := reg.want(413, "PATCH", fresh, []byte("x")); !strings.Contains(a.body, "limit of 100000 bytes") {
		t.Errorf("PATCH beyond the limit: %s", a.body)
	}
	reg.want(404, "GET", fresh, nil)

	// While one that takes the whole quota is received, another one is asked to retry.
	ctx := context.Background()
	id, err := reg.disk.StartUpload(ctx, Session{Repository: "a", Owner: "alice"}, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	received, goOn := make(chan bool), make(chan bool)
	body := readerFunc(func(p []byte) (int, error) {
		if received != nil {
			close(received)
			received = nil
			return min(len(p), 80000), nil
		}
		<-goOn
		return 0, errors.New("cut off")
	})
	ended := make(chan error)
	at := received
	go func() {
		_, err := reg.disk.WriteUpload(ctx, Session{Repository: "a", ID: id, Owner: "alice"}, Part{-1, 80001}, body)
		ended <- err
	}()
	<-at
	close(goOn)
	<-ended
	if held := reg.disk.uploads.held()["alice"]; held <= 0 || held > 80000 {
		t.Errorf("%d bytes count for a session that has some", held)
	}
	u, err := reg.disk.uploads.join(ctx, uploadPath(Session{Repository: "a", ID: id, Owner: "alice"}))
	if err != nil {
		t.Fatal(err)
	}
	other, err := reg.disk.StartUpload(ctx, Session{Repository: "a", Owner: "alice"}, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	write := func(owner, id string) error {
		_, err := reg.disk.WriteUpload(ctx, Session{Repository: "a", ID: id, Owner: owner}, Part{-1, -1}, bytes.NewReader(make([]byte, 50000)))
		return err
	}
	if err := write("alice", other); !errors.Is(err, ErrTooMany) {
		t.Errorf("an upload next to one that is being received: %v, want ErrTooMany", err)
	}
	bob, err := reg.disk.StartUpload(ctx, Session{Repository: "a", Owner: "bob"}, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if err := write("bob", bob); err != nil {
		t.Errorf("another user's upload: %v", err)
	}
	reg.disk.uploads.leave(u)
	if err := write("alice", other); err != nil {
		t.Errorf("when the other one lies idle: %v", err)
	}
	reg.restart()
	if held := reg.disk.uploads.held()[""]; held != 100000 {
		t.Errorf("after a restart %d bytes count, want those of two sessions", held)
	}
	if _, err := reg.disk.Collect(ctx, true); err != nil || len(reg.disk.uploads.held()) > 0 {
		t.Errorf("without sessions %v bytes count, %v", reg.disk.uploads.held(), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Abandoned uploads that fill the disk do not keep others from storing.
func TestAbandonedUploadsMakeRoom(t *testing.T) {
	reg := &testRegistry{t: t, dir: small(t, "8m")}
	reg.start()
	t.Cleanup(func() { reg.stop() })
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for full := false; !full; {
		at := reg.begin("a")
		full = reg.do("PATCH", at, piece).StatusCode == 507
	}
	fillDisk(t, reg.path("ballast"))
	blob := bytes.Repeat([]byte("y"), 2<<20)
	target := "/v2/b/blobs/uploads/?digest=" + string(digestBytes("sha256", blob))
	reg.want(507, "POST", target, blob) // they may still be gone on with
	for _, u := range reg.disk.uploads.m {
		u.used = time.Now().Add(-abandonedAfter)
	}
	reg.want(201, "POST", target, blob)
	reg.pushImage("b", "v1", "x")
	if a := reg.want(200, "GET", "/v2/b/blobs/"+string(digestBytes("sha256", blob)), nil); a.body != string(blob) {
		t.Errorf("%d bytes came back, want %d", len(a.body), len(blob))
	}
	if left, err := os.ReadDir(reg.path(uploadsDir)); err != nil || len(left) == 0 || len(left) > 6 {
		t.Errorf("%d uploads are left, %v, want some, but not all", len(left), err)
	}
	checkStorage(t, reg.dir)
}
