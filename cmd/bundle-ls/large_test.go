package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k0rdent-airgap/tests/machine"
)

// hole writes an archive of one image whose layer is a hole of size bytes, which uses
// no disk space, and returns what it wrote.
func hole(t testing.TB, w *os.File, n int, size int64) {
	t.Helper()
	digest := func(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","n":%d,"history":%q}`, n, strings.Repeat("x", 8000))
	layer := digest(fmt.Sprint("layer ", n))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`,
		digest(config), len(config), layer, size)
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}]}`,
		digest(manifest), len(manifest))
	start, err := w.Seek(0, io.SeekCurrent)
	if err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	tw := tar.NewWriter(&small)
	for _, m := range [][2]string{
		{"blobs/sha256/" + digest(config)[7:], config}, {"blobs/sha256/" + digest(manifest)[7:], manifest},
		{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}, {"index.json", index},
	} {
		tw.WriteHeader(&tar.Header{Name: m[0], Size: int64(len(m[1])), Mode: 0o644})
		io.WriteString(tw, m[1])
	}
	tw.Flush()
	tw.WriteHeader(&tar.Header{Name: "blobs/sha256/" + layer[7:], Size: size, Mode: 0o644})
	end := start + int64(small.Len()) + (size+511)&^511 + 1024
	if _, err := w.Write(small.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Truncate(end); err != nil {
		machine.Skip(t, "no files with holes here: %v", err)
	}
	if _, err := w.Seek(end, io.SeekStart); err != nil {
		t.Fatal(err)
	}
}

// bytesRead returns how many bytes this process has read so far, by any system call.
func bytesRead(t testing.TB) int64 {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/io")
	if err != nil {
		machine.Skip(t, "%v", err)
	}
	_, rest, _ := strings.Cut(string(stat), "rchar: ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Of 230 archives of 3 GB, in a directory or a plain tar, less than 5 MB are read.
func TestLargeBundleIsNotRead(t *testing.T) {
	const archives, layer = 230, 13 << 20
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle")
	if err := os.MkdirAll(filepath.Join(bundle, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain, err := os.Create(filepath.Join(dir, "bundle.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	outer := tar.NewWriter(plain)
	for n := range archives {
		name := fmt.Sprintf("images/image%d_v1.tar", n)
		f, err := os.Create(filepath.Join(bundle, name))
		if err != nil {
			t.Fatal(err)
		}
		hole(t, f, n, layer)
		info, _ := f.Stat()
		f.Close()
		if err := outer.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		hole(t, plain, n, layer)
		outer = tar.NewWriter(plain) // its payload was written past it
	}
	outer.Close()
	for _, path := range []string{bundle, plain.Name()} {
		before := bytesRead(t)
		got := ls(t, nil, "--quiet", path)
		read := bytesRead(t) - before
		images, _ := records(t, got.out)
		if got.code != 0 || len(images) != archives || images[0].Size < layer {
			t.Fatalf("%d images, %s", len(images), got.err)
		}
		t.Logf("%s: read %d bytes", filepath.Base(path), read)
		if read > 5_000_000 {
			t.Errorf("%s: read %d bytes, want less than 5 MB", filepath.Base(path), read)
		}
	}
}
