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
		"bundle.tgz": "\x1f\x8b", "bundle.tgz.sig": "c2lnbmF0dXJl", "b.part-aa": "\x1f\x8b", "b.part-ab": "noise", "b.part-ac": "",
		"c.tar.001": "noise", "c.tar.002": "noise", "v1.2": "noise", "v1.3": "noise", "notes": "notes", "empty": "",
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
		"b.part-aa":         "cat " + dir + "/b.part-* | ... -",
		"b.part-ab":         "cat " + dir + "/b.part-* | ... -",
		"c.tar.001":         "cat " + dir + "/c.tar.* | ... -",
		"notes":             "",
		"empty":             "",
	} {
		_, err := Bundle{Path: filepath.Join(dir, path)}.Open(context.Background(), nil)
		if hint := cli.HintOf(err); err == nil || (want == "") != (hint == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: %v, hint %q, want %q", path, err, hint, want)
		}
	}
}
