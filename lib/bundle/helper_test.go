package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// member is one member of a test archive; the zero type is a regular file.
type member struct {
	name string
	body string
	kind byte
	link string // of a link, where to
}

func files(names ...string) []member {
	var all []member
	for _, n := range names {
		m := member{name: n, body: "content of " + n}
		if n[len(n)-1] == '/' {
			m.kind, m.body = tar.TypeDir, ""
		}
		all = append(all, m)
	}
	return all
}

// noise returns n incompressible bytes.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}

func makeTar(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.body)), Mode: 0o644, Typeflag: m.kind, Format: tar.FormatPAX}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.kind == tar.TypeLink || m.kind == tar.TypeSymlink {
			h.Linkname, h.Size, m.body = cmp.Or(m.link, "/etc/passwd"), 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, m.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gz(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

// gzMembers cuts b into pieces of n bytes, each a gzip member.
func gzMembers(b []byte, n int) []byte {
	var all []byte
	for len(b) > 0 {
		cut := min(n, len(b))
		all = append(all, gz(b[:cut])...)
		b = b[cut:]
	}
	return all
}

func zst(b []byte, options ...zstd.EOption) []byte {
	var buf bytes.Buffer
	w, _ := zstd.NewWriter(&buf, options...)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeDir lays members out as files.
func writeDir(t testing.TB, members ...member) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range members {
		path := filepath.Join(dir, m.name)
		if m.kind == tar.TypeDir {
			os.MkdirAll(path, 0o755)
			continue
		}
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(m.body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// got is what a walk yielded: path and content of each entry.
type got struct {
	path, body string
}

// list opens a bundle and reads everything in it. If several entries are
// refused, it returns the last error.
func list(path string, stdin io.Reader, options ...Option) (all []got, b *Bundle, err error) {
	ctx := context.Background()
	b, err = Open(ctx, path, stdin, options...)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	var refused error
	for e, err := range b.Entries(ctx) {
		if errors.Is(err, ErrEntry) {
			refused = err
			continue
		}
		if err != nil {
			return all, b, err
		}
		body, err := io.ReadAll(e)
		if err != nil {
			continue // the iteration must tell it, too
		}
		if int64(len(body)) != e.Size {
			return all, b, fmt.Errorf("entry %s: read %d bytes, Size is %d", e.Path, len(body), e.Size)
		}
		all = append(all, got{e.Path, string(body)})
	}
	return all, b, refused
}

func paths(all []got) []string {
	names := []string{}
	for _, g := range all {
		names = append(names, g.path)
	}
	return names
}
