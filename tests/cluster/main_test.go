package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"k8s.io/client-go/dynamic"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

// binaries is where tests/setup.sh puts the control plane.
const binaries = "../../.cache/bin"

// shared is the control plane of all tests, which so cannot run side by side:
// k0rdent is one per cluster. It is nil where its programs are missing.
var shared *plane.Plane

func TestMain(m *testing.M) {
	// The control plane ends with the thread that started it.
	runtime.LockOSThread()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(childVariable) != "" {
		return child()
	}
	bin, err := filepath.Abs(binaries)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if plane.Missing(bin) == "" {
		dir, err := os.MkdirTemp("", "plane")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if shared, err = plane.Start(context.Background(), bin, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer shared.Stop()
	}
	return m.Run()
}

// site is what a test works with: an empty cluster.
type site struct {
	*cluster.Cluster
	plane   *plane.Plane
	objects dynamic.Interface
}

// open gives an empty cluster, or skips the test by name where there is none.
func open(t *testing.T) (*site, context.Context) {
	t.Helper()
	if shared == nil {
		bin, _ := filepath.Abs(binaries)
		if os.Getenv("CI") == "true" {
			t.Fatal(plane.Missing(bin))
		}
		t.Skip("NOT CHECKED: " + plane.Missing(bin))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Open(shared.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(shared.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Cluster: c, plane: shared, objects: objects}
	t.Cleanup(func() { s.empty(t) })
	if err := c.WaitAPI(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitNode(ctx, plane.Node); err != nil {
		t.Fatal(err)
	}
	return s, ctx
}

// platform loads the chart, in this version.
func platform(t *testing.T, version string) *chart.Chart {
	t.Helper()
	ch, err := loader.LoadDir("testdata/platform")
	if err != nil {
		t.Fatal(err)
	}
	ch.Metadata.Version = version
	return ch
}

// registry is what the values of the tests name. kwok does not look.
const registry = "10.0.0.5:5000/k0rdent-enterprise"

// quick are values of an installation without hooks, each of which takes seconds.
func quick(more ...any) map[string]any {
	return values(append([]any{"flux2.enabled", false, "regional.cert-manager.enabled", false}, more...)...)
}

// values are those of a site, with more on top: path, value, path, value…
func values(more ...any) map[string]any {
	v := map[string]any{}
	for _, kv := range []struct {
		path  string
		value any
	}{
		{"image.repository", registry + "/kcm-controller"},
		{"controller.globalRegistry", registry},
		{"controller.templatesRepoURL", "oci://" + registry + "/charts"},
		{"flux2.cli.image", registry + "/fluxcd/flux-cli"},
		{"flux2.helmController.image", registry + "/fluxcd/helm-controller"},
		{"flux2.sourceController.image", registry + "/fluxcd/source-controller"},
		{"regional.telemetry.mode", "disabled"},
	} {
		set(v, kv.path, kv.value)
	}
	for i := 0; i < len(more); i += 2 {
		set(v, more[i].(string), more[i+1])
	}
	return v
}
