package bundle

import (
	"bytes"
	"errors"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func small() []member {
	return append(files("capi/a_1.tar", "charts/k0rdent-enterprise_1.tar"),
		member{name: "noise_1.tar", body: noise(1300)}, member{name: "zeros_1.tar", body: string(make([]byte, 2000))})
}

// Wherever a bundle is cut, the error says that it is truncated and at which
// byte, and no partial entry is yielded.
func TestTruncatedAnywhere(t *testing.T) {
	raw := makeTar(t, small()...)
	marker := len(raw) - 1024
	for name, content := range map[string][]byte{
		"gzip": gz(raw), "gzip of members": gzMembers(raw, 2500), "zstd": zst(raw), "tar": raw,
	} {
		for cut := 0; cut < len(content); cut++ {
			if name == "tar" && cut >= marker+tarBlock {
				break // the second block of the marker is missed by nobody
			}
			if name != "tar" && cut%37 != 0 && cut < len(content)-30 {
				continue
			}
			for _, r := range []string{"file", "pipe"} {
				var all []got
				var err error
				if r == "pipe" {
					all, _, err = list("-", bytes.NewReader(content[:cut]))
				} else if cut%7 == 0 {
					all, _, err = list(write(t, "b", content[:cut]), nil)
				} else {
					continue
				}
				damage, damaged := errors.AsType[*DamageError](err)
				switch {
				case (cut == 0 || name == "tar" && cut < tarBlock) && errors.Is(err, ErrFormat): // too short to tell what it was
				case !errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt):
					t.Fatalf("%s cut at %d of %d: %v, want ErrTruncated", name, cut, len(content), err)
				case !damaged || damage.Offset != int64(cut):
					t.Fatalf("%s cut at %d: %v, which names another offset", name, cut, err)
				}
				for i, g := range all {
					if g.body != small()[i].body {
						t.Fatalf("%s cut at %d: entry %s was yielded with other content", name, cut, g.path)
					}
				}
			}
		}
	}
}

func TestTruncatedNamesTheEntry(t *testing.T) {
	raw := makeTar(t, append(files("a_1.tar"), member{name: "big_1.tar", body: noise(3 << 20)})...)
	for name, content := range map[string][]byte{"gzip": gz(raw), "zstd": zst(raw), "tar": raw} {
		_, _, err := list(write(t, "b", content[:2<<20]), nil)
		damage, damaged := errors.AsType[*DamageError](err)
		if !damaged || damage.Entry != "big_1.tar" || damage.Kind != ErrTruncated {
			t.Errorf("%s: %v, want big_1.tar named", name, err)
		}
		if want := "truncated at byte 2097152, in the middle of entry big_1.tar"; err.Error() != want {
			t.Errorf("%s: %q, want %q", name, err, want)
		}
	}
}

// A flipped bit never goes unnoticed: compressed formats have a checksum.
func TestFlippedBits(t *testing.T) {
	raw := makeTar(t, small()...)
	for name, content := range map[string][]byte{"gzip": gz(raw), "zstd": zst(raw)} {
		for i := 0; i < len(content); i += 7 {
			bad := slices.Clone(content)
			bad[i] ^= 1 << (i % 8)
			all, _, err := list("-", bytes.NewReader(bad))
			if err == nil {
				if !slices.EqualFunc(all, small(), func(g got, m member) bool { return g.body == m.body }) {
					t.Fatalf("%s, byte %d: wrong content and no error", name, i)
				}
				continue // a bit that means nothing
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrEntry) {
				t.Fatalf("%s, byte %d: %v, which is no kind of damage", name, i, err)
			}
		}
	}
}

func TestCorrupt(t *testing.T) {
	raw := makeTar(t, small()...)
	flip := func(b []byte, i int) []byte {
		b = slices.Clone(b)
		b[i] ^= 0x40
		return b
	}
	big := gzMembers(makeTar(t, member{name: "big_1.tar", body: noise(3 << 20)}), 200_000)
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"gzip checksum", flip(gz(raw), len(gz(raw))-6), "checksum"},
		{"text after gzip", append(gz(raw), "and some more"...), "gzip: invalid header"},
		{"text after zeros after gzip", append(append(gz(raw), make([]byte, 512)...), 'x'), "gzip: invalid header"},
		{"text after zeros after zstd", append(append(zst(raw), make([]byte, 512)...), 'x'), "magic number"},
		{"text after zstd", append(zst(raw), "and more"...), "near byte"},
		{"second tar", append(slices.Clone(raw), raw...), "data after the end"},
		{"second tar in gzip", append(gz(raw), gz(raw)...), "data after the end"},
		{"text after tar", append(slices.Clone(raw), 'x'), "data after the end"},
		{"a tar header", flip(raw, 1024+20), "invalid tar header"},
		{"where", flip(big, 2<<20), "in the middle of entry big_1.tar"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := list(write(t, "b", tt.content), nil)
			if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an ErrCorrupt with %q", err, tt.want)
			}
		})
	}
}

// Tape writers pad the last record with zeros.
func TestZerosBehindZstd(t *testing.T) {
	content := append(zst(makeTar(t, small()...)), zst(nil)...)
	for _, n := range []int{4, 512, 10239, 1 << 20} {
		all, _, err := list(write(t, "b", append(slices.Clone(content), make([]byte, n)...)), nil)
		if err != nil || len(all) != len(small()) {
			t.Errorf("%d zeros: %d entries and %v, want %d and no error", n, len(all), err, len(small()))
		}
	}
}

// An entry that inflates to a thousand times its compressed size is never held.
func TestBombIsNotHeld(t *testing.T) {
	const size = 64 << 20
	raw := makeTar(t, member{name: "bomb_1.tar", body: string(make([]byte, size))})
	for name, content := range map[string][]byte{"gzip": gz(raw), "zstd": zst(raw)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		b, err := Open(t.Context(), "-", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range b.Entries(t.Context()) {
			if err != nil || e.Size != size {
				t.Errorf("%s: %d bytes, %v", name, e.Size, err)
			}
		}
		b.Close()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > size/2 {
			t.Errorf("%s: allocated %d bytes, want at most half of the entry", name, n)
		}
	}
}

// Without the end-of-archive marker, entries may be missing.
func TestNoEndMarker(t *testing.T) {
	raw := makeTar(t, small()...)
	cut := raw[:len(raw)-1024]
	for name, content := range map[string][]byte{"gzip": gz(cut), "zstd": zst(cut), "tar": cut} {
		all, _, err := list(write(t, "b", content), nil)
		if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "end-of-archive") {
			t.Errorf("%s: %v, want ErrTruncated", name, err)
		}
		if len(all) != len(small()) {
			t.Errorf("%s: %d entries, want all %d", name, len(all), len(small()))
		}
	}
}

// Whatever the bytes, a walk ends, yields only clean and distinct names, and
// its errors are those of the package.
func FuzzEntries(f *testing.F) {
	raw := makeTar(f, small()...)
	f.Add(raw)
	f.Add(raw[:2000])
	f.Add(gz(raw))
	f.Add(gzMembers(raw, 4000))
	f.Add(zst(raw))
	f.Add(makeTar(f, files("x/charts/k0rdent-enterprise_1.tar", "./a_1.tar", "x/")...))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<16 {
			return
		}
		content = slices.Clone(content) // the fuzzer keeps its own
		sumHeaders(content)
		all, _, err := list("-", bytes.NewReader(content))
		seen := map[string]bool{}
		for _, g := range all {
			if seen[g.path] || g.path != path.Clean(g.path) || path.IsAbs(g.path) || g.path == ".." || strings.HasPrefix(g.path, "../") {
				t.Fatalf("yielded %q", g.path)
			}
			seen[g.path] = true
		}
		if err == nil {
			return
		}
		for _, kind := range []error{ErrTruncated, ErrCorrupt, ErrFormat, ErrEntry, ErrLayout} {
			if errors.Is(err, kind) {
				return
			}
		}
		t.Fatalf("an error of no kind: %v", err)
	})
}
