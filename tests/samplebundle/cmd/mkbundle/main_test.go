package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/tests/samplebundle"
)

func TestUsageNamesEveryFlag(t *testing.T) {
	var c config
	c.flags().VisitAll(func(f *flag.Flag) {
		if !strings.Contains(usage, "--"+f.Name+" ") {
			t.Errorf("--%s is not in the usage text", f.Name)
		}
	})
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "64KiB": 64 << 10, "12Mi": 12 << 20, "3GiB": 3 << 30, "5B": 5} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "3GB", "x", "9999999GiB", "1 MiB"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", s, got)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	bundle, manifest := filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, "b.json")
	mkbundle := func(args ...string) (string, error) {
		var stdout bytes.Buffer
		err := run(context.Background(), args, nil, &stdout, nil)
		return stdout.String(), err
	}
	if _, err := mkbundle("--out", bundle, "--archives", "3", "--manifest", manifest); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m samplebundle.Manifest
	if err := json.Unmarshal(text, &m); err != nil || len(m.Entries) != 5 {
		t.Errorf("the manifest has %d entries (%v), want 3 archives, skopeo and a stray", len(m.Entries), err)
	}
	file, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := mkbundle("--out", "-", "--archives", "3"); err != nil || out != string(file) {
		t.Errorf("--out - gives %d bytes (%v), want the %d of the file", len(out), err, len(file))
	}
	if _, err := mkbundle("--out", filepath.Join(dir, "d"), "--format", "dir", "--top", "x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d/x/charts/k0rdent-enterprise_1.2.3.tar")); err != nil {
		t.Error(err)
	}
	if out, err := mkbundle("--list-defects"); err != nil || strings.Count(out, "\n") != len(samplebundle.Vectors()) {
		t.Errorf("--list-defects = %q, %v", out, err)
	}
	if _, err := mkbundle("--out", bundle, "--defect", "wrong-crc"); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{}, {"--out", bundle, "--size", "much"}, {"--out", bundle, "--defect", "none"}} {
		if _, err := mkbundle(args...); !cli.IsMisuse(err) {
			t.Errorf("mkbundle %q = %v, want misuse", args, err)
		}
	}
	for _, args := range [][]string{{"--format", "rar"}, {"--archives", "1000"}, {"--k0s", filepath.Join(dir, "none")}, {"--format", "dir", "--defect", "port"}} {
		if _, err := mkbundle(append(args, "--out", filepath.Join(dir, "x"))...); err == nil {
			t.Errorf("mkbundle %q = nil, want an error", args)
		}
	}
}
