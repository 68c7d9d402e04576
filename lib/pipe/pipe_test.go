package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// collect runs Bundles and records what had been written when each bundle was
// yielded.
func collect(ctx context.Context, operand string, stdin io.Reader) (paths, before []string, out string, err error) {
	var buf bytes.Buffer
	for b, err := range (Reader{Out: record.NewWriter(&buf, nil)}).Bundles(ctx, operand, stdin) {
		if err != nil {
			return paths, before, buf.String(), err
		}
		paths, before = append(paths, b.Path), append(before, buf.String())
	}
	return paths, before, buf.String(), nil
}

func TestOperand(t *testing.T) {
	dir, _ := os.Getwd()
	for operand, want := range map[string]string{"-": "-", "b.tgz": filepath.Join(dir, "b.tgz"), "/x/../b": "/b"} {
		paths, _, _, err := collect(context.Background(), operand, strings.NewReader("not records"))
		if err != nil || !slices.Equal(paths, []string{want}) {
			t.Errorf("%s: %q, %v, want %s", operand, paths, err, want)
		}
	}
}

func TestRecords(t *testing.T) {
	const note = `{"kind":"note",  "text":"<&>"}` + "\n"
	const one = `{"kind":"bundle","path":"/one","signature":"good"}` + "\n"
	const bad = `{"kind":"bundle","path":"/b","signature":"bad"}` + "\n"
	const two = `{"path":"/two","kind":"bundle","later":1}` + "\n"
	paths, before, out, err := collect(context.Background(), "", strings.NewReader(note+one+note+two+note))
	if err != nil || !slices.Equal(paths, []string{"/one", "/two"}) {
		t.Fatalf("%q, %v", paths, err)
	}
	if want := []string{note + one, note + one + note + two}; !slices.Equal(before, want) {
		t.Errorf("written before each bundle: %q, want %q", before, want)
	}
	if want := note + one + note + two + note; out != want {
		t.Errorf("passed %q, want %q", out, want)
	}
	for _, tt := range []struct{ stdin, want, out string }{
		{"", "no records", ""},
		{note, "no bundle record", note},
		{note + "text\n", "line 2: not a JSON record", note},
		{bad + note, "bundle /b: its signature is bad", bad},
		{`{"kind":"bundle","path":"-"}`, "cannot be read again", ""},
		{`{"kind":"bundle"}`, "without a path", ""},
		{`{"kind":"bundle","path":7}`, "line 1: bundle record", ""},
	} {
		paths, _, out, err := collect(context.Background(), "", strings.NewReader(tt.stdin))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(paths) > 0 || tt.out != "" && out != tt.out {
			t.Errorf("%q: %q, %v, wrote %q, want an error with %q", tt.stdin, paths, err, out, tt.want)
		}
	}
}

// TestUnverified: a verification without a result ends the run like a bad
// signature, with its reason. bundle-verify has printed the hint.
func TestUnverified(t *testing.T) {
	for line, want := range map[string]string{
		`{"kind":"bundle","path":"/b","signature":"unknown","error":"no such key"}`: "bundle /b: it could not be verified: no such key",
		`{"kind":"bundle","signature":"unknown"}`:                                   "bundle: it could not be verified",
	} {
		var out bytes.Buffer
		var failed error
		for _, err := range (Reader{Out: record.NewWriter(&out, nil)}).Records(t.Context(), strings.NewReader(line+"\n")) {
			failed = err
		}
		if !errors.Is(failed, ErrUnverified) || failed.Error() != want || cli.HintOf(failed) != "" || out.String() != line+"\n" {
			t.Errorf("%v, wrote %q, want %s", failed, out.String(), want)
		}
	}
}

// TestEveryRecord: a tool that reads other kinds gets them, up to a bad
// signature, whose record is not yielded, and whose hint bundle-verify has printed.
func TestEveryRecord(t *testing.T) {
	const note, bad = `{"kind":"note"}`, `{"kind":"bundle","path":"/b","signature":"bad"}`
	var out bytes.Buffer
	var kinds []string
	var failed error
	for line, err := range (Reader{Out: record.NewWriter(&out, nil)}).Records(context.Background(), strings.NewReader(note+"\n"+note+"\n"+bad+"\n"+note)) {
		if failed = err; err == nil {
			kinds = append(kinds, line.Kind)
		}
	}
	if failed == nil || cli.HintOf(failed) != "" || !slices.Equal(kinds, []string{"note", "note"}) || out.String() != note+"\n"+note+"\n"+bad+"\n" {
		t.Errorf("%q, %v, wrote %q, want two notes and then the bad signature", kinds, failed, out.String())
	}
}

func TestDigestOfABundle(t *testing.T) {
	const line = `{"kind":"bundle","path":"/b","digest":"sha256:ab"}`
	for b, err := range (Reader{}).Bundles(t.Context(), "", strings.NewReader(line)) {
		if err != nil || b.Digest != "sha256:ab" {
			t.Errorf("%+v, %v, want digest sha256:ab", b, err)
		}
	}
}

// TestOwnKind: records that a tool replaces are not copied, but a bad signature
// always is.
func TestOwnKind(t *testing.T) {
	const note, bundle, bad = `{"kind":"note"}`, `{"kind":"bundle","path":"/b"}`, `{"kind":"bundle","path":"/b","signature":"bad"}`
	var out bytes.Buffer
	var failed error
	r := Reader{Out: record.NewWriter(&out, nil), Own: []string{"bundle"}}
	for _, err := range r.Records(t.Context(), strings.NewReader(bundle+"\n"+note+"\n"+bad+"\n")) {
		failed = err
	}
	if !errors.Is(failed, ErrBadSignature) || out.String() != note+"\n"+bad+"\n" {
		t.Errorf("%v, wrote %q, want the note and the bad bundle", failed, out.String())
	}
}

func TestTextInsteadOfRecords(t *testing.T) {
	for _, tt := range []struct{ name, stdin, want string }{
		{"pretty-printed", "{\n  \"kind\": \"bundle\"\n}\n", "jq -c"},
		{"an array", `[{"kind":"bundle"}]`, "jq -c"},
		{"two on a line", `{"kind":"a"} {"kind":"b"}`, "jq -c"},
		{"a table", "REFERENCE  TYPE\nbusybox  image\n", "--format json"},
		{"the bytes of a bundle", "\x1f\x8b\x08\x00", "give - as the operand"},
		{"truncated", `{"kind":"bundle","pa`, "truncated"},
	} {
		_, _, _, err := collect(t.Context(), "", strings.NewReader(tt.stdin))
		if got := cli.HintOf(err); !errors.Is(err, record.ErrNotRecord) || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, hint %q, want a hint with %q", tt.name, err, got, tt.want)
		}
	}
}

func TestRecordsInsteadOfABundle(t *testing.T) {
	_, err := Bundle{Path: "-"}.Open(t.Context(), strings.NewReader(`{"kind":"note"}`+"\n"))
	if got := cli.HintOf(err); err == nil || !strings.HasPrefix(err.Error(), "stdin: ") || !strings.Contains(got, "leave it out to read records") {
		t.Errorf("%v, hint %q", err, got)
	}
}

// TestVerifiedFileIsADirectory: a directory has no digest to compare.
func TestVerifiedFileIsADirectory(t *testing.T) {
	if _, err := (Bundle{Path: t.TempDir(), Digest: "sha256:ab"}).Open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), ": is a directory") {
		t.Errorf("%v", err)
	}
}

func TestInterrupt(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		w.Write([]byte(`{"kind":"note"}` + "\n"))
		cancel(cause)
	}()
	if _, _, _, err := collect(ctx, "", r); !errors.Is(err, cause) {
		t.Errorf("%v, want the context's cause", err)
	}
}

// TestPathOfAnotherSystem: a record's path must not name another file here.
func TestPathOfAnotherSystem(t *testing.T) {
	for _, tt := range []struct {
		path          string
		unix, windows bool // whether it is refused there
	}{
		{"/media/usb/b.tgz", false, true},
		{"/b:x/c", false, true},
		{`C:\bundles\b.tgz`, true, false},
		{"d:/bundles/b.tgz", true, false},
		{`\\server\share\b.tgz`, true, false},
		{"b.tgz", false, false},
		{"x:y", false, false},
		{"c:", false, false},
	} {
		if got := foreign(tt.path, false); got != tt.unix {
			t.Errorf("foreign(%q) on Unix = %v", tt.path, got)
		}
		if got := foreign(tt.path, true); got != tt.windows {
			t.Errorf("foreign(%q) on Windows = %v", tt.path, got)
		}
	}
	err := CheckPath(record.Line{Number: 3}, `C:\bundles\b.tgz`)
	if err == nil || !strings.Contains(err.Error(), `line 3: C:\bundles\b.tgz is a path of another system`) || cli.HintOf(err) == "" {
		t.Errorf("%v, want an error with a hint", err)
	}
}
