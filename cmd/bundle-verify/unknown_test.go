package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// TestNoResultIsARecord checks that a failed verification in a pipe stops every program after it.
func TestNoResultIsARecord(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "no.pub")
	for _, tt := range []struct {
		name, path string
		code       int
		args       []string
	}{
		{"no key", file, cli.CodeMisuse, []string{file}},
		{"no such key", file, cli.CodeFailed, []string{"--key", key, file}},
		{"not a key", file, cli.CodeFailed, []string{"--key", file, file}},
		{"no such file", file + ".gone", cli.CodeFailed, []string{"--key", key, file + ".gone"}},
		{"no file", "", cli.CodeMisuse, []string{"--key", key}},
		{"an unknown flag", "", cli.CodeMisuse, []string{"--kye", key, file}},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		failed := run(context.Background(), tt.args, nil, w, io.Discard)
		w.Close()
		out, err := io.ReadAll(r)
		r.Close()
		var got record.Bundle
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Errorf("%s: wrote %q, %v", tt.name, out, err)
		}
		if cli.Code(failed) != tt.code || got.Signature != record.SignatureUnknown || got.Path != tt.path || got.Error == "" {
			t.Errorf("%s: %v, wrote %s", tt.name, failed, out)
		}
	}
	for _, args := range [][]string{{"--help"}, {"--version"}, {"--format", "{{.digest}}", "--key", key, file}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		run(context.Background(), args, nil, w, io.Discard)
		w.Close()
		out, _ := io.ReadAll(r)
		r.Close()
		var got record.Bundle
		if json.Unmarshal(out, &got) == nil {
			t.Errorf("%q: wrote a record: %s", args, out)
		}
	}
}
