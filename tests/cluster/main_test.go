package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

// binaries is where tests/setup.sh puts the control plane.
const binaries = "../../.cache/bin"

// planes holds the idle control planes. A test has one to itself, since k0rdent is one per
// cluster; there are two, so that one test can run while another waits. It is empty if their
// programs are missing.
var planes = make(chan *plane.Plane, 2)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(childVariable) != "" {
		return child()
	}
	kube.ManagedFieldsManager = "k0rdent-install" // the program's name, by which Helm goes
	bin, err := filepath.Abs(binaries)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(insideVariable) != "" || plane.Missing(bin) != "" {
		return m.Run()
	}
	var running sync.WaitGroup
	over := make(chan struct{})
	failures := make(chan error, cap(planes))
	for range cap(planes) {
		running.Go(func() { failures <- keep(bin, over) })
	}
	code := m.Run()
	close(over)
	running.Wait()
	for range cap(planes) {
		if err := <-failures; err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// keep has a control plane run until over is closed.
func keep(bin string, over <-chan struct{}) error {
	// The programs end with the thread that started them.
	runtime.LockOSThread()
	dir, err := os.MkdirTemp("", "plane")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := plane.Start(context.Background(), bin, dir)
	if err != nil {
		return err
	}
	defer p.Stop()
	if err := p.Fake(context.Background()); err != nil {
		return err
	}
	planes <- p
	<-over
	return nil
}

// site is what a test works with: an empty cluster.
type site struct {
	*cluster.Cluster
	plane   *plane.Plane
	objects dynamic.Interface
	settle  time.Duration // for which the platform must stay ready
}

// open returns an empty cluster, or skips the test by name if there is none.
func open(t *testing.T) (*site, context.Context) {
	t.Helper()
	if missing := plane.Missing(binaries); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("NOT CHECKED: " + missing)
	}
	t.Parallel()
	var p *plane.Plane
	select {
	case p = <-planes:
		t.Cleanup(func() { planes <- p })
	case <-time.After(3 * time.Minute):
		t.Fatal("no control plane came up")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Open(p.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Cluster: c, plane: p, objects: objects, settle: 2 * time.Second}
	t.Cleanup(func() { s.empty(t) })
	if err := c.WaitAPI(ctx); err != nil {
		t.Fatal(err)
	}
	s.nodeReady(ctx, t, plane.Node)
	return s, ctx
}

// nodeReady waits for a node.
func (s *site) nodeReady(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	waitFor(ctx, t, "node "+name+" to be Ready", func() bool {
		node, err := s.plane.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	})
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
