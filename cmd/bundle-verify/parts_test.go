package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inParts copies the sample bundle, or another file, in parts of 60 bytes, with
// the signature of the whole beside them.
func inParts(t *testing.T, file string) (first string) {
	t.Helper()
	dir := t.TempDir()
	content, err := os.ReadFile(data + file)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := os.ReadFile(data + "v3/p256.sig")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"b.tgz.sig": signature}
	for _, counter := range []string{"001", "002", "003"} {
		n := min(60, len(content))
		files["b.tgz."+counter], content = content[:n], content[n:]
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "b.tgz.001")
}

// A series is verified as the whole, with the signature of the whole, by any part
// of it.
func TestParts(t *testing.T) {
	whole := bundleOf(t, runs(t, nil, "--key", data+"p256.pub", "--signature", data+"v3/p256.sig", data+"bundle.tgz").out)
	first := inParts(t, "bundle.tgz")
	dir := filepath.Dir(first)
	for _, operands := range [][]string{{first}, {dir + "/b.tgz.003"}, {dir + "/b.tgz.002", dir + "/b.tgz.003", first}} {
		got := runs(t, nil, append([]string{"--key", data + "p256.pub"}, operands...)...)
		if b := bundleOf(t, got.out); got.code != 0 || b.Path != first || b.SignatureFile != dir+"/b.tgz.sig" || b.Digest != whole.Digest || b.Size != whole.Size || b.Format != whole.Format {
			t.Errorf("%q: %d, %+v, %s", operands, got.code, b, got.err)
		}
	}
}

// A problem of a series is reported for the whole and, if possible, for the part.
func TestBadParts(t *testing.T) {
	altered := inParts(t, "flipped.tgz")
	shorter := inParts(t, "bundle.tgz")
	if err := os.Truncate(strings.TrimSuffix(shorter, "001")+"002", 59); err != nil {
		t.Fatal(err)
	}
	unsigned := inParts(t, "bundle.tgz")
	if err := os.Remove(strings.TrimSuffix(unsigned, ".001") + ".sig"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ first, want string }{
		{altered, "hint: a part is damaged, missing at the end, or has another's name"},
		{shorter, "b.tgz.002 has 59 bytes, and the first part 60: it is incomplete, swapped"},
		{unsigned, "no signature: neither b.tgz.sig nor b.tgz.sigstore.json exists"},
	} {
		if got := runs(t, nil, "--key", data+"p256.pub", tt.first); got.code != 1 || !strings.Contains(got.err, tt.want) {
			t.Errorf("%d, %s, want %q", got.code, got.err, tt.want)
		}
	}
}
