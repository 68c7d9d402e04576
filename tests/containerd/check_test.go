package containerd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Where containerd keeps content and unpacked layers.
const (
	blobDir     = storeRoot + "/io.containerd.content.v1.content/blobs/sha256"
	snapshotDir = storeRoot + "/io.containerd.snapshotter.v1.overlayfs/snapshots"
)

// An image is one of the bundle, by the name in a pod.
type image struct {
	reference  string // what is pulled
	origin     string // the registry in the name, which a mirror gets as ns
	repository string // the repository that a mirror is asked for
	tag        string
}

// The images that most cases pull: of the hosts that k0s and the platform's
// charts name, the two kinds of name that Docker's has, and a host that nobody
// thought of.
var images = []image{
	{"quay.io/jetstack/cert-manager-controller:v1.19.1", "quay.io", "jetstack/cert-manager-controller", "v1.19.1"},
	{"registry.k8s.io/capi-operator/cluster-api-operator:v0.24.0", "registry.k8s.io", "capi-operator/cluster-api-operator", "v0.24.0"},
	{"docker.io/library/busybox:1.37.0", "docker.io", "library/busybox", "1.37.0"},
	{"registry.mirantis.com/projectsveltos/addon-controller:v1.1.1", "registry.mirantis.com", "projectsveltos/addon-controller", "v1.1.1"},
	{"nginx.example/projectsveltos/drift-detection-manager:v1.1.1", "nginx.example", "projectsveltos/drift-detection-manager", "v1.1.1"},
}

// pause is the smallest image, for cases in which one pull is enough.
var pause = image{"quay.io/k0sproject/pause:3.9", "quay.io", "k0sproject/pause", "3.9"}

// absent returns an image that no registry has, with the host of another.
func absent(i image) image { return image{i.origin + "/no/such:v1", i.origin, "no/such", "v1"} }

// own returns the image by the name of a registry in the site, perhaps with a path.
// Such a registry does not receive the origin.
func (i image) own(registry string) image {
	i.reference, i.origin = registry+"/"+i.repository+":"+i.tag, ""
	return i
}

// vendors returns the image as the vendor names it, below the path that all of
// the vendor's images have.
func (i image) vendors() image {
	i.reference = i.origin + "/" + vendorPath + "/" + i.repository + ":" + i.tag
	return i
}

const (
	vendor     = "registry.mirantis.com"
	vendorPath = "k0rdent-enterprise"
)

// served pulls an image and requires all of it from one server, below a path or "",
// with the origin in each request, and nothing from anywhere else. Then it removes the
// image, since images share layers.
func (w *worker) served(t *testing.T, from *server, path string, i image) {
	t.Helper()
	defer w.forget(t)
	before, _ := from.log.from(w.at, 0)
	if err := w.pull(t, i.reference); err != nil {
		t.Errorf("pull of %s: %v", i.reference, err)
		w.silent(t)
		return
	}
	digest := w.site.images[i.repository+":"+i.tag]
	if digest == "" {
		t.Fatalf("the site has no %s:%s", i.repository, i.tag)
	}
	at := "/v2/" + strings.TrimPrefix(path+"/", "/") + i.repository
	name := i.tag
	if strings.Contains(i.reference, "@") {
		name = digest
	}
	wanted := []string{"HEAD " + at + "/manifests/" + name}
	manifests, blobs := w.content(t, digest)
	for _, d := range manifests {
		wanted = append(wanted, "GET "+at+"/manifests/"+d)
	}
	for _, d := range blobs {
		wanted = append(wanted, "GET "+at+"/blobs/"+d)
	}
	got, ok := from.log.await(w.at, len(before), func(all []request) bool {
		return !slices.ContainsFunc(wanted, func(line string) bool {
			return !slices.ContainsFunc(all, func(q request) bool { return q.Method+" "+q.Path == line && q.Status == 200 })
		})
	})
	if !ok {
		t.Errorf("pull of %s: the registry's log has\n%v, want\n%s", i.reference, got, strings.Join(wanted, "\n"))
	}
	w.askedFor(t, got, i)
	w.silent(t)
}

// askedFor checks that requests name the registry of the image as their origin.
func (w *worker) askedFor(t *testing.T, requests []request, i image) {
	t.Helper()
	for _, q := range requests {
		if strings.Contains(q.Path, "/"+i.repository+"/") && q.NS != i.origin {
			t.Errorf("pull of %s: %s %s is asked for %q, want %q", i.reference, q.Method, q.Path, q.NS, i.origin)
		}
	}
}

// content returns the digests of the manifests and of the other blobs of an image in
// containerd's store, for this machine's platform, after checking that all exist, match
// their digests and are unpacked.
func (w *worker) content(t *testing.T, digest string) (manifests, blobs []string) {
	t.Helper()
	type descriptor struct {
		Digest   string
		Platform struct{ Architecture string }
	}
	for digest != "" {
		manifests = append(manifests, digest)
		var m struct {
			Manifests, Layers []descriptor
			Config            descriptor
		}
		if err := json.Unmarshal(w.blob(t, digest), &m); err != nil {
			t.Fatalf("manifest %s: %v", digest, err)
		}
		digest = ""
		for _, d := range m.Manifests {
			if d.Platform.Architecture == runtime.GOARCH {
				digest = d.Digest
			}
		}
		if digest != "" {
			continue
		}
		for _, d := range append(m.Layers, m.Config) {
			blobs = append(blobs, d.Digest)
			w.blob(t, d.Digest)
		}
		unpacked, err := filepath.Glob(w.path(snapshotDir) + "/*/fs/*")
		if err != nil || len(unpacked) < len(m.Layers) {
			t.Errorf("%d layers, and no more than %q is unpacked", len(m.Layers), unpacked)
		}
	}
	return manifests, blobs
}

// blob returns what containerd has stored under a digest.
func (w *worker) blob(t *testing.T, digest string) []byte {
	t.Helper()
	_, hex, _ := strings.Cut(digest, ":")
	data, err := os.ReadFile(filepath.Join(w.path(blobDir), hex))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); got != digest {
		t.Errorf("containerd stores %s as %s", got, digest)
	}
	return data
}

// missing pulls an image that does not exist and requires just that error, from the site
// and at once. If an earlier mirror is in trouble, containerd 1 reports that trouble
// instead.
func (w *worker) missing(t *testing.T, from *server, path string, i image, trouble ...string) {
	t.Helper()
	before, _ := from.log.from(w.at, 0)
	begun := time.Now()
	err := w.pull(t, i.reference)
	took := time.Since(begun)
	switch {
	case err != nil && len(trouble) > 0 && !w.two:
		if !strings.Contains(err.Error(), trouble[0]) {
			t.Errorf("pull of %s: %v, want %q", i.reference, err, trouble[0])
		}
	case status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "not found"):
		t.Errorf("pull of %s: %v, want not found", i.reference, err)
	}
	if took > 2*time.Second { // a lookup or connection that fails takes longer
		t.Errorf("pull of %s: not found after %v", i.reference, took)
	}
	w.slowest = max(w.slowest, took)
	if !w.silent(t) {
		return
	}
	at := "/v2/" + strings.TrimPrefix(path+"/", "/") + i.repository + "/manifests/" + i.tag
	got, ok := from.log.await(w.at, len(before), func(all []request) bool {
		return slices.ContainsFunc(all, func(q request) bool { return q.Method == "HEAD" && q.Path == at && q.Status == 404 })
	})
	if !ok {
		t.Errorf("pull of %s: the registry's log has %v, want a 404 for %s", i.reference, got, at)
	}
	w.askedFor(t, got, i)
}

// refused pulls an image that is unavailable and requires an error that names the cause,
// and no request outside.
func (w *worker) refused(t *testing.T, i image, cause string) {
	t.Helper()
	err := w.pull(t, i.reference)
	if err == nil || !strings.Contains(err.Error(), cause) {
		t.Errorf("pull of %s: %v, want %q", i.reference, err, cause)
	}
	w.silent(t)
}

// predicted requires that k0s-mirror-config predicts which images containerd finds in
// the site.
func (w *worker) predicted(t *testing.T, there map[string]bool) {
	t.Helper()
	cmd := w.command("k0s-mirror-config", "--check", "--quiet", "--k0s", "/nowhere/k0s", "--images", "-") // whatever this machine has
	cmd.Stdin = strings.NewReader(strings.Join(slices.Sorted(maps.Keys(there)), "\n"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := w.net.start(cmd); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // some are missing, which is its status
	checked := map[string]bool{}
	for line := range bytes.Lines(stdout.Bytes()) {
		var r struct{ Kind, Reference, Status string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "image" {
			checked[r.Reference] = r.Status == "exists"
		}
	}
	if !maps.Equal(checked, there) {
		t.Errorf("k0s-mirror-config --check says %v, containerd %v\n%s", checked, there, stderr.Bytes())
	}
	w.silent(t)
}

// silent checks that no packet has left the site since the last check.
func (w *worker) silent(t *testing.T) bool {
	t.Helper()
	n, asked := w.left(t)
	if n > 0 || len(asked) > 0 {
		t.Errorf("%d packets have left the site: %q", n, asked)
	}
	return n == 0 && len(asked) == 0
}

// left returns how many packets have left the site since the last call, and what they
// requested.
func (w *worker) left(t *testing.T) (packets int, asked []string) {
	t.Helper()
	n := w.outside.packets(t)
	packets, w.before = n-w.before, n
	return packets, w.outside.take()
}
