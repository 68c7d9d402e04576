package registry

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/tests/machine"
)

// pieces are body sizes around those at which the way of writing changes.
var pieces = []int{bulkBody - 1, bulkBody, bulkBody + 1, bulkBody + bulkAlign, 3*bulkBuffer - 1, 3 * bulkBuffer}

// A blob has the bytes that were sent, wherever a part ends: parts at odd offsets
// follow parts that bypassed the page cache.
func TestBulkParts(t *testing.T) {
	reg := newRegistry(t)
	ctx := context.Background()
	random := rand.NewChaCha8([32]byte{})
	for _, first := range pieces {
		for _, second := range pieces {
			data := make([]byte, first+second)
			random.Read(data)
			id, err := reg.disk.StartUpload(ctx, session(""), "sha256")
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range [][]byte{data[:first], data[first:]} {
				if _, err := reg.disk.WriteUpload(ctx, session(id), Part{-1, int64(len(part))}, bytes.NewReader(part)); err != nil {
					t.Fatalf("parts of %d and %d: %v", first, second, err)
				}
			}
			digest := digestBytes("sha256", data)
			if err := reg.disk.FinishUpload(ctx, session(id), digest); err != nil {
				t.Fatalf("parts of %d and %d: %v", first, second, err)
			}
			got, err := os.ReadFile(reg.path(poolPath(digest)))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("parts of %d and %d: the pool has other bytes (%v)", first, second, err)
			}
		}
	}
}

// Pieces of a large body bypass the page cache where the file system supports it, and
// writes continue after a tail.
func TestBulkWriter(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := bytes.Repeat([]byte("x"), bulkBuffer)
	direct := setDirect(f, true)
	if direct == nil {
		_, direct = f.Write(make([]byte, bulkBuffer))
	}
	can := direct == nil
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	w := newBulkWriter(new(tree).writer(f, "f"), 0)
	for i, p := range [][]byte{piece, piece, piece[:100], piece} {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write %d = %d, %v", i, n, err)
		}
		if want := can && i < 2; w.direct != want {
			t.Errorf("after write %d direct = %v, want %v", i, w.direct, want)
		}
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_DIRECT != 0 {
		t.Errorf("flags after the tail: %#x, %v", flags, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 3*bulkBuffer+100 {
		t.Errorf("size %d, %v", info.Size(), err)
	}
	if !can {
		machine.Skip(t, "this file system has no direct writes: %v", direct)
	}
}
