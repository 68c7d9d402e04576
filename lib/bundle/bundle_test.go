package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"k0rdent-airgap/tests/machine"
)

// sample is a small bundle in archive order, its root at the top.
func sample() []member {
	return append(files("capi/", "capi/a_1.tar", "charts/", "charts/k0rdent-enterprise_1.2.3.tar", "z_1.tar"),
		member{name: "big_1.tar", body: noise(3 << 20)})
}

func TestOpenDetectsFormatByContent(t *testing.T) {
	want := []got{}
	for _, m := range sample() {
		if m.kind == 0 {
			want = append(want, got{m.name, m.body})
		}
	}
	raw := makeTar(t, sample()...)
	for _, tt := range []struct {
		name, format string
		content      []byte
	}{
		{"gzip", FormatTarGzip, gz(raw)},
		{"gzip of many members", FormatTarGzip, gzMembers(raw, 100_000)},
		{"gzip with an empty member", FormatTarGzip, append(gz(raw), gz(nil)...)},
		{"zstd", FormatTarZstd, zst(raw)},
		{"zstd of two frames", FormatTarZstd, append(zst(raw[:5000]), zst(raw[5000:])...)},
		{"zstd after a skippable frame", FormatTarZstd, append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zst(raw)...)},
		{"tar", FormatTar, raw},
		{"tar padded to a tape record", FormatTar, append(slices.Clone(raw), make([]byte, 20*512)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "misleading.zip", tt.content)
			all, b, err := list(path, nil)
			if err != nil || !reflect.DeepEqual(all, want) || b.Format != tt.format || b.Size != int64(len(tt.content)) {
				t.Errorf("file: %d entries, format %s, size %d, %v", len(all), b.Format, b.Size, err)
			}
			if b.Offset() != b.Size {
				t.Errorf("Offset() = %d at the end, want %d", b.Offset(), b.Size)
			}
			all, b, err = list("-", bytes.NewReader(tt.content))
			if err != nil || !reflect.DeepEqual(all, want) || b.Format != tt.format || b.Size != 0 {
				t.Errorf("pipe: %d entries, format %s, size %d, %v", len(all), b.Format, b.Size, err)
			}
			f, _ := os.Open(path)
			defer f.Close()
			all, b, err = list("-", f)
			if err != nil || !reflect.DeepEqual(all, want) || b.Size != int64(len(tt.content)) {
				t.Errorf("redirected: %d entries, size %d, %v", len(all), b.Size, err)
			}
			if _, err := f.Stat(); err != nil {
				t.Errorf("stdin was closed: %v", err)
			}
		})
	}
}

func TestDirectory(t *testing.T) {
	all, b, err := list(writeDir(t, sample()...), nil)
	want := []string{"big_1.tar", "capi/a_1.tar", "charts/k0rdent-enterprise_1.2.3.tar", "z_1.tar"}
	if err != nil || !reflect.DeepEqual(paths(all), want) || b.Format != FormatDir {
		t.Fatalf("entries %q, format %s, %v, want %q", paths(all), b.Format, err, want)
	}
	if b.Offset() != b.Size || b.Size < 3<<20 {
		t.Errorf("Offset() = %d, Size = %d at the end", b.Offset(), b.Size)
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"empty", "", "the file is empty"},
		{"zip", "PK\x03\x04" + noise(1000), "zip"},
		{"xz", "\xfd7zXZ\x00" + noise(1000), "xz -dc"},
		{"bzip2", "BZh9" + noise(1000), "bzip2 -dc"},
		{"lz4", "\x04\x22\x4d\x18" + noise(1000), "lz4 -dc FILE | … -"},
		{"lzma", "\x5d\x00\x00\x80\x00" + noise(1000), "xz --format=lzma -dc FILE | … -"},
		{"7z", "7z\xbc\xaf\x27\x1c" + noise(1000), "7z x -so FILE | … -"},
		{"html", "\n<!DOCTYPE html><html>503</html>", "HTML"},
		{"key", "-----BEGIN PUBLIC KEY-----\n", "PEM"},
		{"program", "\x7fELF" + noise(1000), "program"},
		{"text", strings.Repeat("0123456789é", 60), "text"},
		{"noise", noise(5000), "neither"},
		{"binary of few bytes", "a\x00\x01", "neither"},
		{"gzip of text", string(gz([]byte(strings.Repeat("hello ", 500)))), "holds no tar"},
		{"gzip of gzip", string(gz(gz(makeTar(t, sample()...)))), "compressed twice"},
		{"zstd with a huge window", string(zst([]byte(noise(1<<20)), zstd.WithWindowSize(512<<20))), "window"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := list(write(t, "airgap-bundle.tar.gz", []byte(tt.content)), nil)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an ErrFormat with %q", err, tt.want)
			}
		})
	}
	if _, _, err := list("/nonexistent", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	dir, _ := os.Open(t.TempDir())
	defer dir.Close()
	if _, _, err := list("-", dir); !errors.Is(err, ErrFormat) {
		t.Errorf("a directory on stdin: %v", err)
	}
	if _, _, err := list(t.TempDir(), nil, WithDigest()); !errors.Is(err, ErrFormat) {
		t.Errorf("the digest of a directory: %v", err)
	}
}

// GNU tar, gzip, pigz and zstd as an operator would use them.
func TestRealPrograms(t *testing.T) {
	dir := writeDir(t, sample()...)
	for _, tt := range []struct{ name, command string }{
		{"tar -cf", "tar -C $DIR -cf $OUT ."},
		{"tar -czf", "tar -C $DIR -czf $OUT ."},
		{"tar --format=ustar", "tar -C $DIR --format=ustar -czf $OUT ."},
		{"tar --format=posix", "tar -C $DIR --format=posix -cf $OUT ."},
		{"tar --zstd", "tar -C $DIR --zstd -cf $OUT ."},
		{"pigz", "tar -C $DIR -cf - . | pigz > $OUT"},
		{"bsdtar", "bsdtar -C $DIR -czf $OUT ."},
		{"cat of two gzip files", "tar -C $DIR -cf $OUT.tar . && split -n 2 $OUT.tar $OUT. && gzip $OUT.aa $OUT.ab && cat $OUT.aa.gz $OUT.ab.gz > $OUT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, program := range []string{"pigz", "bsdtar", "zstd"} {
				if strings.Contains(tt.command, program) {
					machine.NeedProgram(t, program)
				}
			}
			out := filepath.Join(t.TempDir(), "b")
			c := exec.Command("sh", "-ec", tt.command)
			c.Env = append(os.Environ(), "DIR="+dir, "OUT="+out)
			if text, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			all, _, err := list(out, nil)
			names := paths(all)
			slices.Sort(names)
			if want := []string{"big_1.tar", "capi/a_1.tar", "charts/k0rdent-enterprise_1.2.3.tar", "z_1.tar"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("%q, %v, want %q", names, err, want)
			}
		})
	}
}

// Entries of a seekable file remain readable while the walk continues, which
// concurrent uploads rely on.
func TestAtOutlivesIteration(t *testing.T) {
	for name, path := range map[string]string{
		"tar": write(t, "b.tar", makeTar(t, sample()...)),
		"dir": writeDir(t, sample()...),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			b, err := Open(ctx, path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			var wg sync.WaitGroup
			want := map[string]string{}
			for _, m := range sample() {
				want[m.name] = m.body
			}
			var kept []*Entry
			for e, err := range b.Entries(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				kept = append(kept, e)
				for range 2 {
					wg.Go(func() {
						body, err := io.ReadAll(io.NewSectionReader(e.At, 0, e.Size))
						if err != nil || string(body) != want[e.Path] {
							t.Errorf("entry %s: %d bytes, %v", e.Path, len(body), err)
						}
					})
				}
			}
			wg.Wait()
			b.Close()
			if _, err := kept[0].At.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("after Close: %v, want os.ErrClosed", err)
			}
		})
	}
}

// A terabyte of payload is skipped at once: it is not read.
func TestPlainTarIsSkippedBySeeking(t *testing.T) {
	const huge = 1 << 40
	head := makeTar(t, member{name: "a_1.tar", body: "x"})
	head = head[:1024] // header and payload
	path := write(t, "b.tar", head)
	var bigHeader bytes.Buffer
	writeHeader(t, &bigHeader, "big_1.tar", huge)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(bigHeader.Bytes())
	f.Close()
	if err := os.Truncate(path, int64(len(head)+bigHeader.Len())+huge); err != nil {
		machine.Skip(t, "no files with holes here: %v", err)
	}
	f, _ = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	f.Write(makeTar(t, member{name: "z_1.tar", body: "y"}))
	f.Close()
	ctx := context.Background()
	b, err := Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var names []string
	for e, err := range b.Entries(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(e.Path, " ", e.Size))
	}
	if want := []string{"a_1.tar 1", fmt.Sprint("big_1.tar ", huge), "z_1.tar 1"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestDigestOfTheWholeFile(t *testing.T) {
	raw := makeTar(t, sample()...)
	for name, content := range map[string][]byte{"gzip": gz(raw), "zstd": zst(raw), "tar": raw} {
		want := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		path := write(t, "b", content)
		_, b, err := list(path, nil, WithDigest())
		if err != nil || b.Digest() != want {
			t.Errorf("%s: Digest() = %q, %v, want %s", name, b.Digest(), err, want)
		}
		b, err = Open(context.Background(), path, nil, WithDigest())
		if err != nil {
			t.Fatal(err)
		}
		for range b.Entries(context.Background()) {
			break
		}
		if b.Digest() != "" {
			t.Errorf("%s: a digest of a part of the file", name)
		}
		b.Close()
	}
}

// A silent source must not keep a cancelled tool alive.
func TestCancelWhileSourceHangs(t *testing.T) {
	raw := makeTar(t, sample()...)
	for name, content := range map[string][]byte{
		"before the first byte": nil, "gzip": gz(raw)[:1<<20], "zstd": zst(raw)[:1<<20], "tar": raw[:1<<20],
	} {
		t.Run(name, func(t *testing.T) {
			r, w := io.Pipe()
			defer w.Close()
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() {
				w.Write(content)
				cancel(cause)
			}()
			b, err := Open(ctx, "-", r)
			if err == nil {
				for _, err = range b.Entries(ctx) {
				}
				b.Close()
			}
			if !errors.Is(err, cause) {
				t.Errorf("%v, want the context's cause", err)
			}
		})
	}
}

// An error of the system is returned unchanged, not as damage of the bundle.
func TestSourceError(t *testing.T) {
	broken := errors.New("input/output error")
	content := gz(makeTar(t, sample()...))
	r := io.MultiReader(bytes.NewReader(content[:1<<20]), errorReader{broken})
	_, _, err := list("-", r)
	if !errors.Is(err, broken) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want the source's own error", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// Leaving a walk early ends every goroutine.
func TestCloseEndsGoroutines(t *testing.T) {
	raw := makeTar(t, sample()...)
	before := runtime.NumGoroutine()
	for _, content := range [][]byte{gz(raw), zst(raw), raw} {
		for range 10 {
			b, err := Open(context.Background(), "-", bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			for range b.Entries(context.Background()) {
				break
			}
			b.Close()
			b.Close() // is harmless
		}
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestStreamIsReadOnce(t *testing.T) {
	ctx := context.Background()
	b, err := Open(ctx, "-", bytes.NewReader(gz(makeTar(t, sample()...))))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var first *Entry
	for e := range b.Entries(ctx) {
		if first == nil {
			first = e
		}
	}
	if _, err := first.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("reading an entry that has passed: %v, want an error", err)
	}
	for _, err := range b.Entries(ctx) {
		if err == nil {
			t.Error("a stream was walked twice")
		}
	}
}
