package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Blobs, oci-layout and index.json come in any order.
func TestReadAnyOrder(t *testing.T) {
	l := &layout{t: t}
	root := at(l.index(l.image("linux", "amd64", "a"), l.image("linux", "arm64", "b")), "v1")
	members := append(slices.Clone(l.blobs), member{name: "./oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`},
		member{name: "./index.json", body: toJSON(t, v1.IndexManifest{Manifests: []v1.Descriptor{root}})})
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		var passed []string
		// A slow pipe delivers one byte at a time.
		r := iotest.OneByteReader(bytes.NewReader(makeTar(t, members...)))
		a, err := Read(context.Background(), r, func(b Blob) error {
			body, err := io.ReadAll(b)
			passed = append(passed, string(body))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		images, err := a.Images()
		if err != nil || len(images) != 1 || len(images[0].Manifests) != 3 || len(images[0].Blobs) != 4 {
			t.Fatalf("%+v, %v", images, err)
		}
		slices.Sort(passed)
		if !slices.Equal(passed, []string{"a", "b"}) {
			t.Fatalf("passed %q, want the two layers", passed)
		}
		if len(a.JSON) != 5 || len(a.Sizes) != 7 {
			t.Fatalf("%d JSON blobs of %d, want 5 of 7", len(a.JSON), len(a.Sizes))
		}
	}
}

// Content that the callback leaves unread is still checked.
func TestReadDrains(t *testing.T) {
	big := strings.Repeat("layer", 100_000)
	l := &layout{t: t}
	content := l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), l.blob(types.OCILayer, big)))
	bad := bytes.Replace(content, []byte("layerlayer"), []byte("layerLayer"), 1)
	for name, blob := range map[string]func(Blob) error{
		"no callback":  nil,
		"reads all":    func(b Blob) error { io.Copy(io.Discard, b); return nil },
		"reads part":   func(b Blob) error { io.CopyN(io.Discard, b, 1000); return nil },
		"reads none":   func(b Blob) error { return nil },
		"promise kept": func(b Blob) error { io.CopyN(io.Discard, b, b.Size); return nil },
	} {
		if _, err := Read(context.Background(), bytes.NewReader(content), blob); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := Read(context.Background(), bytes.NewReader(bad), blob)
		if !errors.Is(err, ErrDigest) || !strings.Contains(err.Error(), digestOf(big).String()) {
			t.Errorf("%s, changed layer: %v, want an ErrDigest that names it", name, err)
		}
	}
}

// A consumer that expects Size bytes never gets the last bytes of a wrong blob.
func TestVerifyWithholdsTheEnd(t *testing.T) {
	for _, body := range []string{"x", "layer", strings.Repeat("x", 1<<20)} {
		wrong := digestOf(body + "!")
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
		} {
			n, err := io.CopyN(io.Discard, Verify(wrap(strings.NewReader(body)), wrong, int64(len(body))), int64(len(body)))
			if n >= int64(len(body)) || !errors.Is(err, ErrDigest) {
				t.Errorf("%s: read %d of %d bytes, %v, want less and ErrDigest", name, n, len(body), err)
			}
			got, err := io.ReadAll(Verify(wrap(strings.NewReader(body+"tail")), digestOf(body), int64(len(body))))
			if string(got) != body || err != nil {
				t.Errorf("%s: read %d bytes, %v, want %d", name, len(got), err, len(body))
			}
			_, err = io.ReadAll(Verify(wrap(strings.NewReader(body)), digestOf(body), int64(len(body))+1))
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%s: %v, want ErrTruncated", name, err)
			}
		}
	}
	if _, err := io.ReadAll(Verify(strings.NewReader("x"), digestOf("x"), -1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("size -1: %v, want ErrInvalid", err)
	}
	if _, err := io.ReadAll(Verify(strings.NewReader(""), digestOf("x"), 0)); !errors.Is(err, ErrDigest) {
		t.Errorf("empty: %v, want ErrDigest", err)
	}
	if got, err := io.ReadAll(Verify(strings.NewReader("x"), digest512("x"), 1)); string(got) != "x" || err != nil {
		t.Errorf("sha512: %q, %v", got, err)
	}
	if _, err := io.ReadAll(Verify(strings.NewReader("y"), digest512("x"), 1)); !errors.Is(err, ErrDigest) {
		t.Errorf("sha512: %v, want ErrDigest", err)
	}
}

func TestDigestMismatchOfJSON(t *testing.T) {
	l := &layout{t: t}
	root := l.image("linux", "amd64", "x")
	content := bytes.Replace(l.archive(root), []byte(`"os":"linux"`), []byte(`"os":"LINUX"`), 1)
	both(t, content, func(how string, a *Archive, images []*Image, err error) {
		if !errors.Is(err, ErrDigest) {
			t.Errorf("%s: %v, want ErrDigest", how, err)
		}
	})
	empty := makeTar(t, member{name: "blobs/sha256/" + digestOf("x").Hex})
	if _, err := Read(context.Background(), bytes.NewReader(empty), nil); errors.Is(err, nil) {
		t.Error("an empty blob with a wrong digest was accepted")
	}
}

func TestReadSHA512(t *testing.T) {
	l := &layout{t: t}
	layer := "layer 512"
	d := v1.Descriptor{MediaType: types.OCILayer, Size: int64(len(layer)), Digest: digest512(layer)}
	l.blobs = append(l.blobs, member{name: "blobs/sha512/" + d.Digest.Hex, body: layer})
	both(t, l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), d)), func(how string, a *Archive, images []*Image, err error) {
		if err != nil || len(images[0].Blobs) != 2 {
			t.Errorf("%s: %+v, %v", how, images, err)
		}
	})
}

// JSON beyond the limit is passed on, not held.
func TestReadHoldsBoundedJSON(t *testing.T) {
	l := &layout{t: t}
	var layers []v1.Descriptor
	for i := range 12 {
		layers = append(layers, l.blob("application/json", fmt.Sprintf(`{"n":%d,"x":%q}`, i, strings.Repeat("x", maxJSON-100))))
	}
	over := l.blob("application/json", `{"x":"`+strings.Repeat("y", maxJSON)+`"}`)
	content := l.archive(l.manifest(l.blob(types.OCIConfigJSON, "{}"), append(layers, over)...))
	passed := 0
	a, err := Read(context.Background(), bytes.NewReader(content), func(b Blob) error {
		passed++
		_, err := io.Copy(io.Discard, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, raw := range a.JSON {
		held += len(raw)
	}
	if held > maxHeld || passed < 5 {
		t.Errorf("held %d bytes, passed %d blobs on", held, passed)
	}
	if images, err := a.Images(); err != nil || len(images[0].Blobs) != 14 {
		t.Errorf("%v", err)
	}
}

func TestRecognises(t *testing.T) {
	l := &layout{t: t}
	good := l.archive(l.image("linux", "amd64", "x"))
	docker := []member{{name: "abc.json", body: "{}"}, {name: "abc/layer.tar", kind: tar.TypeSymlink}, {name: "manifest.json", body: "[]"}}
	for _, tt := range []struct {
		name    string
		content []byte
		kind    error
		want    string
	}{
		{"docker-archive", makeTar(t, docker...), ErrDockerArchive, ""},
		{"empty", nil, ErrNotArchive, "empty"},
		{"text", []byte("read me"), ErrNotArchive, "not a tar"},
		{"noise", []byte(strings.Repeat("noise ", 1000)), ErrNotArchive, "not a tar"},
		{"broken gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00and so on"), ErrInvalid, "gzip"},
		{"cut gzip", gzipOf(good)[:200], ErrTruncated, ""},
		{"cut zstd", zstdOf(t, good)[:200], ErrTruncated, ""},
		{"gzip of text", gzipOf([]byte("read me")), ErrNotArchive, "inside gzip: not a tar"},
		{"gzip of gzip", gzipOf(gzipOf(good)), ErrNotArchive, "inside gzip: gzip"},
		{"gzip of files", gzipOf(makeTar(t, member{name: "README", body: "x"})), ErrNotArchive, "without oci-layout"},
		{"gzip of a docker-archive", gzipOf(makeTar(t, docker...)), ErrDockerArchive, ""},
		{"xz", []byte("\xfd7zXZ\x00 and so on"), ErrNotArchive, "xz"},
		{"chart package", gzipOf(makeTar(t, member{name: "foo/Chart.yaml", body: "name: foo"}, member{name: "foo/templates/x"})), ErrChartPackage, ""},
		{"files with a chart deep inside", makeTar(t, member{name: "a/b/Chart.yaml", body: "name: foo"}), ErrNotArchive, "without oci-layout"},
		{"tar of files", makeTar(t, member{name: "README", body: "x"}), ErrNotArchive, "without oci-layout"},
		{"empty tar", makeTar(t), ErrNotArchive, "without oci-layout"},
		{"no index.json", makeTar(t, member{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}), ErrTruncated, "index.json"},
		{"blobs alone", makeTar(t, member{name: "blobs/sha256/" + digestOf("x").Hex, body: "x"}), ErrTruncated, "oci-layout"},
		{"layout of a later version", makeTar(t, member{name: "oci-layout", body: `{"imageLayoutVersion":"2.0.0"}`}, member{name: indexFile, body: `{"manifests":[]}`}), ErrInvalid, "2.0.0"},
		{"layout is not JSON", makeTar(t, member{name: "oci-layout", body: `1.0.0`}, member{name: indexFile, body: `{"manifests":[]}`}), ErrInvalid, "oci-layout"},
		{"cut in a blob", good[:1400+512], ErrTruncated, ""},
	} {
		both(t, tt.content, func(how string, a *Archive, images []*Image, err error) {
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: %v, want %v with %q", tt.name, how, err, tt.kind, tt.want)
			}
		})
	}
	// Docker 25 and later writes both into one file.
	d := l.image("linux", "amd64", "x")
	l.blobs = append(l.blobs, docker...)
	both(t, l.archive(d), func(how string, a *Archive, images []*Image, err error) {
		if err != nil || len(images) != 1 {
			t.Errorf("both in one: %s: %v", how, err)
		}
	})
}

func TestHostileMembers(t *testing.T) {
	l := &layout{t: t}
	root := l.image("linux", "amd64", "x")
	hex := digestOf("x").Hex
	for _, tt := range []struct {
		name string
		add  member
		want string
	}{
		{"absolute", member{name: "/etc/passwd"}, "hostile"},
		{"outside the tree", member{name: "blobs/sha256/../../../x"}, "hostile"},
		{"control character", member{name: "x\x1b[2J"}, "hostile"},
		{"blob that is a link", member{name: "blobs/sha256/" + digestOf("y").Hex, kind: tar.TypeSymlink}, "not a regular file"},
		{"index.json that is a link", member{name: "./index.json", kind: tar.TypeSymlink}, "not a regular file"},
		{"blob twice, of two sizes", member{name: "blobs/sha256/" + hex, body: "xy"}, "twice"},
	} {
		with := &layout{t: t, blobs: append(slices.Clone(l.blobs), tt.add)}
		both(t, with.archive(root), func(how string, a *Archive, images []*Image, err error) {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: %v, want an ErrInvalid with %q", tt.name, how, err, tt.want)
			}
		})
	}
	m := newMembers(nil)
	m.count = maxMembers
	if _, _, err := m.take(&tar.Header{Name: "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("one member too many: %v", err)
	}
}

// Files that other tools leave in archives, and members that "tar -r" appends,
// make no difference.
func TestHarmlessMembers(t *testing.T) {
	l := &layout{t: t}
	root := l.image("linux", "amd64", "x")
	hex := digestOf("x").Hex
	again := member{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}
	for name, add := range map[string][]member{
		"AppleDouble":              {{name: "._index.json", body: "x"}, {name: "blobs/sha256/._" + hex, body: "x"}, {name: "blobs/._sha256", body: "x"}},
		"Finder":                   {{name: ".DS_Store", body: "x"}, {name: "blobs/.DS_Store", body: "x"}},
		"kept directory":           {{name: "blobs/sha256/.gitkeep"}},
		"another algorithm":        {{name: "blobs/blake3/" + hex, body: "x"}},
		"short digest":             {{name: "blobs/sha256/abc"}},
		"capitals in digest":       {{name: "blobs/sha256/" + strings.ToUpper(digestOf("y").Hex)}},
		"deeper":                   {{name: "blobs/sha256/x/" + hex, body: "y"}},
		"PaxHeaders":               {{name: "blobs/sha256/PaxHeaders.12/" + hex, body: "x"}, {name: "PaxHeaders.12/index.json", body: "x"}},
		"directories again":        {{name: "blobs/", kind: tar.TypeDir}, {name: "./blobs/sha256", kind: tar.TypeDir}},
		"contiguous file":          {{name: "blobs/sha256/" + digestOf("y").Hex, body: "y", kind: tar.TypeCont}},
		"a blob again":             {{name: "./blobs/sha256/" + hex, body: "x"}},
		"a manifest again":         {{name: "blobs/sha256/" + root.Digest.Hex, body: l.blobs[len(l.blobs)-1].body}},
		"index.json of before":     {{name: "index.json", body: "{}"}},
		"oci-layout of before":     {{name: "oci-layout", body: "{}"}},
		"the layout's files again": {again, again},
	} {
		with := &layout{t: t, blobs: append(slices.Clone(l.blobs), add...)}
		both(t, with.archive(root), func(how string, a *Archive, images []*Image, err error) {
			if err != nil || len(images) != 1 || images[0].Descriptor.Digest != root.Digest || len(images[0].MissingBlobs()) > 0 {
				t.Errorf("%s: %s: %d images, %v", name, how, len(images), err)
			}
		})
	}
	passed := 0
	content := (&layout{t: t, blobs: append(slices.Clone(l.blobs), member{name: "blobs/sha256/" + hex, body: "x"})}).archive(root)
	if _, err := Read(context.Background(), bytes.NewReader(content), func(Blob) error { passed++; return nil }); err != nil || passed != 1 {
		t.Errorf("a layer twice: passed on %d times, %v, want once", passed, err)
	}
	wrong := (&layout{t: t, blobs: append(slices.Clone(l.blobs), member{name: "blobs/sha256/" + hex, body: "y"})}).archive(root)
	if _, err := Read(context.Background(), bytes.NewReader(wrong), nil); !errors.Is(err, ErrDigest) {
		t.Errorf("a layer, then another with its name: %v, want %v", err, ErrDigest)
	}
}

// A compressed archive has the same contents.
func TestPacked(t *testing.T) {
	l := &layout{t: t}
	root := at(l.image("linux", "amd64", strings.Repeat("layer", 100_000)), "v1")
	plain := l.archive(root)
	for name, content := range map[string][]byte{
		"gzip": gzipOf(plain), "members": append(gzipOf(plain[:5000]), gzipOf(plain[5000:])...), "zstd": zstdOf(t, plain),
		"gzip with zeros behind": append(gzipOf(plain), make([]byte, 10240)...),
	} {
		both(t, content, func(how string, a *Archive, images []*Image, err error) {
			if err != nil || len(images) != 1 || images[0].Descriptor.Digest != root.Digest || images[0].Size < 500_000 {
				t.Errorf("%s: %s: %v, %v", name, how, images, err)
			}
		})
	}
	last := gzipOf(plain)
	last[len(last)-5] ^= 1
	if _, err := Read(context.Background(), bytes.NewReader(last), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a wrong checksum: %v, want %v", err, ErrInvalid)
	}
	source := errors.New("input/output error")
	broken := io.MultiReader(bytes.NewReader(gzipOf(plain)[:300]), iotest.ErrReader(source))
	if _, err := Read(context.Background(), broken, nil); err != source {
		t.Errorf("source's error: %v, want it unchanged", err)
	}
}

// A decompression bomb cannot keep a reader busy for long.
func TestBomb(t *testing.T) {
	c := &content{packed: "zstd", source: &counter{}, given: freeInflated - 1000}
	c.source.read.Store(100)
	n, err := io.Copy(io.Discard, &inflated{c, zeros{}})
	if most := int64(1000 + 100*maxRatio); !errors.Is(err, ErrInvalid) || n > most {
		t.Errorf("%d bytes, %v, want at most %d and an ErrInvalid", n, err, most)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return min(len(p), 100), nil }

// An archive that is cut anywhere is an error, unless the cut is after its last
// member.
func TestTruncatedAnywhere(t *testing.T) {
	l := &layout{t: t}
	content := l.archive(l.index(l.image("linux", "amd64", "layer"), l.image("linux", "arm64", "layer")))
	for cut := range len(content) - 1024 - 512 {
		want := ErrTruncated
		if cut <= 3*sniffLen { // directories alone, as a tar of anything may have
			want = ErrNotArchive
		}
		both(t, content[:cut], func(how string, a *Archive, images []*Image, err error) {
			if !errors.Is(err, want) && !(cut > sniffLen && cut <= 3*sniffLen && errors.Is(err, ErrTruncated)) {
				t.Fatalf("%s: cut at %d: %v", how, cut, err)
			}
		})
	}
}

func TestReadStops(t *testing.T) {
	l := &layout{t: t}
	content := l.archive(l.image("linux", "amd64", "x"))
	stop := errors.New("registry is gone")
	if _, err := Read(context.Background(), bytes.NewReader(content), func(Blob) error { return stop }); err != stop {
		t.Errorf("callback's error: %v", err)
	}
	source := errors.New("input/output error")
	if _, err := Read(context.Background(), io.MultiReader(bytes.NewReader(content[:2000]), iotest.ErrReader(source)), nil); !errors.Is(err, source) || errors.Is(err, ErrTruncated) {
		t.Errorf("source's error: %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := Read(ctx, bytes.NewReader(content), func(Blob) error { cancel(stop); return nil })
	if !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
	var kept Blob
	if _, err := Read(context.Background(), bytes.NewReader(content), func(b Blob) error { kept = b; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("reading a blob that has passed: %v, want an error", err)
	}
}

// Open provides access to every blob, and reads no payload.
func TestOpenReadsHeadersOnly(t *testing.T) {
	l := &layout{t: t}
	layer := strings.Repeat("0123456789", 1_000_000)
	content := l.archive(l.manifest(l.blob(types.OCIConfigJSON, `{"os":"linux"}`), l.blob(types.OCILayer, layer)))
	counter := &countingAt{r: bytes.NewReader(content)}
	a, err := Open(counter, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if counter.n > 20_000 {
		t.Errorf("read %d bytes of an archive of %d", counter.n, len(content))
	}
	section, ok := a.Blob(digestOf(layer))
	if !ok {
		t.Fatal("the layer is missing")
	}
	got, err := io.ReadAll(Verify(section, digestOf(layer), section.Size()))
	if err != nil || string(got) != layer {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, ok := a.Blob(digestOf("x")); ok {
		t.Error("found a blob that does not exist")
	}
}

type countingAt struct {
	r io.ReaderAt
	n int
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += n
	return n, err
}

// Whatever the bytes: no panic, a known kind of error, and Read and Open agree
// on what both accept.
func FuzzRead(f *testing.F) {
	l := &layout{t: f}
	image := l.image("linux", "amd64", "layer")
	f.Add(l.archive(image))
	f.Add(l.archive(at(l.index(image), "v1")))
	f.Add(l.pack(`{"manifests":[{"size":-1,"digest":"sha256:00"}]}`))
	f.Add(makeTar(f, member{name: "manifest.json", body: "[]"}))
	f.Add([]byte("text"))
	f.Add(gzipOf(l.archive(image)))
	f.Add(zstdOf(f, l.archive(image)))
	f.Add(append(gzipOf(l.archive(image)), make([]byte, 512)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		content = slices.Clone(content) // the fuzzer keeps its own
		sumHeaders(content)
		a, err := Read(context.Background(), bytes.NewReader(content), func(b Blob) error {
			_, err := io.CopyN(io.Discard, b, b.Size/2)
			if errors.Is(err, ErrDigest) {
				err = nil
			}
			return err
		})
		if err != nil {
			known(t, err)
			return
		}
		for digest, raw := range a.JSON {
			if digest.Algorithm == "sha256" && digestOf(string(raw)) != digest {
				t.Fatalf("held %v with different content", digest)
			}
		}
		images, err := a.Images()
		if err != nil {
			known(t, err)
			return
		}
		again, err := Load(context.Background(), bytes.NewReader(content), int64(len(content)), nil, nil)
		if err != nil {
			t.Fatalf("Read accepts it, Load does not: %v", err)
		}
		if other, err := again.Images(); err != nil || len(other) != len(images) {
			t.Fatalf("Read: %d images, Load: %d, %v", len(images), len(other), err)
		}
	})
}

// sumHeaders recomputes the checksum of every tar header, so that the fuzzer's
// changes get past it.
func sumHeaders(content []byte) {
	for ; len(content) >= 512; content = content[512:] {
		if string(content[257:262]) != "ustar" {
			continue
		}
		copy(content[148:156], "        ")
		sum := 0
		for _, c := range content[:512] {
			sum += int(c)
		}
		copy(content[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
}

func known(t *testing.T, err error) {
	for _, kind := range []error{ErrNotArchive, ErrDockerArchive, ErrChartPackage, ErrTruncated, ErrInvalid, ErrDigest} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Fatalf("an error of no kind: %v", err)
}

// index.json and a manifest with any content: no panic, a known error, and
// consistent images.
func FuzzManifest(f *testing.F) {
	l := &layout{t: f}
	d := l.image("linux", "amd64", "layer")
	f.Add(toJSON(f, v1.IndexManifest{Manifests: []v1.Descriptor{d}}), `{"config":{},"layers":[]}`)
	f.Add(`{"manifests":[{"digest":"D","size":2}]}`, `{}`)
	f.Add(`{"manifests":[{"digest":"D","size":S,"mediaType":"application/vnd.oci.image.index.v1+json"}]}`, `{"manifests":[]}`)
	f.Fuzz(func(t *testing.T, index, manifest string) {
		l := &layout{t: t}
		l.blob("", manifest)
		index = strings.ReplaceAll(index, `"D"`, `"`+digestOf(manifest).String()+`"`)
		index = strings.ReplaceAll(index, `:S`, fmt.Sprint(":", len(manifest)))
		a, err := Open(bytes.NewReader(l.pack(index)), int64(len(l.pack(index))))
		if err != nil {
			known(t, err)
			return
		}
		images, err := a.Images()
		if err != nil {
			known(t, err)
			return
		}
		for _, i := range images {
			if i.Type == "" || len(i.Manifests) == 0 || i.Size < 0 || len(i.Missing) != len(i.MissingBlobs())+len(i.MissingManifests()) {
				t.Fatalf("%+v", i)
			}
			checkBottomUp(t, i)
		}
	})
}
