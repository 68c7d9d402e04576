package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func writeHeader(t testing.TB, buf *bytes.Buffer, name string, size int64) {
	t.Helper()
	w := tar.NewWriter(buf)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
}

func TestRoot(t *testing.T) {
	const chart = "charts/k0rdent-enterprise_1.2.3.tar"
	for _, tt := range []struct {
		name   string
		file   string // the bundle's name
		in     []string
		want   []string // nil: ErrLayout
		seeing []string // where all is seen first, if that is not the same
		late   bool     // ErrLayout for what can only be read on
	}{
		{"at the top", "b", []string{"capi/a_1.tar", chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"./", "b", []string{"./", "./capi/a_1.tar", "./" + chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"vendor's name", "b", []string{"airgap-bundle-1.2.3/capi/a_1.tar", "airgap-bundle-1.2.3/" + chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"./ and vendor's name", "b", []string{"./airgap-bundle/", "./airgap-bundle/" + chart}, []string{chart}, nil, false},
		{"the file's name", "mine.tar.gz", []string{"mine/capi/a_1.tar", "mine/" + chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"charts first", "b", []string{"x/charts/", "x/capi/a_1.tar", "x/" + chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"chart first", "b", []string{"x/" + chart, "x/capi/a_1.tar"}, []string{chart, "capi/a_1.tar"}, nil, false},
		{"chart with a colon", "b", []string{"x/charts/k0rdent-enterprise:1.tar"}, []string{"charts/k0rdent-enterprise:1.tar"}, nil, false},
		{"another chart first", "b", []string{"x/charts/kcm_1.tar"}, []string{"charts/kcm_1.tar"}, nil, false},
		{"no product's chart", "b", []string{"charts/kcm_1.tar", "charts/x_1.tar"}, []string{"charts/kcm_1.tar", "charts/x_1.tar"}, nil, false},
		{"charts in charts", "b", []string{"charts/charts/x_1.tar"}, []string{"charts/charts/x_1.tar"}, nil, false},
		{"one directory of no special name", "b", []string{"capi/a_1.tar"}, []string{"capi/a_1.tar"}, nil, false},
		{"files next to the directory", "b", []string{"._airgap-bundle", "airgap-bundle/" + chart, "README"}, []string{"._airgap-bundle", chart, "README"}, nil, false},
		{"chart late", "b", []string{"x/capi/a_1.tar", "x/" + chart}, []string{"capi/a_1.tar", chart}, nil, true},
		{"chart at the top too late", "b", []string{"airgap-bundle/capi/a_1.tar", chart}, nil, []string{"airgap-bundle/capi/a_1.tar", chart}, false},
		{"two levels deep", "b", []string{"srv/airgap-bundle-1.2.3/", "srv/airgap-bundle-1.2.3/capi/a_1.tar", "srv/airgap-bundle-1.2.3/" + chart}, []string{"capi/a_1.tar", chart}, nil, false},
		{"three levels deep, chart first", "b", []string{"srv/x/y/" + chart, "srv/x/y/capi/a_1.tar"}, []string{chart, "capi/a_1.tar"}, nil, false},
		{"deep, below no special name, chart last", "b", []string{"srv/x/capi/a_1.tar", "srv/x/b_1.tar", "srv/x/" + chart}, []string{"capi/a_1.tar", "b_1.tar", chart}, nil, true},
		{"deep, a file next to it", "b", []string{"README", "srv/x/capi/a_1.tar", "srv/x/" + chart}, []string{"README", "capi/a_1.tar", chart}, nil, true},
		{"deep, and archives next to it", "b", []string{"srv/x/" + chart, "srv/y/a_1.tar"}, []string{chart, "srv/y/a_1.tar"}, nil, false},
		{"directory called charts elsewhere", "b", []string{"capi/charts/x_1.tar", "velero/a_1.tar", chart}, nil, []string{"capi/charts/x_1.tar", "velero/a_1.tar", chart}, false},
		{"two bundles", "b", []string{"a/" + chart, "b/" + chart}, nil, nil, false},
		{"two bundles, one in the other", "b", []string{chart, "old/" + chart}, nil, nil, false},
		{"two charts of one bundle", "b", []string{"x/" + chart, "x/charts/k0rdent-enterprise_1.2.4.tar"}, []string{chart, "charts/k0rdent-enterprise_1.2.4.tar"}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := makeTar(t, files(tt.in...)...)
			check := func(how, path string, stdin io.Reader, want []string) {
				t.Helper()
				all, _, err := list(path, stdin)
				if want == nil && !errors.Is(err, ErrLayout) {
					t.Errorf("%s: %q, %v, want ErrLayout", how, paths(all), err)
				}
				if want != nil && (err != nil || !slices.Equal(paths(all), want)) {
					t.Errorf("%s: %q, %v, want %q", how, paths(all), err, want)
				}
			}
			check("gzip", write(t, tt.file, gz(raw)), nil, tt.want)
			if tt.late {
				check("pipe", "-", bytes.NewReader(raw), nil)
			} else if tt.file == "b" { // a pipe has no name
				check("pipe", "-", bytes.NewReader(raw), tt.want)
			}
			if tt.seeing != nil {
				tt.want = tt.seeing
			}
			check("tar", write(t, tt.file, raw), nil, tt.want)
			switch tt.name { // a directory's root is the bundle's
			case "files next to the directory", "deep, and archives next to it":
				tt.want = []string{chart}
			case "deep, a file next to it":
				tt.want = tt.want[1:]
			}
			slices.Sort(tt.want)
			check("directory", writeDir(t, files(tt.in...)...), nil, tt.want)
		})
	}
}

// Archivers write more than files and directories: harmless entries are
// ignored, and unreadable ones come with a remedy.
func TestForeignTypes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		add    member
		remedy string // "" if it is not an error
	}{
		{"volume label", member{name: "BACKUP of ../ Monday", kind: 'V'}, ""},
		{"incremental directory", member{name: "capi/", kind: 'D', body: "Yfile\x00\x00"}, ""},
		{"contiguous file", member{name: "good_2.tar", kind: tar.TypeCont}, ""},
		{"a file linked to itself", member{name: "./good_1.tar", kind: tar.TypeLink, link: "good_1.tar"}, ""},
		{"hard link", member{name: "l_1.tar", kind: tar.TypeLink, link: "good_1.tar"}, "--hard-dereference"},
		{"symbolic link", member{name: "l_1.tar", kind: tar.TypeSymlink, link: "good_1.tar"}, "--dereference"},
		{"second volume", member{name: "m_1.tar", kind: 'M'}, "multi-volume"},
		{"absolute name", member{name: "/a_1.tar"}, "-C DIR"},
		{"backslash", member{name: `charts\a_1.tar`}, "writes / between"},
		{"drive letter", member{name: "C:/charts/a_1.tar"}, "within the directory"},
	} {
		raw := makeTar(t, member{name: "good_1.tar", body: "x"}, tt.add, member{name: "after_1.tar"})
		for how, content := range map[string][]byte{"tar": raw, "gzip": gz(raw)} {
			all, _, err := list(write(t, "b", content), nil)
			refused, _ := errors.AsType[*EntryError](err)
			if (refused == nil) != (tt.remedy == "") || refused != nil && !strings.Contains(refused.Remedy, tt.remedy) {
				t.Errorf("%s: %s: %v, want the remedy %q", tt.name, how, err, tt.remedy)
			}
			if all[0].path != "good_1.tar" || all[len(all)-1].path != "after_1.tar" {
				t.Errorf("%s: %s: gave out %q", tt.name, how, paths(all))
			}
		}
	}
}

func TestHostileEntries(t *testing.T) {
	for _, tt := range []struct {
		member
		want string
	}{
		{member{name: "/etc/cron.d/x"}, "absolute"},
		{member{name: "../x"}, "outside the bundle"},
		{member{name: `..\x_1.tar`}, "backslash"},
		{member{name: `C:\x_1.tar`}, "backslash"},
		{member{name: "c:"}, "drive letter"},
		{member{name: "a/../../x"}, "outside the bundle"},
		{member{name: "a/.."}, "outside the bundle"},
		{member{name: "a\x1b[2J_1.tar"}, "control"},
		{member{name: "a\nb_1.tar"}, "control"},
		{member{name: "a\u009b_1.tar"}, "control"},
		{member{name: strings.Repeat("d/", 600) + "x"}, "longer"},
		{member{name: "l_1.tar", kind: tar.TypeSymlink}, "symbolic link"},
		{member{name: "l_1.tar", kind: tar.TypeLink}, "hard link"},
		{member{name: "dev", kind: tar.TypeChar}, "device"},
		{member{name: "fifo", kind: tar.TypeFifo}, "pipe"},
		{member{name: "good_1.tar"}, "twice"},
		{member{name: "./good_1.tar"}, "twice"},
	} {
		t.Run(fmt.Sprintf("%.40q", tt.name), func(t *testing.T) {
			raw := makeTar(t, member{name: "good_1.tar", body: "x"}, tt.member, member{name: "after_1.tar"})
			for how, content := range map[string][]byte{"tar": raw, "gzip": gz(raw)} {
				all, _, err := list(write(t, "b", content), nil)
				if !errors.Is(err, ErrEntry) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v, want an ErrEntry with %q", how, err, tt.want)
				}
				if want := []string{"good_1.tar", "after_1.tar"}; !slices.Equal(paths(all), want) {
					t.Errorf("%s: gave out %q, want %q", how, paths(all), want)
				}
			}
		})
	}
	for name, header := range map[string]string{"empty": "", "not UTF-8": "a\xff_1.tar"} {
		raw := makeTar(t, member{name: "good_1.tar", body: "x"})
		copy(raw[:100], make([]byte, 100))
		copy(raw[:100], header)
		sumHeader(raw)
		if _, _, err := list(write(t, "b", raw), nil); !errors.Is(err, ErrEntry) {
			t.Errorf("%s name: %v, want ErrEntry", name, err)
		}
	}
}

// sumHeaders recomputes the checksum of every header, so that the fuzzer's
// changes get past it.
func sumHeaders(raw []byte) {
	for ; len(raw) >= tarBlock; raw = raw[tarBlock:] {
		if string(raw[257:262]) == "ustar" {
			sumHeader(raw)
		}
	}
}

// sumHeader recomputes the first header's checksum.
func sumHeader(raw []byte) {
	copy(raw[148:156], "        ")
	sum := 0
	for _, c := range raw[:512] {
		sum += int(c)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// A sparse file claims exabytes in one kilobyte.
func TestSparse(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	h := &tar.Header{Name: "GNUSparseFile.0/x", Size: 512, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	w.Write(append([]byte("1\n0\n0\n"), make([]byte, 506)...))
	w.Close()
	// The writer refuses these records, so they are put in by hand.
	records := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=x_1\n40 GNU.sparse.realsize=9000000000000000\n"
	pax := makeTar(t, member{name: "PaxHeaders/x", body: records})
	pax = pax[:1024]
	pax[156] = 'x'
	sumHeader(pax)
	_, _, err := list(write(t, "b", append(pax, buf.Bytes()...)), nil)
	if refused, ok := errors.AsType[*EntryError](err); !ok || refused.Problem != "a sparse file" || !strings.Contains(refused.Remedy, "--sparse") {
		t.Errorf("%v, want an EntryError about a sparse file", err)
	}
}

func TestTooManyEntries(t *testing.T) {
	n := names{}
	for i := range maxEntries {
		if err := n.add(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.add("one more"); !errors.Is(err, ErrFormat) {
		t.Errorf("%v, want ErrFormat, which ends the walk", err)
	}
}
