package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	standin "k0rdent-airgap/tests/k0s"
)

// TestLayers checks which images are accepted, and that an existing k0s survives
// the others.
func TestLayers(t *testing.T) {
	k := k0sFor(v132)
	good := k0sLayer(t, k)
	base := zipped(t, layerTar(t, member{name: "usr/", typ: tar.TypeDir}, member{name: "bin/sh", body: []byte("#!")}))
	layer := func(m ...member) []byte { return zipped(t, layerTar(t, m...)) }
	var packed bytes.Buffer
	z, _ := zstd.NewWriter(&packed)
	z.Write(layerTar(t, member{name: inImage, body: k}))
	z.Close()
	broken := bytes.Clone(good)
	broken[len(broken)-5] ^= 1 // in gzip's checksum
	for _, tt := range []struct {
		name   string
		layers [][]byte
		want   string // error; "" for none
	}{
		{"like the vendor's", [][]byte{base, good}, ""},
		{"not in the last layer", [][]byte{good, base}, ""},
		{"replaced by a later layer", [][]byte{k0sLayer(t, k0sFor(v133)), good, base}, ""},
		{"removed and restored", [][]byte{good, layer(member{name: "usr/local/bin/.wh.k0s"}), good}, ""},
		{"a layer that hides what is below itself", [][]byte{layer(member{name: "usr/local/bin/.wh..wh..opq"}, member{name: inImage, body: k})}, ""},
		{"name with a dot and slash", [][]byte{layer(member{name: "./usr//local/bin/k0s", body: k})}, ""},
		{"absolute name", [][]byte{layer(member{name: "/" + inImage, body: k})}, ""},
		{"zstd", [][]byte{base, packed.Bytes()}, ""},
		{"no compression", [][]byte{layerTar(t, member{name: inImage, body: k})}, ""},
		{"link in a layer below", [][]byte{layer(member{name: "usr/local/bin", typ: tar.TypeSymlink, link: "/opt"}), good}, ""},

		{"none", [][]byte{base}, "image does not contain usr/local/bin/k0s"},
		{"no layers", nil, "image does not contain usr/local/bin/k0s"},
		{"whiteout", [][]byte{good, layer(member{name: "usr/local/bin/.wh.k0s"})}, "removes it"},
		{"whiteout of a directory", [][]byte{good, layer(member{name: "usr/.wh.local"})}, "removes it"},
		{"opaque directory", [][]byte{good, layer(member{name: "usr/local/.wh..wh..opq"})}, "removes it"},
		{"opaque root", [][]byte{good, layer(member{name: ".wh..wh..opq"})}, "removes it"},
		{"symbolic link", [][]byte{layer(member{name: inImage, typ: tar.TypeSymlink, link: "/etc/shadow"})}, `a symbolic link to "/etc/shadow", not a plain file`},
		{"hard link", [][]byte{good, layer(member{name: inImage, typ: tar.TypeLink, link: "opt/k0s"})}, `a hard link to "opt/k0s", not a plain file`},
		{"device", [][]byte{layer(member{name: inImage, typ: tar.TypeChar})}, "a device or a pipe, not a plain file"},
		{"directory", [][]byte{layer(member{name: inImage + "/", typ: tar.TypeDir})}, "a directory, not a plain file"},
		{"its directory is a link", [][]byte{good, layer(member{name: "usr/local/bin", typ: tar.TypeSymlink, link: "/opt"})}, ", not a directory"},
		{"its directory is a file", [][]byte{good, layer(member{name: "usr", body: []byte("x")})}, ", not a directory"},
		{"name that leads out", [][]byte{layer(member{name: "../usr/local/bin/k0s", body: k})}, "unsafe name"},
		{"name that leads out later", [][]byte{layer(member{name: "usr/../../x", body: k}, member{name: inImage, body: k})}, "unsafe name"},
		{"twice", [][]byte{layer(member{name: inImage, body: k}, member{name: inImage, body: k})}, "duplicate entry"},
		{"a script", [][]byte{k0sLayer(t, []byte("#!/bin/sh\necho v1.32.8+k0s.0 and more\n"))}, "not a program for linux"},
		{"short", [][]byte{k0sLayer(t, []byte("\x7fELF"))}, "not a program for linux"},
		{"another architecture", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}, "wrong architecture: built for arm64, not for amd64"},
		{"claims 2 GiB", [][]byte{layerTar(t, member{name: inImage, body: k, size: 2 << 30})}, "2147483648 bytes, more than the limit of 1073741824"},
		{"cut off", [][]byte{zipped(t, layerTar(t, member{name: inImage, body: k})[:700])}, "unexpected EOF"},
		{"wrong checksum", [][]byte{broken}, "checksum"},
		{"no tar", [][]byte{zipped(t, bytes.Repeat([]byte("no tar "), 200))}, "layer 1 of 1"},
		{"gzip in name only", [][]byte{[]byte("\x1f\x8bno gzip at all, but something else")}, "layer 1 of 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			archive := blobsOf(platformImage{"amd64", tt.layers}).archive(t)
			for _, form := range forms {
				path := writeBundle(t, form, k0sAt(v132, archive))
				to := filepath.Join(t.TempDir(), "k0s")
				old := k0sFor("v1.31.0+k0s.0")
				writeFile(t, to, old, 0o755)
				_, _, err := run1(t, nil, "--to", to, path)
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("%s: %v, want none", form, err)
				case tt.want == "":
					checkFile(t, to, k)
				case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "k0sproject/k0s_v1.32.8-k0s.0.tar"):
					t.Errorf("%s: %v, want %q about the entry", form, err, tt.want)
				default:
					checkFile(t, to, old)
				}
				if got := names(t, filepath.Dir(to)); got != "k0s" {
					t.Errorf("%s: left behind: %s", form, got)
				}
			}
		})
	}
}

// TestDamage checks that bytes which do not match their digests are rejected.
func TestDamage(t *testing.T) {
	b := blobsOf(platformImage{"amd64", [][]byte{k0sLayer(t, k0sFor(v132))}})
	whole := b.archive(t)
	flipped := func(what []byte) []byte {
		p := bytes.Clone(whole)
		p[bytes.Index(p, what)+len(what)/2] ^= 0x40
		return p
	}
	layer, config := b.by[layerDigest(t, b)], []byte(`"architecture":"amd64"`)
	for name, tt := range map[string]struct {
		archive []byte
		want    string
	}{
		"bit in the layer":      {flipped(layer), "digest mismatch"},
		"bit in the config":     {flipped(config), "digest mismatch"},
		"ends in the layer":     {whole[:bytes.Index(whole, layer)+len(layer)/2], "truncated"},
		"ends before the index": {whole[:bytes.Index(whole, []byte("index.json"))], "truncated"},
		"no archive":            {[]byte("hello"), "not an OCI archive"},
		"without the layer":     {without(b, layerDigest(t, b)).archive(t), "is missing"},
		"without the manifest":  {without(b, b.top.Digest).archive(t), "lacks"},
	} {
		for _, form := range forms {
			to := filepath.Join(t.TempDir(), "k0s")
			writeFile(t, to, []byte("old"), 0o755)
			_, _, err := run1(t, nil, "--to", to, "--replace", writeBundle(t, form, k0sAt(v132, tt.archive)))
			if name == "bit in the config" && form != "tar.gz" && err == nil {
				continue // not read there: nothing in it is needed
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v, want %q", name, form, err, tt.want)
			}
			checkFile(t, to, []byte("old"))
			if got := names(t, filepath.Dir(to)); got != "k0s" {
				t.Errorf("%s, %s: left behind: %s", name, form, got)
			}
		}
	}
}

// TestDamagedBundle truncates or changes the outer file anywhere.
func TestDamagedBundle(t *testing.T) {
	path := writeBundle(t, "tar.gz", k0sAt(v132, image1(t, v132)), entry{"z_1.tar", bytes.Repeat([]byte("zyx"), 1000)})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "k0s")
	old := k0sFor("v1.31.0+k0s.0")
	writeFile(t, to, old, 0o755)
	for at := 20; at < len(whole); at += 97 {
		changed := bytes.Clone(whole)
		changed[at] ^= 4
		for what, p := range map[string][]byte{"cut off": whole[:at], "changed": changed} {
			if _, _, err := run1(t, bytes.NewReader(p), "--to", to, "-"); err == nil {
				t.Fatalf("%s at %d: no error", what, at)
			}
			checkFile(t, to, old)
			if got := names(t, filepath.Dir(to)); got != "k0s" {
				t.Fatalf("%s at %d: left behind: %s", what, at, got)
			}
		}
	}
}

func layerDigest(t *testing.T, b blobs) string {
	t.Helper()
	for d, p := range b.by {
		if bytes.HasPrefix(p, []byte("\x1f\x8b")) {
			return d
		}
	}
	t.Fatal("no layer")
	return ""
}

func without(b blobs, digest string) blobs {
	out := blobs{by: map[string][]byte{}, top: b.top}
	for d, p := range b.by {
		if d != digest {
			out.by[d] = p
		}
	}
	return out
}

// TestBomb checks that decompression bombs end at the budget of their archive.
func TestBomb(t *testing.T) {
	zeros := zipped(t, layerTar(t, member{name: "var/zeros", body: make([]byte, 1<<20)}))
	s := newScanner(nil)
	s.left = 3 << 19
	if l := s.scan(bytes.NewReader(zeros)); l.refused != nil {
		t.Errorf("first layer: %v, want it accepted", l.refused)
	}
	if l := s.scan(bytes.NewReader(zeros)); !errors.Is(l.refused, errInflated) {
		t.Errorf("second layer: %v, want an error", l.refused)
	}
}

// TestCandidates checks that an archive whose manifest comes last cannot fill the
// disk with many k0s, nor with those of other machines.
func TestCandidates(t *testing.T) {
	layers := [][]byte{}
	for _, v := range []string{"v1.1.1", "v1.1.2", "v1.1.3", "v1.1.4", "v1.1.5", "v1.1.6"} {
		layers = append(layers, k0sLayer(t, k0sFor(v)))
	}
	images := []platformImage{{"amd64", layers}, {"arm64", [][]byte{k0sLayer(t, standin.Program("arm64", v132))}}}
	dir := t.TempDir()
	w := &request{config: &config{platforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}}, to: filepath.Join(dir, "k0s")}}
	w.progress, w.log = cli.NewProgress("test", io.Discard, true), slog.New(slog.DiscardHandler)
	kept := func() int { return len(strings.Fields(names(t, dir))) }
	l := w.layers(t.Context(), nil)
	for i, content := range append(layers, images[1].layers...) {
		l.read[v1.Hash{Hex: fmt.Sprint(i)}] = l.scanner.scan(bytes.NewReader(content))
	}
	if kept() != maxCandidates {
		t.Errorf("%d kept, want %d", kept(), maxCandidates)
	}
	l.close()
	have, err := w.fromArchive(t.Context(), k0sEntry{}, bytes.NewReader(blobsOf(images...).archive(t)), "")
	if err != nil {
		t.Fatal(err)
	}
	// The order of layers follows their digests.
	if want := map[bool]int{true: 1, false: 0}[have[0].err == nil]; kept() != want {
		t.Errorf("%d kept, %v, want %d", kept(), have[0].err, want)
	}
	drop(have)
}

// FuzzScan checks that nothing is decompressed beyond the budget, and that a k0s
// that is found is complete.
func FuzzScan(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: inImage, Typeflag: tar.TypeReg, Size: 40, Mode: 0o755})
	w.Write(k0sFor(v132)[:40])
	w.WriteHeader(&tar.Header{Name: "usr/.wh.local", Typeflag: tar.TypeReg})
	w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x24\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		const budget = 1 << 20
		var got *sink
		s := newScanner(func(elf.Machine) (*sink, error) {
			got = newSink("/nowhere/k0s", true, func() error { return nil })
			return got, nil
		})
		s.left = budget
		l := s.scan(bytes.NewReader(p))
		if s.left < 0 {
			t.Errorf("inflated %d bytes beyond the budget", -s.left)
		}
		if l.program != nil && l.refused == nil && (got == nil || got.size != l.program.size) {
			t.Errorf("found %d bytes, got %+v", l.program.size, got)
		}
		if l.program == nil && l.refused == nil && got != nil {
			t.Error("bytes were written, but nothing was found")
		}
	})
}
