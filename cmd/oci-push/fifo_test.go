//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// During the verification, blobs are sent and tags wait.
func TestBlobsGoEarlyAndTagsWaitForTheVerdict(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Size: 4 << 20})
	var w watcher
	host := serve(t, w.before)
	fifo := filepath.Join(t.TempDir(), "verdict")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	seen := make(map[string]bool)
	for _, e := range m.Entries {
		for _, b := range e.Blobs {
			if !strings.Contains(b.MediaType, "manifest") && !strings.Contains(b.MediaType, "index") && !seen[b.Digest] {
				seen[b.Digest] = true
				want++
			}
		}
	}
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		deadline := time.Now().Add(time.Minute)
		for w.blobs.Load() < want && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		if got := w.blobs.Load(); got < want {
			t.Errorf("%d blobs came before the verdict, want all %d", got, want)
		}
		if n := w.manifests(); n > 0 {
			t.Errorf("%d manifests came before the verdict, want none", n)
		}
		f.WriteString(line2(record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood}))
	}()
	if r := invoke(t, "", "--verified-by", fifo, "--to", host, path); r.err != nil {
		t.Fatalf("%v\n%s", r.err, r.stderr)
	}
	checkAll(t, host, "", m)
}
