package cluster

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// containerImages are the images of the end-to-end test as a bundle names them,
// and what they do.
var containerImages = map[string]string{
	"k0sproject/pause_3.10.2-0":                     "wait",
	"k0rdent/kcm/controller_1.2.3":                  "wait",
	"k0rdent/kcm/telemetry_1.2.3":                   "wait",
	"fluxcd/flux-cli_v2.6.4":                        "done",
	"fluxcd/helm-controller_v1.3.0":                 "wait",
	"fluxcd/source-controller_v1.6.2":               "wait",
	"jetstack/cert-manager-controller_v1.19.1":      "wait",
	"jetstack/cert-manager-webhook_v1.19.1":         "wait",
	"jetstack/cert-manager-cainjector_v1.19.1":      "wait",
	"jetstack/cert-manager-startupapicheck_v1.19.1": "done",
	"velero/velero_v1.17.0":                         "wait",
	"tests/failing_v2.6.4":                          "fail",
}

// bundle makes a bundle of them: an OCI archive each.
func bundle(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for name, does := range containerImages {
		archive(t, filepath.Join(dir, name+".tar"), containerImage(t, name, does, binary))
	}
	return dir
}

// containerImage has one program, which it runs by a name. Each image is
// another one, for a node tells images apart by their digests.
func containerImage(t *testing.T, image, name string, program []byte) v1.Image {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	base := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	made, err := mutate.AppendLayers(base, static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	config, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint, config.Config.Labels = []string{"/" + name}, map[string]string{"image": image}
	if made, err = mutate.ConfigFile(made, config); err != nil {
		t.Fatal(err)
	}
	return made
}

// archive writes an image as skopeo does: a tar of a layout.
func archive(t *testing.T, path string, image v1.Image) {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	_, tag, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".tar"), "_")
	if err := l.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag})); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(io.Writer(f))
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
