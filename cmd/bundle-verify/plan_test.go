package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/record"
)

// --plan reports what there is to verify, whole, in parts or as a directory, and
// does not read it.
func TestPlan(t *testing.T) {
	first := inParts(t, "flipped.tgz")
	stat, err := os.Stat(data + "flipped.tgz")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{data + "p256.pub", ""} {
		got := runs(t, nil, "--plan", "--key", key, strings.TrimSuffix(first, "1")+"3")
		b := bundleOf(t, got.out)
		if got.code != 0 || b.Path != first || b.Size != stat.Size() || b.Signature != record.SignatureNone || b.Digest != "" || (b.SignatureFile != "") != (key != "") {
			t.Errorf("key %q: %d, %+v, %s", key, got.code, b, got.err)
		}
	}
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/charts", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/charts/a_1.tar", make([]byte, 77), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := bundleOf(t, runs(t, nil, "--plan", dir).out); b.Size != 77 || b.Format != "dir" {
		t.Errorf("%+v", b)
	}
	unsigned := filepath.Join(dir, "b.tgz")
	if err := os.Link(first, unsigned); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{1, "no signature: neither b.tgz.sig", []string{"--key", data + "p256.pub", unsigned}},
		{1, "no-such.pub", []string{"--key", data + "no-such.pub", "--signature", data + "v3/p256.sig", unsigned}},
		{1, "a directory; the vendor signs a single file", []string{"--key", data + "p256.pub", "--signature", data + "v3/p256.sig", dir}},
		{1, "no such file", []string{dir + "/missing"}},
		{1, "not a bundle", []string{data + "p256.pub"}},
		{2, "--plan requires a file", []string{"--key", data + "p256.pub", "--signature", data + "v3/p256.sig", "-"}},
	} {
		if got := runs(t, nil, append([]string{"--plan"}, tt.args...)...); got.code != tt.code || !strings.Contains(got.err, tt.want) || got.out != "" {
			t.Errorf("%q: %d, %s%s, want %q", tt.args, got.code, got.out, got.err, tt.want)
		}
	}
	// A size that needs more than 32 bits, and a part that is missing.
	if err := os.Truncate(strings.TrimSuffix(first, "1")+"2", 12<<40); err != nil {
		t.Fatal(err)
	}
	if b := bundleOf(t, runs(t, nil, "--plan", first).out); b.Size != 12<<40+stat.Size()-60 {
		t.Errorf("%+v", b)
	}
	if err := os.Remove(strings.TrimSuffix(first, "1") + "2"); err != nil {
		t.Fatal(err)
	}
	if got := runs(t, nil, "--plan", first); got.code != 1 || !strings.Contains(got.err, "b.tgz.002: missing") {
		t.Errorf("%d, %s", got.code, got.err)
	}
}
