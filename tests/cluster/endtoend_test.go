package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

// TestEndToEnd brings a bundle into a registry and from there, by the names
// that the images have in public, into pods of a real kubelet: bundle, oci-push,
// oci-serve over TLS, k0s-mirror-config, containerd 2, Helm. The machine has no
// way to any other place.
func TestEndToEnd(t *testing.T) {
	dir := os.Getenv(insideVariable)
	if dir == "" {
		if missing := machine(); missing != "" {
			if os.Getenv("CI") == "true" {
				t.Fatal(missing)
			}
			t.Skip("NOT CHECKED: " + missing)
		}
		outside(t)
		return
	}
	runtime.LockOSThread()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	s := alone(ctx, t, dir)
	log := fill(ctx, t, dir)
	join(ctx, t, s.plane, dir)
	s.nodeReady(ctx, t, nodeName)
	public := map[string]any{}
	p, err := s.InstallChart(ctx, platform(t, "1.2.3"), public, cluster.Options{Timeout: time.Minute})
	if err != nil || p.Status != cluster.Installed {
		t.Fatalf("%+v, %v, want it installed\n%v", p, err, s.Explain(ctx))
	}
	s.running(ctx, t)
	s.asked(t, log)
	if problems := s.Explain(ctx); len(problems) > 0 {
		t.Errorf("all pods run, and yet there is %v", problems)
	}
	if _, err := s.Uninstall(ctx, time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "the pods to go", func() bool {
		pods, err := s.plane.Client.CoreV1().Pods(cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app"})
		return err == nil && len(pods.Items) == 0
	})

	short := cluster.Options{Timeout: 20 * time.Second, Atomic: true}
	_, err = s.InstallChart(ctx, platform(t, "1.2.3"), quick("flux2.enabled", true, "flux2.cli.image", "ghcr.io/tests/failing"), short)
	stuck(t, err, "its pre-install hook failed", "pod kcm-system/kcm-flux-check-", "exit code 3", "checking prerequisites | prerequisites are not met: no CA")
	short.Timeout = 5 * time.Second
	_, err = s.InstallChart(ctx, platform(t, "1.2.3"), quick("flux2.enabled", true, "flux2.cli.image", "ghcr.io/tests/absent"), short)
	stuck(t, err, "pod kcm-system/kcm-flux-check-", "image ghcr.io/tests/absent:v2.6.4", "ghcr.io/tests/absent:v2.6.4: not found")
}

// alone starts a control plane on a machine of its own.
func alone(ctx context.Context, t *testing.T, dir string) *site {
	t.Helper()
	bin, err := filepath.Abs(binaries)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "plane")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := plane.Start(ctx, bin, state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("kwok:\n%s\nkube-controller-manager:\n%s", p.Log("kwok"), p.Log("kube-controller-manager"))
		}
	})
	c, err := cluster.Open(p.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &site{Cluster: c, plane: p, objects: objects}
}

// fill starts the registry, fills it from a bundle, and points containerd to
// it. It returns the registry's log.
func fill(ctx context.Context, t *testing.T, dir string) string {
	t.Helper()
	r := serve(ctx, t, "0.0.0.0", "--access-log", "json")
	_, port, _ := strings.Cut(r.address, "]:")
	if port == "" {
		_, port, _ = strings.Cut(r.address, ":")
	}
	for _, args := range [][]string{
		{"oci-push", "--quiet", "--to", "127.0.0.1:" + port, "--ca", r.ca, bundle(t)},
		{"k0s-mirror-config", "--quiet", "--mirror", "https://" + nodeAddress + ":" + port, "--ca", r.ca, "--k0s-version", "v1.36.3+k0s.2"},
	} {
		cmd := exec.CommandContext(ctx, filepath.Join(tools, args[0]), args[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	return r.log
}

// running waits until every pod of the chart runs, each from the image that it
// asks for.
func (s *site) running(ctx context.Context, t *testing.T) {
	t.Helper()
	pods := s.plane.Client.CoreV1().Pods(cluster.Namespace)
	waitFor(ctx, t, "all pods to run", func() bool {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app"})
		if err != nil || len(list.Items) < 8 {
			return false
		}
		for _, p := range list.Items {
			if p.Status.Phase != corev1.PodRunning {
				return false
			}
		}
		return true
	})
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		status := p.Status.ContainerStatuses[0]
		// A name without a host is docker.io's.
		name, _, _ := strings.Cut(strings.TrimPrefix(status.Image, "docker.io/"), ":")
		if wanted := p.Spec.Containers[0].Image; !strings.HasPrefix(wanted, name+":") || !strings.Contains(status.ImageID, name+"@sha256:") {
			t.Errorf("%s runs %s (%s), want %s", p.Name, status.Image, status.ImageID, wanted)
		}
	}
}

// asked looks into the registry's log for the pulls, each of which names the
// public registry that containerd would have asked.
func (s *site) asked(t *testing.T, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]bool)
	for line := range bytes.Lines(text) {
		var entry struct{ Path, NS string }
		if json.Unmarshal(line, &entry) == nil {
			asked[entry.NS+entry.Path] = true
		}
	}
	for _, want := range []string{
		"ghcr.io/v2/k0rdent/kcm/controller/manifests/1.2.3",
		"docker.io/v2/velero/velero/manifests/v1.17.0",
		"quay.io/v2/jetstack/cert-manager-webhook/manifests/v1.19.1",
		"quay.io/v2/k0sproject/pause/manifests/3.10.2-0",
	} {
		if !asked[want] {
			t.Errorf("the registry was not asked for %s", want)
		}
	}
}
