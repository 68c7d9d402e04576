package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestMarshalPutsKindFirstAndLeavesOutEmptyFields(t *testing.T) {
	tests := []struct {
		in   Record
		want string
	}{
		{Image{Entry: "a<b>&c", Size: 1}, `{"kind":"image","entry":"a<b>&c","size":1}`},
		{Image{Chart: &Chart{Name: "x"}, Status: StatusExists}, `{"kind":"image","chart":{"name":"x"},"status":"exists"}`},
		{Summary{Tool: "t", Counts: map[string]int{"pushed": 2, "failed": 1}}, `{"kind":"summary","tool":"t","counts":{"failed":1,"pushed":2}}`},
		{Bundle{}, `{"kind":"bundle"}`},
		{Step{Name: "k0s-start", Status: StatusDone, Seconds: 1.5}, `{"kind":"step","name":"k0s-start","status":"done","seconds":1.5}`},
		{File{Path: "/etc/k0s/certs.d/_default/hosts.toml", Mode: "0644", Size: 70, Status: StatusWritten}, `{"kind":"file","path":"/etc/k0s/certs.d/_default/hosts.toml","mode":"0644","size":70,"status":"written"}`},
	}
	for _, tt := range tests {
		got, err := Marshal(tt.in)
		if err != nil || string(got) != tt.want+"\n" {
			t.Errorf("Marshal(%+v) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestReadNamesTheBadLine(t *testing.T) {
	tests := []struct {
		name, in string
		kinds    string
		wantErr  string
	}{
		{"two records and a blank line", "{\"kind\":\"a\"}\n\n  {\"kind\":\"b\",\"x\":null}\r\n", "a b", ""},
		{"no line end at the end", `{"kind":"a"}`, "a", ""},
		{"a byte order mark", "\xef\xbb\xbf{\"kind\":\"a\"}\r\n{\"kind\":\"b\"}\r\n", "a b", ""},
		{"UTF-16", "\xff\xfe{\x00\"\x00k\x00i\x00n\x00d\x00\"\x00:\x00\"\x00a\x00\"\x00}\x00\n\x00", "a", ""},
		{"not JSON", "{\"kind\":\"a\"}\nhello\n", "a", "line 2: not a JSON record"},
		{"two values on a line", `{"kind":"a"} {"kind":"b"}`, "", "line 1: not a JSON record"},
		{"array", `[{"kind":"a"}]`, "", "line 1: not a JSON record"},
		{"no kind", `{"knd":"a"}`, "", "line 1: not a JSON record: no kind"},
		{"kind of another type", `{"kind":7}`, "", "line 1: not a JSON record"},
		{"truncated", `{"kind":"a"`, "", "line 1: not a JSON record"},
		{"too long", "{\"kind\":\"a\"}\n{\"kind\":\"" + strings.Repeat("x", MaxLine) + `"}`, "a", "line 2: longer than 1048576 bytes: not a JSON record"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var kinds []string
			var got error
			for l, err := range Read(strings.NewReader(tt.in)) {
				if err != nil {
					got = err
					break
				}
				kinds = append(kinds, l.Kind)
			}
			if strings.Join(kinds, " ") != tt.kinds {
				t.Errorf("kinds = %q, want %q", kinds, tt.kinds)
			}
			if tt.wantErr == "" && got != nil || tt.wantErr != "" && (got == nil || got.Error() != tt.wantErr || !errors.Is(got, ErrNotRecord)) {
				t.Errorf("error = %v, want %q", got, tt.wantErr)
			}
		})
	}
}

func TestPassKeepsBytes(t *testing.T) {
	in := "{\"kind\":\"new\", \"z\":1e3,\"a\":\"é\"}\n"
	var out bytes.Buffer
	w := NewWriter(&out, NewFormat(Image{}))
	for l, err := range Read(strings.NewReader(in)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Pass(l); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != in {
		t.Errorf("passed %q, want %q", out.String(), in)
	}
}

func TestFormat(t *testing.T) {
	image := Image{Repository: "x/y", Tag: "1", Type: "chart", Size: 21_900_000_000, Chart: &Chart{Name: "y"}}
	tests := []struct {
		format, want, wantErr string
	}{
		{"json", `{"kind":"image","repository":"x/y","tag":"1","type":"chart","size":21900000000,"chart":{"name":"y"}}` + "\n", ""},
		{"{{.repository}}:{{.tag}} {{.size}}", "x/y:1 21900000000\n", ""},
		{"{{.chart.name}} {{.chart.version}}|{{.warning}}|{{range .platforms}}x{{end}}", "y ||\n", ""},
		{"{{if gt .size 1000}}large{{end}}{{if .blobs}} has blobs{{end}}", "large\n", ""},
		{"{{.repositori}}", "", "unknown field repositori (did you mean repository?); image records have bundle entry"},
		{"{{.repository", "", "unclosed action"},
		{"yaml", "", "must be auto, json, table or a template such as '{{.bundle}}'"},
	}
	for _, tt := range tests {
		f := NewFormat(Image{})
		err := f.Set(tt.format)
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("Set(%q) = %v, want %q in it", tt.format, err, tt.wantErr)
			}
			continue
		}
		var out bytes.Buffer
		w := NewWriter(&out, f)
		if err := errors.Join(err, w.Write(image)); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v, %q, want %q", tt.format, err, out.String(), tt.want)
		}
	}
}

func TestTemplateShowsOnlyTheToolsOwnKind(t *testing.T) {
	f := NewFormat(Version{})
	if err := f.Set("{{.version}}"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, f)
	if err := errors.Join(w.Write(Bundle{Path: "/b"}), w.Pass(Line{Kind: "x", Raw: []byte(`{"kind":"x"}`)}), w.Write(Version{Version: "1.2.3"})); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "1.2.3\n" {
		t.Errorf("got %q, want one line", got)
	}
}

func TestTable(t *testing.T) {
	f := NewFormat(Image{}).Table("REFERENCE", "TYPE", "SIZE", "PLATFORMS")
	if err := f.Set("table"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, f)
	for _, r := range []Record{
		Image{Repository: "a/b", Tag: "1", Type: "index", Size: 1500, Platforms: []string{"linux/amd64", "linux/arm64"}},
		Skipped{Entry: "README", Size: 3, Reason: "text"},
		Summary{Tool: "bundle-ls", Counts: map[string]int{"image": 1, "skipped": 1}, Bytes: 1500, Seconds: 0.25},
	} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"REFERENCE TYPE SIZE PLATFORMS NOTE",
		"a/b:1 index 1.5 kB linux/amd64,linux/arm64 -",
		"README skipped 3 B - text",
		"bundle-ls: 1 image; 1 skipped; 1.5 kB in 0.2 s",
	}
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("line %d = %q, want %q", i+1, got, want[i])
		}
	}
}

func TestTableOfFiles(t *testing.T) {
	f := NewFormat(File{}).Table("PATH", "VERSION", "SIZE", "STATUS")
	if err := f.Set("table"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, f)
	for _, r := range []Record{
		File{Path: "/usr/local/bin/k0s", Mode: "0755", Size: 2000, Status: StatusUnchanged, Version: "v1.32.8+k0s.0", Platform: "linux/amd64"},
		File{Path: "/x", Status: StatusFailed, Error: "not ours"},
	} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	want := "PATH VERSION SIZE STATUS NOTE\n/usr/local/bin/k0s v1.32.8+k0s.0 2.0 kB unchanged -\n/x - 0 B failed not ours"
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableOfSteps(t *testing.T) {
	f := NewFormat(Step{}).Table("STEP", "STATUS", "SECONDS", "NOTE")
	if err := f.Set("table"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, f)
	for _, r := range []Record{
		Image{Reference: "10.0.0.5:5000/velero/velero:v1.17.0", Repository: "velero/velero", Tag: "v1.17.0", Status: StatusFailed, Error: "not in the registry"},
		Step{Name: "k0s.yaml", Status: StatusDone, Seconds: 0.04, Detail: "new"},
		File{Path: "/etc/k0s/k0s.yaml", Mode: "0600", Status: StatusWritten},
		Step{Name: "k0s-start", Status: StatusFailed, Detail: "d", Error: "no service"},
	} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	want := "STEP STATUS SECONDS NOTE\nimage failed - velero/velero:v1.17.0: not in the registry\n" +
		"k0s.yaml done 0.0 new\nfile written - /etc/k0s/k0s.yaml\nk0s-start failed 0.0 no service"
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBytes(t *testing.T) {
	tests := map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_999: "1.0 MB", 22e9: "22.0 GB", 1 << 62: "4.6 EB"}
	for in, want := range tests {
		if got := Bytes(in); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", in, got, want)
		}
	}
}

// Pass writes the records that Read accepts so that Read returns them again.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"kind":"image"}`, "\n\n", `{"kind":"a"}` + "\nx", `{"kind":""}`, "\xef\xbb\xbf{}", `{"kind":"a","kind":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		pass := func(in []byte) (out bytes.Buffer, n int) {
			w := NewWriter(&out, nil)
			for l, err := range Read(bytes.NewReader(in)) {
				if err != nil {
					return out, n
				}
				n++
				if err := w.Pass(l); err != nil {
					t.Fatal(err)
				}
			}
			return out, n
		}
		once, n := pass(in)
		twice, m := pass(once.Bytes())
		if n != m || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("%d records %q became %d records %q", n, once.Bytes(), m, twice.Bytes())
		}
	})
}
