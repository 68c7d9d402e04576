package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// TestNodeNeverReady names the image of the system's pods that is in the way.
func TestNodeNeverReady(t *testing.T) {
	s, ctx := open(t)
	const system = "kube-system"
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-router-x"},
		Spec:       corev1.PodSpec{NodeName: "fake", Containers: []corev1.Container{{Name: "router", Image: "quay.io/absent/kube-router:v2.4.1"}}},
	}
	if _, err := s.plane.Client.CoreV1().Pods(system).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.plane.Client.CoreV1().Pods(system).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	waitFor(ctx, t, "the pull to fail", func() bool {
		p, err := s.plane.Client.CoreV1().Pods(system).Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && len(p.Status.ContainerStatuses) > 0
	})
	const want = "pod kube-system/kube-router-x: image quay.io/absent/kube-router:v2.4.1: ImagePullBackOff"
	var found []string
	for _, p := range s.Explain(ctx) {
		found = append(found, p.String())
	}
	if text := strings.Join(found, "; "); !strings.Contains(text, want) || !strings.Contains(text, "code = NotFound") {
		t.Errorf("problems %q, want %q", text, want)
	}
}

// TestNoAPI reports what keeps the API server from answering.
func TestNoAPI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.conf")
	text := "{clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}], contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.WaitAPI(ctx); err == nil || !says(err, "api server: not ready after 1s") || !says(err, "connection refused") {
		t.Errorf("error = %v, want that nobody listens", err)
	}
	if _, err := cluster.Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a kubeconfig that is not there was opened")
	}
}

// TestUpgradeIsRefused covers what must not reach Management.
func TestUpgradeIsRefused(t *testing.T) {
	s, ctx := open(t)
	text, err := releaseObject("1.3.0").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	r, err := cluster.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PlanUpgrade(ctx, r, nil); err == nil || !strings.Contains(err.Error(), "nothing to upgrade") {
		t.Errorf("without a platform: %v", err)
	}
	k := s.play(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	s.ready(ctx, t)

	k.breaks("kcm-1-3-0", "missing or invalid templates: projectsveltos-1-2-0")
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err = s.Upgrade(short, r, nil, nil)
	stuck(t, err, "release kcm-1-3-0: missing or invalid templates: projectsveltos-1-2-0 (after 3s): release kcm-1-3-0: TemplatesValid=False: missing or invalid templates: projectsveltos-1-2-0")
	if name, _, _ := unstructured.NestedString(s.management(ctx, t).Object, "spec", "release"); name != "kcm-1-2-3" {
		t.Errorf("Management asks for %s, want it left at kcm-1-2-3", name)
	}

	m := s.management(ctx, t)
	list, _, _ := unstructured.NestedSlice(m.Object, "spec", "providers")
	if err := unstructured.SetNestedSlice(m.Object, append(list, map[string]any{"name": "cluster-api-provider-bye"}), "spec", "providers"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.objects.Resource(managements).Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PlanUpgrade(ctx, r, nil); err == nil || !strings.Contains(err.Error(), "has no provider cluster-api-provider-bye") {
		t.Errorf("with a provider that the release has not: %v", err)
	}
}
