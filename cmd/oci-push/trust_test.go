package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

func digestOf(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// watcher records what a registry was asked to store, in order.
type watcher struct {
	mu     sync.Mutex
	stored []string // "blob" or "manifest"
	blobs  atomic.Int64
}

func (w *watcher) before(_ http.ResponseWriter, r *http.Request) bool {
	what := ""
	switch {
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
		what = "manifest"
	case r.Method == http.MethodPut:
		what = "blob"
		w.blobs.Add(1)
	}
	if what != "" {
		w.mu.Lock()
		w.stored = append(w.stored, what)
		w.mu.Unlock()
	}
	return false
}

// manifests returns the number of manifests.
func (w *watcher) manifests() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.stored {
		if what == "manifest" {
			n++
		}
	}
	return n
}

func TestVerifiedBundleIsPublished(t *testing.T) {
	t.Parallel()
	for _, format := range []samplebundle.Format{samplebundle.TarGz, samplebundle.Tar} {
		t.Run(string(format), func(t *testing.T) {
			path, m := write(t, samplebundle.Options{Format: format, Size: 4 << 20})
			var w watcher
			host := serve(t, w.before)
			head := line2(record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood})
			r := invoke(t, head+strings.Join(records(t, path, m), ""), "--to", host)
			if r.err != nil || r.kinds[0] != "bundle" {
				t.Fatalf("%v, %v, want success and the bundle record passed on\n%s", r.err, r.kinds, r.stderr)
			}
			if w.manifests() == 0 {
				t.Error("no manifest was sent")
			}
			checkAll(t, host, "", m)
		})
	}
}

func TestChangedBundlePublishesNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []samplebundle.Format{samplebundle.TarGz, samplebundle.Tar} {
		t.Run(string(format), func(t *testing.T) {
			path, m := write(t, samplebundle.Options{Format: format})
			var w watcher
			host := serve(t, w.before)
			other := "sha256:" + strings.Repeat("ab", 32)
			head := line2(record.Bundle{Path: path, Digest: other, Signature: record.SignatureGood})
			r := invoke(t, head+strings.Join(records(t, path, m), ""), "--to", host)
			if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), "not the bundle that was verified") {
				t.Errorf("%v, want an error about another bundle", r.err)
			}
			if n := w.manifests(); n != 0 {
				t.Errorf("%d manifests were sent, want none", n)
			}
			images, _ := count(m)
			if r.statuses()["failed"] != images || strings.Contains(r.stderr, "was not verified") {
				t.Errorf("%v and stderr %q, want every image failed and no line for each", r.statuses(), r.stderr)
			}
		})
	}
}

func TestTruncatedVerifiedBundlePublishesNothing(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	digest := digestOf(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-2000); err != nil {
		t.Fatal(err)
	}
	var w watcher
	host := serve(t, w.before)
	head := line2(record.Bundle{Path: path, Digest: digest, Signature: record.SignatureGood})
	r := invoke(t, head+strings.Join(records(t, path, m), ""), "--to", host)
	if cli.Code(r.err) != cli.CodeFailed || w.manifests() != 0 {
		t.Errorf("%v and %d manifests, want a failure and none", r.err, w.manifests())
	}
}

func TestBundleRecordMayNotComeLate(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sel := newSelection(nil, func(string) {})
	go sel.read(t.Context(), pipe.Reader{}, in)
	if _, err := out.WriteString(records(t, path, m)[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := sel.nextBundle(t.Context()); got != path || err != nil {
		t.Fatalf("nextBundle = %q, %v", got, err)
	}
	if _, err := out.WriteString(line2(record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood})); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if _, _, err := sel.take(t.Context(), path, "nothing", 0); err == nil || !strings.Contains(err.Error(), "came after those of its images") {
		t.Errorf("take = %v, want an error about a late record", err)
	}
}

func TestVerifiedBy(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	good := record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood}
	with := func(change func(*record.Bundle)) string {
		b := good
		change(&b)
		return line2(b)
	}
	tests := []struct {
		name, file string
		want       string // "" for success
	}{
		{"good", line2(good), ""},
		{"good among others", `{"kind":"note"}` + "\n" + line2(good), ""},
		{"bad", with(func(b *record.Bundle) { b.Signature = record.SignatureBad }), "its signature is bad"},
		{"unsigned", with(func(b *record.Bundle) { b.Signature = record.SignatureNone }), "its signature was not checked"},
		{"no digest", with(func(b *record.Bundle) { b.Digest = "" }), "its signature was not checked"},
		{"another bundle", with(func(b *record.Bundle) { b.Digest = "sha256:" + strings.Repeat("0", 64) }), "not the bundle that was verified"},
		{"nothing", "", "no verdict"},
		{"garbage", "yes\n", "not a JSON record"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w watcher
			host := serve(t, w.before)
			file := filepath.Join(t.TempDir(), "verdict")
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			r := invoke(t, "", "--verified-by", file, "--to", host, path)
			if tt.want == "" {
				if r.err != nil {
					t.Fatalf("%v\n%s", r.err, r.stderr)
				}
				checkAll(t, host, "", m)
				return
			}
			if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("%v, want %q", r.err, tt.want)
			}
			if n := w.manifests(); n != 0 {
				t.Errorf("%d manifests were sent, want none", n)
			}
		})
	}
	for _, args := range [][]string{{"--verified-by", "-", "-"}, {"--verified-by", "x"}, {"--verified-by", "/nonexistent", path}} {
		if r := invoke(t, "", append([]string{"--to", serve(t, nil)}, args...)...); cli.Code(r.err) != cli.CodeMisuse {
			t.Errorf("%q: %v, want misuse", args, r.err)
		}
	}
}

// Records behind the verdict are passed on, although everything has been pushed by then:
// bundle-version reads the bundle before it writes its own.
func TestRecordsBehindTheVerdict(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 3})
	host := serve(t, nil)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	done := make(chan result, 1)
	go func() { done <- invokeWith(t, in, "--verified-by", "-", "--to", host, path) }()
	verdict := line2(record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood})
	out.WriteString(verdict)
	for deadline := time.Now().Add(time.Minute); !allThere(t, host, m); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the images do not come")
		}
	}
	select {
	case r := <-done:
		t.Fatalf("ended with %v before stdin did", r.err)
	case <-time.After(500 * time.Millisecond): // without waiting, it ends at once
	}
	const note = `{"kind":"version","version":"1.2.3"}` + "\n"
	out.WriteString(verdict + note)
	out.Close()
	if r := <-done; r.err != nil || !strings.Contains(r.stdout, note) {
		t.Errorf("%v, wrote %q, want %s", r.err, r.stdout, note)
	}
}
