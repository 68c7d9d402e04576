package record

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// screen returns what records look like on a terminal of some width, with marks
// in place of colours.
func screen(t *testing.T, f *Format, width int, records ...any) string {
	t.Helper()
	var out bytes.Buffer
	w := NewScreenWriter(&out, f, Screen{Width: func() int { return width }, Mark: func(word string) string {
		if word == StatusFailed || word == SignatureGood {
			return "<" + word + ">"
		}
		return word
	}})
	for _, r := range records {
		if err := w.WriteAs(Bundle{Path: "x"}, r); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestScreenFitsItsWidth(t *testing.T) {
	long := "k0rdent-enterprise/capi/cluster-api-provider-k0sproject-k0smotron-components"
	records := []any{
		Image{Repository: long, Tag: "v1.9.0", Type: "artifact", Size: 12_300_000, Status: StatusPushed, Platforms: []string{"linux/amd64", "linux/arm64"}},
		Image{Repository: "a", Digest: "sha256:" + strings.Repeat("0", 64), Type: "image", Size: 1, Status: StatusFailed, Error: strings.Repeat("what went wrong ", 9)},
		Skipped{Entry: "README.txt", Size: 3, Reason: "text"},
		Step{Name: "k0s.yaml", Status: StatusDone, Detail: strings.Repeat("a detail that is long, ", 9)},
		File{Path: "/etc/k0s/" + strings.Repeat("containerd.d/", 12) + "k0rdent.toml", Size: 1, Status: StatusPlanned, Version: "v1.32.8+k0s.0", Platform: "linux/amd64"},
		Summary{Tool: "oci-push", Counts: map[string]int{"pushed": 60, "exists": 2, "failed": 1, "skipped": 3}, Bytes: 12_300_000, Seconds: 7},
		Sentence("good: bundle.tgz is what the owner of cosign.pub signed"),
	}
	for _, titles := range [][]string{
		{"REFERENCE", "TYPE", "SIZE", "PLATFORMS"}, {"REFERENCE", "SIZE", "STATUS"}, {"PATH", "VERSION", "PLATFORM", "SIZE", "STATUS"}, {"STEP", "STATUS", "SECONDS", "NOTE"},
	} {
		for _, width := range []int{20, 40, 80, 120, 300} {
			text := screen(t, NewFormat(Image{}).Table(titles...), width, records...)
			for line := range strings.Lines(text) {
				line = strings.NewReplacer("<", "", ">", "", "\n", "").Replace(line)
				if n := utf8.RuneCountInString(line); n > max(width, 26) {
					t.Errorf("%v in %d columns has a line of %d: %q", titles, width, n, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("%v in %d columns has a line with blanks at its end: %q", titles, width, line)
				}
			}
		}
	}
}

func TestScreen(t *testing.T) {
	image := Image{Reference: "localhost:5000/x/a/b:1", Registry: "localhost:5000", Repository: "a/b", Tag: "1", Size: 1500, Status: StatusFailed, Error: "no"}
	for _, tt := range []struct {
		name   string
		titles []string
		format string
		width  int
		in     []any
		want   string
	}{
		{"a table without what stderr has", []string{"REFERENCE", "SIZE", "STATUS"}, "auto", 40, []any{image, Skipped{Entry: "README", Size: 3}},
			"REFERENCE                      STATUS\n" +
				"a/b:1                          <failed>\n" +
				"README                         skipped\n"},
		{"a note in lines of its own column", []string{"STEP", "STATUS", "SECONDS", "NOTE"}, "auto", 70,
			[]any{Step{Name: "k0s.yaml", Status: StatusDone, Seconds: 1.25, Detail: "one two three four five six seven eight nine ten"}, File{Path: "/etc/k0s/k0s.yaml", Status: StatusWritten}},
			"STEP           STATUS     SECONDS  NOTE\n" +
				"k0s.yaml       done           1.2  one two three four five six seven\n" +
				"                                   eight nine ten\n" +
				"  file         written             /etc/k0s/k0s.yaml\n"},
		{"a sentence", nil, "auto", 20, []any{Sentence("good: as it was signed"), Bundle{Path: "x"}}, "<good>: as it was\n  signed\n"},
		{"what a bundle sends", nil, "auto", 80, []any{Sentence("a\x1b[2Jb\nc\u009b\u202e")}, "a?[2Jb?c??\n"},
		{"JSON", nil, "json", 80, []any{Bundle{Path: "x"}}, `{"kind":"bundle","path":"x"}` + "\n"},
		{"a template", nil, "{{.path}}", 80, []any{Bundle{Path: "x"}}, "x\n"},
	} {
		main := Bundle{}
		f := NewFormat(main).Table(tt.titles...)
		if err := f.Set(tt.format); err != nil {
			t.Fatal(err)
		}
		if got := screen(t, f, tt.width, tt.in...); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// TestAside: who sees only stderr reads sentences and summaries there, in every
// format, and stdout has what it always has.
func TestAside(t *testing.T) {
	for _, format := range []string{"auto", "json", "{{.path}}"} {
		f := NewFormat(Bundle{})
		if err := f.Set(format); err != nil {
			t.Fatal(err)
		}
		var out, with, aside bytes.Buffer
		for _, w := range []*Writer{NewWriter(&out, f), NewWriter(&with, f)} {
			if w.w == &with {
				w.Aside(&aside)
			}
			if err := w.WriteAs(Bundle{Path: "x"}, Sentence("good: x")); err != nil {
				t.Fatal(err)
			}
			if err := w.Write(Summary{Tool: "t", Counts: map[string]int{"done": 1}}); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != with.String() || out.Len() == 0 {
			t.Errorf("%s: wrote %q, want %q", format, with.String(), out.String())
		}
		if want := "good: x\nt: 1 done in 0.0 s\n"; aside.String() != want {
			t.Errorf("%s: %q aside, want %q", format, aside.String(), want)
		}
	}
}
