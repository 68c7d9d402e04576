package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// TestImagesArriveWhileRecordsCome: a record that an entry is not an image settles it like
// an image's record, so a README does not keep the images behind it waiting for the end of
// bundle-ls.
func TestImagesArriveWhileRecordsCome(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	go func() { // as bundle-ls writes them, in the bundle's order
		images := records(t, path, m)
		for _, e := range m.Entries {
			i := slices.IndexFunc(images, func(r string) bool { return entryOf(r) == e.Path })
			if i < 0 {
				out.WriteString(line2(record.Skipped{Bundle: path, Entry: e.Path, Reason: "not an OCI archive"}))
				continue
			}
			out.WriteString(images[i])
		}
	}()
	done := make(chan result, 1)
	go func() { done <- invokeWith(t, in, "--to", host) }()
	deadline := time.Now().Add(time.Minute)
	for !allThere(t, host, m) {
		if time.Now().After(deadline) {
			t.Fatal("images wait for the end of stdin")
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case r := <-done:
		t.Fatalf("ended with %v before stdin did", r.err)
	default:
	}
	out.Close()
	if r := <-done; r.err != nil {
		t.Errorf("%v\n%s", r.err, r.stderr)
	}
}

func allThere(t *testing.T, host string, m samplebundle.Manifest) bool {
	for _, e := range m.Entries {
		if e.Repository == "" {
			continue
		}
		if status, _, _ := fetch(t, "http://"+host+"/v2/"+e.Repository+"/manifests/"+e.Tag); status != http.StatusOK {
			return false
		}
	}
	return true
}

func entryOf(line string) string {
	var r record.Image
	json.Unmarshal([]byte(line), &r)
	return r.Entry
}

// TestBadSignatureEndsEveryMode checks that nothing is stored.
func TestBadSignatureEndsEveryMode(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	source := serve(t, nil)
	if r := invoke(t, "", "--to", source, path); r.err != nil {
		t.Fatal(r.err)
	}
	bad := line2(record.Bundle{Path: path, Signature: record.SignatureBad})
	all := strings.Join(records(t, path, m), "")
	for name, args := range map[string][]string{
		"records":     {},
		"plan":        {"--plan"},
		"copy":        {"--from", source, "-"},
		"copy all":    {"--from", source},
		"alias":       {"--alias", "busybox:1.37.0=a:b"},
		"operand":     {path},
		"verified by": {"--verified-by", "-", path},
		"two sources": {"--verified-by", "/dev/null", path},
	} {
		var w watcher
		host := serve(t, w.before)
		in := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(in, []byte(bad+all), 0o600); err != nil {
			t.Fatal(err)
		}
		stdin, err := os.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		r := invokeWith(t, stdin, append([]string{"--to", host}, args...)...)
		stdin.Close()
		if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), pipe.ErrBadSignature.Error()) {
			t.Errorf("%s: %v (code %d), want the bad signature", name, r.err, cli.Code(r.err))
		}
		if len(w.stored) > 0 || !strings.HasPrefix(r.stdout, bad) {
			t.Errorf("%s: stored %v and wrote %.100q, want nothing stored and the record passed on", name, w.stored, r.stdout)
		}
	}
}

// TestVerdictAndOperand: records that a run would not read end it before anything is sent.
func TestVerdictAndOperand(t *testing.T) {
	t.Parallel()
	path, _ := write(t, samplebundle.Options{Archives: 12})
	good := line2(record.Bundle{Path: path, Digest: digestOf(t, path), Signature: record.SignatureGood})
	for _, args := range [][]string{{path}, {"--plan", path}, {"--from", "localhost:1"}} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(good)
		asked := false
		host := serve(t, func(http.ResponseWriter, *http.Request) bool { asked = true; return false })
		r := invokeWith(t, in, append([]string{"--to", host}, args...)...)
		in.Close()
		out.Close()
		if cli.Code(r.err) != cli.CodeMisuse || asked {
			t.Errorf("%q: %v (code %d), registry asked: %v; want misuse and nothing asked", args, r.err, cli.Code(r.err), asked)
		}
	}
}

// TestStaleRecords: if the bundle was replaced or removed since it was listed, one line says
// so, and every image is counted.
func TestStaleRecords(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	other, o := write(t, samplebundle.Options{Format: samplebundle.Tar})
	images := records(t, path, m)
	for _, name := range []string{"cut", "gone"} { // in this order
		stale := map[string]func() error{
			"cut":  func() error { return os.Truncate(path, 3000) },
			"gone": func() error { return os.Remove(path) },
		}[name]
		if err := stale(); err != nil {
			t.Fatal(err)
		}
		host := serve(t, nil)
		r := invoke(t, strings.Join(images, "")+strings.Join(records(t, other, o), ""), "--to", host)
		if cli.Code(r.err) != cli.CodeFailed || !strings.Contains(r.err.Error(), path) {
			t.Errorf("%s: %v (code %d), want a failure that names %s", name, r.err, cli.Code(r.err), path)
		}
		if got := strings.Count(r.stdout, `"status":"failed"`); got != len(images) {
			t.Errorf("%s: %d images failed, want %d", name, got, len(images))
		}
		if strings.Contains(r.stderr, "could not be read to its end") || strings.Contains(r.stderr, "truncated") {
			t.Errorf("%s: a line for each image, or one next to the run's error:\n%s", name, r.stderr)
		}
		checkAll(t, host, "", o) // the other bundle is still pushed
		if r := invoke(t, images[0], "--to", host); cli.Code(r.err) != cli.CodeFailed {
			t.Errorf("%s alone: %v", name, r.err)
		}
	}
}

func TestImageRecordsHaveThePrefix(t *testing.T) {
	t.Parallel()
	path, m := write(t, samplebundle.Options{Archives: 12})
	host := serve(t, nil)
	for _, prefix := range []string{"", "site/k0rdent"} {
		r := invoke(t, records(t, path, m)[0], "--to", strings.TrimSuffix(host+"/"+prefix, "/"))
		if r.err != nil || len(r.images) != 1 {
			t.Fatalf("%v, %+v, want one image", r.err, r.images)
		}
		for _, i := range r.images {
			if i.Prefix != prefix || i.Registry != host {
				t.Errorf("registry %q and prefix %q, want %q and %q", i.Registry, i.Prefix, host, prefix)
			}
		}
	}
}

// TestInterruptedCount: the number of images is known only after the last record.
func TestInterruptedCount(t *testing.T) {
	path, m := write(t, samplebundle.Options{Archives: 12})
	all := strings.Join(records(t, path, m), "")
	s := newSelection(nil, func(string) {})
	s.read(t.Context(), pipe.Reader{}, strings.NewReader(all))
	if images, _ := count(m); s.total() != images {
		t.Errorf("%d images, want %d", s.total(), images)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	in, out := io.Pipe()
	go func() {
		out.Write([]byte(all))
		cancel(cli.ErrInterrupted)
	}()
	s = newSelection(nil, func(string) {})
	s.read(ctx, pipe.Reader{}, in)
	if s.total() != 0 {
		t.Errorf("total %d, want it unknown", s.total())
	}
}

// TestArchiveOfSeveralImages waits for all records of an archive, so that the bundle need not
// be read again for the second.
func TestArchiveOfSeveralImages(t *testing.T) {
	s := newSelection(nil, func(string) {})
	s.more = time.Minute
	accept := func(r record.Record) {
		t.Helper()
		if _, err := s.accept(record.Line{Kind: r.Kind(), Raw: []byte(line2(r))}); err != nil {
			t.Fatal(err)
		}
	}
	accept(record.Image{Bundle: "/b", Entry: "a.tar", Repository: "a", Tag: "1"})
	accept(record.Image{Bundle: "/b", Entry: "a.tar", Repository: "a", Tag: "2"})
	claimed := make(chan int)
	go func() {
		images, _, _ := s.take(t.Context(), "/b", "a.tar", 0)
		claimed <- len(images)
	}()
	select {
	case n := <-claimed:
		t.Fatalf("%d images were claimed while more may arrive", n)
	case <-time.After(50 * time.Millisecond):
	}
	accept(record.Image{Bundle: "/b", Entry: "a.tar", Repository: "a", Tag: "3"})
	accept(record.Skipped{Bundle: "/b", Entry: "b.tar"})
	if n := <-claimed; n != 3 {
		t.Errorf("%d images were claimed, want 3", n)
	}
	s.more = 0
	accept(record.Image{Bundle: "/b", Entry: "c.tar", Repository: "c", Tag: "1"})
	if images, _, err := s.take(t.Context(), "/b", "c.tar", 1); len(images) != 1 || err != nil {
		t.Errorf("%v, %v, want one image at once", images, err)
	}
}

// lateWriter is an output that a run is still writing to when it is interrupted.
type lateWriter struct {
	cancel context.CancelCauseFunc
	over   atomic.Bool // the run has returned
	late   atomic.Bool // before this had written
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.cancel(cli.ErrInterrupted)
	time.Sleep(100 * time.Millisecond)
	w.late.Store(w.late.Load() || w.over.Load())
	return len(p), nil
}

// TestNothingIsWrittenAfterARun: what reads stdin ends with the run.
func TestNothingIsWrittenAfterARun(t *testing.T) {
	in, out := io.Pipe()
	defer in.Close()
	go func() { // ends when the pipe is closed
		for {
			if _, err := io.WriteString(out, `{"kind":"note"}`+"\n"); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &lateWriter{cancel: cancel}
	err := run(ctx, []string{"--to", serve(t, nil)}, in, w, io.Discard)
	w.over.Store(true)
	time.Sleep(200 * time.Millisecond)
	if !errors.Is(err, cli.ErrInterrupted) || w.late.Load() {
		t.Errorf("%v, and wrote after the run: %v", err, w.late.Load())
	}
}
