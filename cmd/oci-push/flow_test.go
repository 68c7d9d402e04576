package main

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
)

// Blobs that wait for their turn hold most of the memory, and only this content can be
// sent, as with --jobs 1: it must not wait for memory that they return later.
func TestFlowMakesDoWithLittleMemory(t *testing.T) {
	for _, left := range []int{1, 2, 24, 64} { // of 64 pieces, half of which are the window
		synctest.Test(t, func(t *testing.T) {
			mem := newMemory(minMemory, 1)
			for range cap(mem.free) - left {
				<-mem.free
			}
			want := bytes.Repeat([]byte("0123456789abcde"), 100*chunkSize/15)
			f := newFlow(mem, int64(len(want)))
			filled := make(chan error, 1)
			go func() { filled <- f.fill(t.Context(), bytes.NewReader(want)) }()
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d pieces are left: %d bytes, %v; want all %d", left, len(got), err, len(want))
			}
			if err := <-filled; err != nil {
				t.Errorf("%d pieces are left: %v", left, err)
			}
			if n := int64(min(left, 64/2)-1) * chunkSize; left > 1 {
				if _, err := f.Seek(f.filled-n, io.SeekStart); err != nil {
					t.Errorf("%d pieces are left: the last %d bytes cannot be sent again: %v", left, n, err)
				}
			}
			f.Close()
			if len(mem.free) != left {
				t.Errorf("%d pieces were returned, want %d", len(mem.free), left)
			}
		})
	}
}
