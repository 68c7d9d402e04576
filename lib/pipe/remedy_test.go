package pipe

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// Common mistakes in naming the bundle are errors with a hint.
func TestRemedies(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"bundle.tgz": "\x1f\x8b", "bundle.tgz.sig": "c2lnbmF0dXJl", "b.part-aa": "\x1f\x8b", "b.part-ab": "noise", "d.part-aa": "\x1f\x8b", "d.part-ab": "",
		"c.tar.001": strings.Repeat("noise", 200), "c.tar.002": "\x1f\x8b\x08\x00", "e.tar.002": "noise", "e.tar.003": "noise",
		"f.tgz.aa": "\x1f\x8b\x08\x00", "f.tgz.ab": "abcd", "v1.2": "noise", "v1.3": "noise", "notes": "notes", "g.tgz.part-ac": "noise", "h.tgz.007": "noise", "v1.22": "noise", "empty": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"bundel.tgz":        "did you mean " + dir + "/bundle.tgz?",
		"nothing/like/that": "",
		"something-else":    "",
		"bundle.tgz":        "copy it again",
		"bundle.tgz.sig":    "name the bundle itself: " + dir + "/bundle.tgz",
		"b.part-aa":         dir + "/b.part-ab has 5 bytes, and the first part 2: it is incomplete, swapped, or left over",
		"b.part-ab":         dir + "/b.part-ab has 5 bytes",
		"d.part-aa":         "copy it again",
		"c.tar.001":         dir + "/c.tar.002 begins like a bundle: it is the first part",
		"e.tar.003":         "the first one is not here (" + dir + "/e.tar.001: missing",
		"f.tgz.aa":          "the last part, " + dir + "/f.tgz.ab, is incomplete, or the parts after it are missing",
		"notes":             "",
		"g.tgz.part-ac":     "if it is a part of a bundle, copy g.tgz.part-aa and the others next to it",
		"h.tgz.007":         "copy h.tgz.001 and the others",
		"v1.22":             "",
		"empty":             "",
	} {
		_, err := Bundle{Path: filepath.Join(dir, path)}.Open(context.Background(), nil)
		if hint := cli.HintOf(err); err == nil || (want == "") != (hint == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: %v, hint %q, want %q", path, err, hint, want)
		}
	}
}
