package samplebundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"k0rdent-airgap/tests/machine"
)

// skopeo opens every archive, and agrees on names and digests.
func TestSkopeoAgrees(t *testing.T) {
	skopeo := machine.NeedProgram(t, "skopeo")
	dir := t.TempDir()
	m, err := WriteDir(dir, Options{Size: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	inspect := func(args ...string) []byte {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command(skopeo, append([]string{"inspect"}, args...)...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("skopeo inspect %q: %v: %s", args, err, stderr.Bytes())
		}
		return out
	}
	for _, e := range m.Entries {
		file := filepath.Join(dir, e.Path)
		switch e.Kind {
		case KindDocker:
			inspect("docker-archive:" + file)
			continue
		case KindStray:
			continue
		}
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(inspect("--raw", "oci-archive:"+file))); got != e.Digest {
			t.Errorf("%s: skopeo reads the manifest %s, want %s", e.Path, got, e.Digest)
		}
		if e.Type != "image" {
			continue
		}
		source := "oci-archive:" + file
		if e.Annotation != "" {
			source += ":" + e.Annotation
		}
		var found struct {
			Digest, Architecture string
			Layers               []string
		}
		if err := json.Unmarshal(inspect(source), &found); err != nil {
			t.Errorf("%s: %v", e.Path, err)
		}
		if found.Digest != e.Digest || found.Architecture != "amd64" || len(found.Layers) < 2 {
			t.Errorf("%s: skopeo says %+v, want %s", e.Path, found, e.Digest)
		}
	}
}
