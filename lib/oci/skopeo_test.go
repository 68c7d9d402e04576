package oci

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"k0rdent-airgap/tests/machine"
)

// runnable adds an image that other programs accept: its layer is a real tar,
// and its config knows the layer's digest.
func (l *layout) runnable(arch, content string) v1.Descriptor {
	layer := makeTar(l.t, member{name: "etc/motd", body: content})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(layer)
	z.Close()
	config := fmt.Sprintf(`{"os":"linux","architecture":%q,"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, arch, sha256.Sum256(layer))
	return l.manifest(l.blob(types.OCIConfigJSON, config), l.blob(types.OCILayer, zipped.String()))
}

// Archives in every format that skopeo writes can be read.
func TestSkopeoWrites(t *testing.T) {
	machine.NeedProgram(t, "skopeo")
	dir := t.TempDir()
	skopeo := func(args ...string) []byte {
		t.Helper()
		c := exec.Command("skopeo", append([]string{"--insecure-policy", "--tmpdir", dir}, args...)...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("skopeo %q: %v: %s", args, err, &stderr)
		}
		return out
	}
	read := func(name string) []byte {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	l := &layout{t: t}
	index := l.index(on(l.runnable("amd64", "one"), "linux", "amd64"), on(l.runnable("arm64", "two"), "linux", "arm64"))
	if err := os.WriteFile(filepath.Join(dir, "in.tar"), l.archive(index), 0o644); err != nil {
		t.Fatal(err)
	}
	in := "oci-archive:" + dir + "/in.tar"

	skopeo("copy", "--all", in, "oci-archive:"+dir+"/all.tar:v1")
	raw := skopeo("inspect", "--raw", "oci-archive:"+dir+"/all.tar")
	both(t, read("all.tar"), func(how string, a *Archive, images []*Image, err error) {
		if err != nil || len(images) != 1 {
			t.Fatalf("%s: %v", how, err)
		}
		i := images[0]
		if i.Type != TypeIndex || !slices.Equal(i.Names, []string{"v1"}) || len(i.Manifests) != 3 || len(i.Blobs) != 4 || len(i.Missing) != 0 ||
			i.Descriptor.Digest != index.Digest || digestOf(string(raw)) != index.Digest ||
			!reflect.DeepEqual(i.Platforms, []string{"linux/amd64", "linux/arm64"}) {
			t.Errorf("%s: %+v", how, i)
		}
	})

	skopeo("copy", "--override-arch", "arm64", in, "oci-archive:"+dir+"/one.tar:example.com/x/y:v2")
	raw = skopeo("inspect", "--raw", "oci-archive:"+dir+"/one.tar")
	both(t, read("one.tar"), func(how string, a *Archive, images []*Image, err error) {
		if err != nil || len(images) != 1 {
			t.Fatalf("%s: %v", how, err)
		}
		i := images[0]
		if i.Type != TypeImage || !slices.Equal(i.Names, []string{"example.com/x/y:v2"}) || i.Descriptor.Digest != digestOf(string(raw)) ||
			!reflect.DeepEqual(i.Platforms, []string{"linux/arm64"}) {
			t.Errorf("%s: %+v", how, i)
		}
	})

	skopeo("copy", "--override-arch", "amd64", in, "docker-archive:"+dir+"/docker.tar:x:v3")
	both(t, read("docker.tar"), func(how string, a *Archive, images []*Image, err error) {
		if !errors.Is(err, ErrDockerArchive) {
			t.Errorf("%s: docker-archive: %v", how, err)
		}
	})

	// A layout packed by tar itself, with "./" before every name.
	skopeo("copy", "--all", in, "oci:"+dir+"/layout:v4")
	if out, err := exec.Command("tar", "-C", filepath.Join(dir, "layout"), "-cf", filepath.Join(dir, "packed.tar"), ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	both(t, read("packed.tar"), func(how string, a *Archive, images []*Image, err error) {
		if err != nil || len(images) != 1 || images[0].Descriptor.Digest != index.Digest {
			t.Errorf("%s: %+v, %v", how, images, err)
		}
	})
}
