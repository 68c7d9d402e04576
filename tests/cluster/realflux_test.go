package cluster

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

var (
	helmCharts       = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmcharts"}
	helmRepositories = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmrepositories"}
)

// helmChart makes the HelmChart of a template, as kcm does, for a real Flux.
func (k *kcm) helmChart(ctx context.Context, name string) error {
	chart := strings.TrimSuffix(name, trailing.FindString(name))
	if chart == "kcm" {
		chart = "k0rdent-enterprise"
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart", "metadata": map[string]any{"name": name, "namespace": cluster.Namespace},
		"spec": map[string]any{
			"chart": chart, "version": versionIn(name), "interval": "10m0s",
			"sourceRef": map[string]any{"kind": "HelmRepository", "name": "kcm-templates"},
		},
	}}
	_, err := k.s.objects.Resource(helmCharts).Namespace(cluster.Namespace).Create(ctx, u, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// TestRealFlux has the real source-controller fetch the charts of a bundle from
// the real registry over TLS, and the real helm-controller take the platform's
// release over, install the components, and carry out changed values and an
// upgrade. What WaitReady rests on is what these two write.
func TestRealFlux(t *testing.T) {
	built(t, "source-controller", "helm-controller", "kube-apiserver")
	t.Parallel()
	runtime.LockOSThread() // the programs end with the thread that started them
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s := alone(ctx, t, t.TempDir())
	if err := s.plane.Fake(ctx); err != nil {
		t.Fatal(err)
	}
	r := serve(ctx, t, "127.0.0.1")
	r.push(ctx, t, "1.2.3")
	s.fluxKinds(ctx, t, r)
	for _, name := range []string{"source-controller", "helm-controller"} {
		s.runFlux(ctx, t, name)
	}
	k := s.playAlone(t)

	install := func(version string, want cluster.Status, more ...any) {
		t.Helper()
		ch, err := r.chart(ctx, version)
		if err != nil {
			t.Fatal(err)
		}
		v := map[string]any{"controller": map[string]any{"templatesRepoURL": "oci://" + r.address + "/charts"}}
		for i := 0; i < len(more); i += 2 {
			set(v, more[i].(string), more[i+1])
		}
		p, err := s.InstallChart(ctx, ch, v, options)
		if err != nil || p.Status != want {
			t.Fatalf("chart %s: %+v, %v, want it %s", version, p, err, want)
		}
	}
	install("1.2.3", cluster.Installed)
	s.ready(ctx, t)
	if got := s.argument(ctx, t, "enable-webhook"); got != "true" {
		t.Errorf("enable-webhook is %q: no second pass", got)
	}
	install("1.2.3", cluster.Configured, "controller.globalK0sURL", "https://k0s.example")
	s.ready(ctx, t)
	if got := s.argument(ctx, t, "global-k0s-url"); got != "https://k0s.example" {
		t.Errorf("global-k0s-url is %q, want the value that was changed", got)
	}

	r.push(ctx, t, "1.3.0")
	text, err := releaseObject("1.3.0").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	release, err := cluster.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	k.asReal() // once: the waits before this one are as good with shorter times
	if _, err := s.Upgrade(ctx, release, nil, nil); err != nil {
		t.Fatal(err)
	}
	s.ready(ctx, t)
	last, err := s.helm().Releases.Last(cluster.ReleaseName)
	if err != nil || last.Chart.Metadata.Version != "1.3.0" || last.Info.Status != "deployed" {
		t.Errorf("the last revision is %s of %s, %v, want 1.3.0 deployed", last.Info.Status, last.Chart.Metadata.Version, err)
	}
	// The Cluster API operator does not run here. After two minutes that is a problem.
	problems := slices.DeleteFunc(s.Explain(ctx), func(p cluster.Problem) bool {
		return p.Reason == "no status" && strings.Contains(p.Message, "Cluster API operator")
	})
	if len(problems) > 0 {
		t.Errorf("all is ready, and yet there is %v", problems)
	}
}

// fluxKinds makes the kinds of Flux, as its own modules define them, and those
// of k0rdent and of the Cluster API operator, and what kcm makes at its start:
// the registry as a HelmRepository, with its authority.
func (s *site) fluxKinds(ctx context.Context, t *testing.T, r *store) {
	t.Helper()
	kinds := fluxDefinitions(t)
	for _, k := range [][4]string{
		{"k0rdent.mirantis.com", "v1beta1", "Management", "Cluster"}, {"k0rdent.mirantis.com", "v1beta1", "Release", "Cluster"},
		{"k0rdent.mirantis.com", "v1beta1", "ProviderTemplate", "Cluster"}, {"k0rdent.mirantis.com", "v1beta1", "Credential", "Namespaced"},
		{"operator.cluster.x-k8s.io", "v1alpha2", "CoreProvider", "Namespaced"},
		{"operator.cluster.x-k8s.io", "v1alpha2", "InfrastructureProvider", "Namespaced"},
	} {
		kinds = append(kinds, crd(k[0], k[1], k[2], strings.ToLower(k[2])+"s", k[3]))
	}
	for _, u := range kinds {
		if _, err := s.objects.Resource(crds).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := os.ReadFile(r.ca)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureSecret(ctx, cluster.CASecret("registry-ca", ca)); err != nil {
		t.Fatal(err)
	}
	repository := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository", "metadata": map[string]any{"name": "kcm-templates", "namespace": cluster.Namespace},
		"spec": map[string]any{"type": "oci", "url": "oci://" + r.address + "/charts", "interval": "10m0s", "certSecretRef": map[string]any{"name": "registry-ca"}},
	}}
	waitFor(ctx, t, "the kinds of Flux to be served", func() bool {
		_, err := s.objects.Resource(helmRepositories).Namespace(cluster.Namespace).Create(ctx, repository, metav1.CreateOptions{})
		return err == nil
	})
}

// fluxDefinitions returns the kinds of Flux, as its own modules define them.
func fluxDefinitions(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(binaries, "../flux-kinds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := d.Decode(&u.Object); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(u.Object) > 0 {
			kinds = append(kinds, u)
		}
	}
	return kinds
}

// runFlux starts one of Flux's controllers next to the API server.
func (s *site) runFlux(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(filepath.Join(binaries, name))
	if err != nil {
		t.Fatal(err)
	}
	// There is no leader election outside a pod; the leases are played.
	// A chart that is not fetched yet, or a release that another waits for, is
	// looked at again after a second, not after half a minute.
	args := []string{"--metrics-addr=0", "--health-addr=0", "--requeue-dependency=1s"}
	if name == "source-controller" {
		ports, err := plane.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		address := "127.0.0.1:" + ports[0]
		args = append(args, "--storage-path="+dir, "--storage-addr="+address, "--storage-adv-addr="+address)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.plane.Kubeconfig, "RUNTIME_NAMESPACE="+cluster.Namespace)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
}
