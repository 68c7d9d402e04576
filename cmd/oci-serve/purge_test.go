package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/registry"
)

// purges runs oci-serve --purge --yes.
func purges(storage string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	err := run(context.Background(), append([]string{"--purge", "--storage", storage}, args...), strings.NewReader(""), &out, &errs)
	if err != nil {
		errs.WriteString(err.Error())
	}
	return cli.Code(err), out.String(), errs.String()
}

// served makes a storage as a server leaves it that has had a certificate and
// k0s binaries, and a blob.
func served(t *testing.T) string {
	t.Helper()
	storage := filepath.Join(t.TempDir(), "registry")
	c := startChild(t, storage, "--tls", "auto")
	c.stop()
	for name, text := range map[string]string{
		"blobs/sha256/" + strings.Repeat("a", 64):   "12345",
		"quarantine/repositories/x":                 "x",
		"journals/0":                                "x",
		"stale/x":                                   "x",
		"uploads/left":                              "x",
		"tls/.server.pem.123.new":                   "x",
		"k0s/k0s-v1.32.8+k0s.0-amd64":               "x",
		"k0s/.k0s-v1.32.8+k0s.0-amd64.123.new":      "x",
		"k0s/k0s-v1.32.8+k0s.0-amd64.sig":           "x",
		"repositories/a/b/_layout/blobs/sha256/abc": "x",
	} {
		name = filepath.Join(storage, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return storage
}

func TestPurgeRemovesAllThatTheRegistryKeeps(t *testing.T) {
	storage := served(t)
	code, out, stderr := purges(storage, "--yes")
	if code != 0 || !strings.Contains(out, `"counts":{"removed":1},"bytes":5`) || stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, stderr)
	}
	if _, err := os.Lstat(storage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the storage is there: %v", err)
	}
}

func TestPurgeLeavesWhatIsNotOurs(t *testing.T) {
	storage := served(t)
	link := storage + ".link"
	outside := t.TempDir()
	want := []string{"k0s/notes", "lost", "tls/cert.pem"}
	for _, name := range append([]string{"../outside"}, want...) {
		if err := os.WriteFile(filepath.Join(storage, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.WriteFile(outside+"/victim", nil, 0o644), os.Symlink(outside, storage+"/uploads/escape"), os.Symlink(storage, link))
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := purges(link, "--yes")
	if code != 0 || !strings.Contains(stderr, "is kept, because it contains other files: k0s, lost, tls") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	var left []string
	filepath.WalkDir(storage, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			left = append(left, strings.TrimPrefix(path, storage+"/"))
		}
		return nil
	})
	if !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if _, err := os.Stat(outside + "/victim"); err != nil {
		t.Error(err)
	}
}

func TestPurgeRefusesWhatItMayNotRemove(t *testing.T) {
	layout, empty := t.TempDir(), t.TempDir()
	os.MkdirAll(layout+"/blobs/sha256", 0o755) // an OCI image layout
	os.WriteFile(layout+"/oci-layout", nil, 0o644)
	used := served(t)
	disk, err := registry.OpenDisk(used)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	for _, tt := range []struct {
		name, storage string
		args          []string
		code          int
		want          string
	}{
		{"an image layout", layout, []string{"--yes"}, 2, "not a registry's"},
		{"an empty directory", empty, []string{"--yes"}, 2, "not a registry's"},
		{"none", empty + "/none", []string{"--yes"}, 2, "no such file"},
		{"one in use", used, []string{"--yes"}, 75, "in use by process"},
		{"two modes", used, []string{"--gc"}, 2, "mutually exclusive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := os.ReadDir(tt.storage)
			code, out, stderr := purges(tt.storage, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) || out != "" {
				t.Errorf("code %d, stdout %q, stderr %q; want %d and %q", code, out, stderr, tt.code, tt.want)
			}
			if after, _ := os.ReadDir(tt.storage); len(after) != len(before) {
				t.Errorf("%d entries, had %d", len(after), len(before))
			}
		})
	}
}

func TestPurgeAsks(t *testing.T) {
	storage := served(t)
	code, _, stderr := purges(storage)
	if code != 2 || !strings.Contains(stderr, "cannot ask for confirmation: stdin is not a terminal") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(storage + "/tls/ca.key"); err != nil {
		t.Error(err)
	}
}

// A run that was killed at any step is completed by the next one.
func TestPurgeCompletesWhatWasInterrupted(t *testing.T) {
	for _, gone := range [][]string{{"repositories/a"}, {"format", "clock"}, {"repositories/a", "blobs/sha256", "blobs/sha512"}, {"repositories/a", "blobs/sha256", "lock"}} {
		storage := served(t)
		for _, name := range gone {
			if err := os.RemoveAll(filepath.Join(storage, name)); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, stderr := purges(storage, "--yes"); code != 0 {
			t.Errorf("without %q: code %d, %s", gone, code, stderr)
		}
		if _, err := os.Lstat(storage); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %q: the storage is there: %v", gone, err)
		}
	}
}
