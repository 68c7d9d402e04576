package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// TestBrokenEntry checks that of several k0s in a bundle, a damaged one is reported
// and counted, and the others are written.
func TestBrokenEntry(t *testing.T) {
	const other = "v1.31.5+k0s.0"
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			whole := image1(t, other)
			broken := bytes.Replace(image1(t, v132), []byte(`"manifests"`), []byte(`"manifestz"`), 1)
			dir := filepath.Join(t.TempDir(), "bin")
			out, errs, err := run1(t, nil, "--name", "--to", dir, writeBundle(t, form, k0sAt(v132, broken), k0sAt(other, whole)))
			if cli.Code(err) != cli.CodeFailed {
				t.Errorf("code %d (%v), want 1", cli.Code(err), err)
			}
			got := make(map[string]string)
			for _, r := range records(t, out) {
				got[r.Version] = r.Status
			}
			if got[v132] != record.StatusFailed || got[other] != record.StatusWritten {
				t.Errorf("statuses %v, want %s failed and %s written", got, v132, other)
			}
			if !strings.Contains(errs, "k0s_v1.32") {
				t.Errorf("stderr %q does not name the entry", errs)
			}
			if names := names(t, dir); !strings.Contains(names, "v1.31.5") || strings.Contains(names, "v1.32") {
				t.Errorf("files %s", names)
			}
		})
	}
}
