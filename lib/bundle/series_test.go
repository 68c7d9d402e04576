package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cut writes b in parts of n bytes, and returns their paths.
func cut(t testing.TB, dir, name string, counters []string, b []byte, n int) (parts []string) {
	t.Helper()
	for i := 0; len(b) > 0; i++ {
		size := min(n, len(b))
		if i == len(counters)-1 {
			size = len(b)
		}
		path := filepath.Join(dir, name+counters[i])
		if err := os.WriteFile(path, b[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		parts, b = append(parts, path), b[size:]
	}
	return parts
}

// sumsOf writes a checksum file for the parts, as sha256sum does.
func sumsOf(t testing.TB, path string, parts []string) {
	t.Helper()
	var lines strings.Builder
	for _, part := range parts {
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%x  %s\r\n", sha256.Sum256(b), filepath.Base(part)) // as an editor of Windows saves it
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNextCounter(t *testing.T) {
	for _, tt := range []struct {
		counter string
		want    []string
	}{
		{"aa", []string{"ab"}}, {"az", []string{"ba"}}, {"yz", []string{"za", "zaaa"}}, {"zz", nil}, {"zyzz", []string{"zzaa", "zzaaaa"}},
		{"001", []string{"002"}}, {"09", []string{"10"}}, {"89", []string{"90", "9000"}}, {"9899", []string{"9900", "990000"}}, {"9", []string{"10"}},
	} {
		if got := next(tt.counter); !slices.Equal(got, tt.want) {
			t.Errorf("next(%q) = %q, want %q", tt.counter, got, tt.want)
		}
	}
}

// A series is found by any of its parts, whatever else is next to it.
func TestFindSeries(t *testing.T) {
	for _, tt := range []struct {
		names, by string
		want      string // the whole and its parts, or the start of an error
	}{
		{"b.tgz.part-aa b.tgz.part-ab b.tgz.sig b.tgz.sha256 c.tgz.part-aa", "b.tgz.part-aa", "b.tgz: b.tgz.part-aa b.tgz.part-ab"},
		{"b.tgz.part-aa b.tgz.part-ab", "b.tgz.part-ab", "b.tgz: b.tgz.part-aa b.tgz.part-ab"},
		{"b.tgz.001 b.tgz.002 b.tgz.003 b.tgz.sig b.tgz.part", "b.tgz.001", "b.tgz: b.tgz.001 b.tgz.002 b.tgz.003"},
		{"b.tgz.aa b.tgz.ab b.tgz.gz", "b.tgz.aa", "b.tgz: b.tgz.aa b.tgz.ab"},
		{"b.aaa b.aab b.sig b.asc", "b.aaa", "b: b.aaa b.aab"},
		{"b.00 b.01", "b.01", "b: b.00 b.01"},
		{"b.part1 b.part2 b.part10 b.part3 b.part4 b.part5 b.part6 b.part7 b.part8 b.part9", "b.part2",
			"b: b.part1 b.part2 b.part3 b.part4 b.part5 b.part6 b.part7 b.part8 b.part9 b.part10"},
		{"b-aa b-ab", "b-aa", "b: b-aa b-ab"},
		{"b.001", "b.001", "b: b.001"},
		{"B.TGZ.PART-AA B.TGZ.PART-AB", "B.TGZ.PART-AB", "B.TGZ: B.TGZ.PART-AA B.TGZ.PART-AB"},
		{"b.tgz.Part1 b.tgz.Part2 b.tgz.part3", "b.tgz.Part2", "b.tgz: b.tgz.Part1 b.tgz.Part2"},
		{"b.tgz.AA b.tgz.AC", "b.tgz.AA", "b.tgz.AB: missing, but b.tgz.AC exists"},
		{"b.tar.aa b.tar.ab b.tar.gz", "b.tar.gz", ""},
		{"b.tar.gz b.tar.sig", "b.tar.gz", ""},
		{"b.001 b.003 b.004", "b.001", "b.002: missing, but b.003 exists"},
		{"b.part-aa b.part-ac", "b.part-ac", "b.part-ab: missing, but b.part-ac exists"},
		{"b.002 b.003", "b.002", ""}, // a name like v1.002
		{"b.tgz.1 b.tgz.2", "b.tgz.1", ""},
		{"b.tgz b.tgz.1 b.tgz.2 b.tgz.10", "b.tgz.10", ""}, // wget's
		{"b.tgz b.tgz.aa", "b.tgz", ""},
		{"b.aa", "b.sig", ""},
		{"b.partial b.partiam", "b.partial", ""},
	} {
		dir := t.TempDir()
		for name := range strings.FieldsSeq(tt.names) {
			os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644)
		}
		s, err := FindSeries(filepath.Join(dir, tt.by))
		got := ""
		if s != nil {
			got = s.Whole + ": " + strings.Join(s.Parts, " ")
		}
		if err != nil {
			got = err.Error()
		}
		if got = strings.ReplaceAll(got, dir+"/", ""); got != tt.want {
			t.Errorf("%s by %s: %q, want %q", tt.names, tt.by, got, tt.want)
		}
		if err != nil && !errors.Is(err, ErrPart) {
			t.Errorf("%s: %v is not an ErrPart", tt.names, err)
		}
	}
}

// A counter may look like the ending of another file: b.tgz.gz is the 182nd part.
func TestManyParts(t *testing.T) {
	for _, tt := range []struct {
		name, mark string
		count      int
	}{{"b.tgz", ".", 250}, {"b", ".part-", 1000}, {"B.TGZ", ".", 200}} {
		dir, counter := t.TempDir(), "aa"
		name := partName{dir: dir + "/", whole: tt.name, mark: tt.mark, upper: tt.name == "B.TGZ"}
		var all []string
		for range tt.count {
			path := name.with(counter)
			os.WriteFile(path, []byte("x"), 0o644)
			counters := next(counter)
			all, counter = append(all, path), counters[len(counters)-1]
		}
		os.WriteFile(filepath.Join(dir, tt.name+".sig"), []byte("x"), 0o644)
		for _, by := range []string{all[0], all[181], all[len(all)-1]} {
			if s, err := FindSeries(by); err != nil || s == nil || !slices.Equal(s.Parts, all) {
				t.Errorf("%s, %d parts: %v, %v", by, tt.count, s, err)
			}
		}
		if s, err := JoinSeries(slices.Sorted(slices.Values(all))); err != nil || s == nil || !slices.Equal(s.Parts, all) {
			t.Errorf("%s: %v, %v", tt.name, s, err)
		}
		os.Remove(all[181])
		if _, err := FindSeries(all[0]); !errors.Is(err, ErrPart) || !strings.Contains(err.Error(), all[181]+": missing") {
			t.Errorf("without %s: %v", all[181], err)
		}
	}
}

// A series is the bundle that was cut, in each packing and with the digest of
// the whole.
func TestSeriesReadsAsWhole(t *testing.T) {
	tarred := makeTar(t, append(files("charts/k0rdent-enterprise_1.tar", "b/c.tar"), member{name: "noise.tar", body: noise(1 << 20)})...)
	counters := []string{"aa", "ab", "ac", "ad", "ae"}
	for format, b := range map[string][]byte{FormatTar: tarred, FormatTarGzip: gz(tarred), FormatTarZstd: zst(tarred)} {
		want, whole, err := list(write(t, "whole", b), nil, WithDigest())
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		parts := cut(t, dir, "b.part-", counters, b, 300_001)
		sumsOf(t, filepath.Join(dir, "b.sha256"), parts)
		for _, options := range [][]Option{nil, {WithDigest()}} {
			got, open, err := list(parts[1], nil, options...)
			if err != nil || !slices.Equal(got, want) || open.Format != format || open.Size != int64(len(b)) || open.Offset() != open.Size {
				t.Errorf("%s: %d entries, %s, size %d, offset %d, %v; want %d entries, size %d", format, len(got), open.Format, open.Size, open.Offset(), err, len(want), len(b))
			}
			if options != nil && open.Digest() != whole.Digest() {
				t.Errorf("%s: digest %s, want %s", format, open.Digest(), whole.Digest())
			}
		}
	}
}

// Parts on two media are read if all are named, in any order, and the path of
// such a series opens it again.
func TestSeriesOnTwoMedia(t *testing.T) {
	b := gz(makeTar(t, member{name: "noise.tar", body: noise(1 << 20)}))
	one, two := t.TempDir(), t.TempDir()
	parts := cut(t, one, "b.tgz.", []string{"001", "002", "003"}, b, 400_000)
	moved := filepath.Join(two, "b.tgz.002")
	if err := os.Rename(parts[1], moved); err != nil {
		t.Fatal(err)
	}
	if _, _, err := list(parts[0], nil); !errors.Is(err, ErrPart) || !strings.Contains(err.Error(), "b.tgz.002: missing, but b.tgz.003 exists") {
		t.Errorf("by the first part: %v, want that b.tgz.002 is missing", err)
	}
	s, err := JoinSeries([]string{parts[2], moved, parts[0]})
	if err != nil {
		t.Fatal(err)
	}
	path := s.Path()
	if want := parts[0] + ":" + moved + ":" + parts[2]; path != want || s.Whole != filepath.Join(one, "b.tgz") {
		t.Errorf("path %s of %s, want %s", path, s.Whole, want)
	}
	if got, _, err := list(path, nil); err != nil || len(got) != 1 {
		t.Errorf("by all parts: %d entries, %v", len(got), err)
	}
}

func TestJoinSeriesRefuses(t *testing.T) {
	for _, tt := range []struct{ paths, want string }{
		{"b.aa c.ab", "no series"}, {"b.aa b.txt", "no series"}, {"b.aa b.002", "no series"},
		{"b.ab b.ac", "b.aa: missing, but b.ab exists"}, {"b.aa b.ac", "b.ab: missing, but b.ac exists"},
		{"x/b.aa y/b.aa", "y/b.aa: the same part as x/b.aa"},
	} {
		s, err := JoinSeries(strings.Fields(tt.paths))
		got := "no series"
		if s != nil || err != nil {
			got = fmt.Sprint(err)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.paths, got, tt.want)
		}
	}
}

// A problem of a part is reported for that part.
func TestWrongParts(t *testing.T) {
	b := gz(makeTar(t, member{name: "a.tar", body: noise(2 << 20)}, member{name: "b.tar", body: noise(1 << 20)}))
	swap := func(a, b string) {
		os.Rename(a, a+".x")
		os.Rename(b, a)
		os.Rename(a+".x", b)
	}
	flip := func(path string) {
		f, _ := os.OpenFile(path, os.O_RDWR, 0)
		f.WriteAt([]byte("Nothing of the kind"), 1000)
		f.Close()
	}
	for _, tt := range []struct {
		name     string
		sums     bool // with a checksum file next to the parts
		harm     func(p []string)
		kind     error
		want     string // in the message
		wantPart int    // named in the message, from 1; 0 for none
	}{
		{"whole", true, func([]string) {}, nil, "", 0},
		{"empty part", false, func(p []string) { os.Truncate(p[1], 0) }, ErrPart, "the part is empty", 2},
		{"directory", false, func(p []string) { os.Remove(p[1]); os.Mkdir(p[1], 0o755) }, ErrPart, "is a directory", 2},
		{"gap", false, func(p []string) { os.Remove(p[1]) }, ErrPart, "missing, but b.tgz.part-ac exists", 2},
		{"last part missing", false, func(p []string) { os.Remove(p[3]) }, ErrTruncated, "truncated at byte 2400000 of the whole, in ", 3},
		{"last part missing, listed", true, func(p []string) { os.Remove(p[3]) }, ErrPart, "b.tgz.sha256 lists it", 4},
		{"left over", false, func(p []string) {
			os.WriteFile(strings.Replace(p[0], "-aa", "-ae", 1), []byte("of another series"), 0o644)
		}, ErrCorrupt, "part-ae", 0},
		{"left over, not listed", true, func(p []string) {
			os.WriteFile(strings.Replace(p[0], "-aa", "-ae", 1), []byte("of another series"), 0o644)
		}, ErrPart, "part-ae: not listed in ", 0},
		{"of another series", false, func(p []string) { x, _ := os.ReadFile(p[0]); os.WriteFile(p[2], x, 0o644) }, ErrPart, "begins a compressed file of its own", 3},
		{"swapped", false, func(p []string) { swap(p[1], p[2]) }, ErrCorrupt, "", 2},
		{"swapped, listed", true, func(p []string) { swap(p[1], p[2]) }, ErrPart, "has the content of b.tgz.part-ac", 2},
		{"swapped with the first", false, func(p []string) { swap(p[0], p[1]) }, ErrFormat, "not a bundle", 0},
		{"altered, listed", true, func(p []string) { flip(p[2]) }, ErrPart, "checksum mismatch: want ", 3},
		{"last one altered, listed", true, func(p []string) { flip(p[3]) }, ErrPart, "checksum mismatch: want ", 4},
	} {
		dir := t.TempDir()
		parts := cut(t, dir, "b.tgz.part-", []string{"aa", "ab", "ac", "ad"}, b, 800_000)
		if tt.sums {
			sumsOf(t, filepath.Join(dir, "b.tgz.sha256"), parts)
		}
		tt.harm(parts)
		_, _, err := list(parts[0], nil, WithDigest())
		if !errors.Is(err, tt.kind) || tt.kind == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.kind)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), tt.want) || tt.wantPart > 0 && !strings.Contains(err.Error(), parts[tt.wantPart-1])) {
			t.Errorf("%s: %v, want %q of part %d", tt.name, err, tt.want, tt.wantPart)
		}
	}
}

// A part that changes while the series is read is named.
func TestPartChanges(t *testing.T) {
	for name, change := range map[string]func(p []string){
		"the current one shrinks":  func(p []string) { os.Truncate(p[0], 500) },
		"the current one grows":    func(p []string) { os.WriteFile(p[0], make([]byte, 2000), 0o644) },
		"the next one shrinks":     func(p []string) { os.Truncate(p[1], 500) },
		"the next one is replaced": func(p []string) { os.Remove(p[1]); os.WriteFile(p[1], make([]byte, 1000), 0o644) },
		"the next one is removed":  func(p []string) { os.Remove(p[1]) },
	} {
		parts := cut(t, t.TempDir(), "b.", []string{"001", "002"}, []byte(noise(2000)), 1000)
		s, err := FindSeries(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		change(parts)
		_, err = io.Copy(io.Discard, r)
		want := parts[0]
		if strings.Contains(name, "next") {
			want = parts[1]
		}
		if at, ok := errors.AsType[*PartError](err); !ok || at.Part != want || !strings.Contains(at.Problem, "while") {
			t.Errorf("%s: %v, want a PartError of %s", name, err, want)
		}
		if r.Close(); r.file != nil {
			t.Errorf("%s: not closed", name)
		}
	}
}

// A file that FAT32 has cut off is truncated, and the error says where that
// comes from.
func TestFAT32(t *testing.T) {
	path := write(t, "b.tar", makeTar(t, member{name: "a.tar", body: "x"}))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header := makeTar(t, member{name: "b.tar", body: "x"})[:tarBlock]
	copy(header[124:136], fmt.Sprintf("%011o\x00", int64(5<<30))) // its size, and the sum of the header
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if _, err := f.WriteAt(header, 2*tarBlock); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(FAT32Max); err != nil { // a sparse file
		t.Fatal(err)
	}
	b, err := Open(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, err = range b.Entries(context.Background()) {
	}
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "truncated at byte 4294967295") || !strings.Contains(err.Error(), "FAT32") {
		t.Errorf("%v, want that FAT32 holds no more", err)
	}
}

// TestSplitList: on every system, the separator of a list may occur in a path.
func TestSplitList(t *testing.T) {
	unix := func(path string) bool { return strings.HasPrefix(path, "/") }
	windows := func(path string) bool {
		return strings.HasPrefix(path, `\\`) || len(path) > 2 && path[1:3] == `:\`
	}
	for _, tt := range []struct {
		list      string
		separator byte
		isAbs     func(string) bool
		want      []string
	}{
		{"/a/b.tgz.001", ':', unix, []string{"/a/b.tgz.001"}},
		{"/a/b.tgz.001:/c/b.tgz.002", ':', unix, []string{"/a/b.tgz.001", "/c/b.tgz.002"}},
		{"/a:b/b.tgz.001:/c/b.tgz.002", ':', unix, []string{"/a:b/b.tgz.001", "/c/b.tgz.002"}},
		{`E:\b.tgz.001;F:\b.tgz.002`, ';', windows, []string{`E:\b.tgz.001`, `F:\b.tgz.002`}},
		{`E:\a;b\b.tgz.001;\\server\share\b.tgz.002`, ';', windows, []string{`E:\a;b\b.tgz.001`, `\\server\share\b.tgz.002`}},
		{"", ':', unix, []string{""}},
	} {
		if got := splitList(tt.list, tt.separator, tt.isAbs); !slices.Equal(got, tt.want) {
			t.Errorf("splitList(%q) = %q, want %q", tt.list, got, tt.want)
		}
	}
}
