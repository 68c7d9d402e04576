package pipe

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
)

// The operand is one file, or the parts of one in any order.
func TestOperandInParts(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"b.tgz.001", "b.tgz.002", "b.tgz.003", "b.tgz.sig", "b.tgz.sha256", "c.001", "c.003", "x/d.aa", "y/d.ab", "e.tgz"} {
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		operands, want string
		code           int
	}{
		{"", "", 0}, {"-", "-", 0}, {"e.tgz", "e.tgz", 0}, {"none.001", "none.001", 0},
		{"b.tgz.001", "b.tgz.001", 0}, {"b.tgz.003", "b.tgz.001", 0}, {"x/../b.tgz.002", "x/../b.tgz.001", 0},
		{"b.tgz.003 b.tgz.001 b.tgz.002", "DIR/b.tgz.001", 0},
		{"b.tgz.001 b.tgz.002 b.tgz.003 b.tgz.sha256 b.tgz.sig", "DIR/b.tgz.001", 0}, // b.tgz.*
		{"b.tgz.002 b.tgz.001", "DIR/b.tgz.001:DIR/b.tgz.002", 0},
		{"y/d.ab x/d.aa", "DIR/x/d.aa:DIR/y/d.ab", 0},
		{"c.001", "c.002: missing, but c.003 exists", 1},
		{"c.001 c.003", "c.002: missing, but c.003 exists", 1},
		{"b.tgz.001 b.tgz.002 c.003", `unexpected argument "c.003": not a part of the same file as b.tgz.001`, 2},
		{"e.tgz b.tgz.001", `unexpected argument "b.tgz.001"`, 2},
		{"e.tgz e.tgz.sig", `unexpected argument "e.tgz.sig"`, 2},
	} {
		var common cli.Common
		fs := cli.NewFlagSet("bundle-ls", &common)
		got, err := Parse(fs, strings.Fields(tt.operands), "", io.Discard)
		if err != nil {
			got = err.Error()
		}
		if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil && got != want || err != nil && !strings.Contains(got, want) || cli.Code(err) != tt.code {
			t.Errorf("%s: %q, exit %d, want %q, exit %d", tt.operands, got, cli.Code(err), want, tt.code)
		}
	}
}
