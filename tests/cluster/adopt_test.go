package cluster

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	release "helm.sh/helm/v4/pkg/release/v1"
	repo "helm.sh/helm/v4/pkg/repo/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// TestAdoption moves a release to the real helm-controller of either generation
// and back: 1.4 with Helm 3, as in kcm before 1.11, and 1.6 with Helm 4.
// No revision recreates an object or loses what others have written to it.
func TestAdoption(t *testing.T) {
	for _, tt := range []struct {
		name, controller string
		method           string // of applying, in the records that the controller has written
	}{
		{"Helm 3", "helm-controller-helm3", ""}, // Helm 3 knows one method, and drops the field
		{"Helm 4", "helm-controller", " csa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			built(t, "source-controller", tt.controller, "kube-apiserver")
			t.Parallel()
			runtime.LockOSThread() // the programs end with the thread that started them
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			s := alone(ctx, t, t.TempDir())
			if err := s.plane.Fake(ctx); err != nil {
				t.Fatal(err)
			}
			s.helmRepository(ctx, t, platform(t, "1.2.3"))
			s.runFlux(ctx, t, "source-controller")
			s.runFlux(ctx, t, tt.controller)

			s.install(ctx, t, "1.2.3", quick("fluxKinds", false), cluster.Installed)
			s.recorded(t, "deployed csa")
			s.annotate(ctx, t)
			before := s.live(t)
			s.managers(t, "k0rdent-install Update")

			s.adopt(ctx, t, quick("fluxKinds", false))
			s.kept(t, before)
			s.recorded(t, "superseded"+tt.method, "deployed"+tt.method)
			s.managers(t, "helm-controller Update", "k0rdent-install Update")
			if got := s.argument(ctx, t, "webhook-port"); got != "9443" {
				t.Errorf("webhook-port is %q, want the value of the second pass", got)
			}

			s.abandon(ctx, t)
			changed := quick("fluxKinds", false, "admissionWebhook.enabled", true, "controller.defaultHelmTimeout", "7m")
			s.install(ctx, t, "1.2.3", changed, cluster.Upgraded)
			s.kept(t, before)
			s.recorded(t, "superseded"+tt.method, "superseded"+tt.method, "deployed csa")
			if got := s.argument(ctx, t, "default-helm-timeout"); got != "7m" {
				t.Errorf("default-helm-timeout is %q, want the value that was changed", got)
			}
			s.removed(ctx, t)
		})
	}
}

// built skips the test where a program of .cache/bin is missing.
func built(t *testing.T, programs ...string) {
	t.Helper()
	for _, need := range programs {
		if _, err := exec.LookPath(filepath.Join(binaries, need)); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("NOT CHECKED: %v", err)
		}
	}
}

// helmRepository serves a chart to source-controller, as kcm-templates.
func (s *site) helmRepository(ctx context.Context, t *testing.T, ch *chart.Chart) {
	t.Helper()
	dir := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	_, err := chartutil.Save(ch, dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := repo.IndexDirectory(dir, server.URL)
	if err == nil {
		err = index.WriteFile(filepath.Join(dir, "index.yaml"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range fluxDefinitions(t) {
		if _, err := s.objects.Resource(crds).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	repository := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository", "metadata": map[string]any{"name": "kcm-templates", "namespace": cluster.Namespace},
		"spec": map[string]any{"url": server.URL, "interval": "10m0s"},
	}}
	waitFor(ctx, t, "the kinds of Flux to be served", func() bool {
		_, err := s.objects.Resource(helmRepositories).Namespace(cluster.Namespace).Create(ctx, repository, metav1.CreateOptions{})
		return err == nil
	})
}

// adopt has helm-controller upgrade the release to what kcm makes of its values,
// and waits until it has.
func (s *site) adopt(ctx context.Context, t *testing.T, v map[string]any) {
	t.Helper()
	const template = "kcm-1-2-3"
	k := &kcm{t: t, s: s}
	if err := k.helmChart(ctx, template); err != nil {
		t.Fatal(err)
	}
	set(v, "admissionWebhook.enabled", true)
	set(v, "controller.createManagement", false)
	var why string
	defer func() {
		if why != "" {
			t.Log(why)
		}
	}()
	waitFor(ctx, t, "helm-controller to upgrade the release", func() bool {
		var err error
		if why, err = k.component(ctx, cluster.ReleaseName, template, v); err != nil {
			why = err.Error()
		}
		return why == ""
	})
}

// abandon makes helm-controller release the Helm release.
func (s *site) abandon(ctx context.Context, t *testing.T) {
	t.Helper()
	client := s.objects.Resource(helmReleases).Namespace(cluster.Namespace)
	suspend := []byte(`{"spec":{"suspend":true}}`)
	if _, err := client.Patch(ctx, cluster.ReleaseName, types.MergePatchType, suspend, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(ctx, cluster.ReleaseName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "the HelmRelease to go", func() bool {
		_, err := client.Get(ctx, cluster.ReleaseName, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

// live returns the objects of the last revision, by kind and name.
func (s *site) live(t *testing.T) map[string]*resource.Info {
	t.Helper()
	cfg := s.helm()
	last, err := cfg.Releases.Last(cluster.ReleaseName)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := cfg.KubeClient.Build(strings.NewReader(last.Manifest), false)
	if err != nil {
		t.Fatal(err)
	}
	objects := make(map[string]*resource.Info)
	for _, i := range infos {
		if err := i.Get(); err != nil {
			t.Fatal(err)
		}
		objects[i.ObjectName()] = i
	}
	return objects
}

// foreign is what another program has noted on each object.
const foreign = "example.com/note"

// annotate writes to each object, as another program.
func (s *site) annotate(ctx context.Context, t *testing.T) {
	t.Helper()
	note := []byte(`{"metadata":{"annotations":{"` + foreign + `":"kept"}}}`)
	for name, i := range s.live(t) {
		helper := resource.NewHelper(i.Client, i.Mapping).WithFieldManager("operator")
		if _, err := helper.Patch(i.Namespace, i.Name, types.MergePatchType, note, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// kept fails the test for each object that is another one than before, or has
// lost the foreign note.
func (s *site) kept(t *testing.T, before map[string]*resource.Info) {
	t.Helper()
	now := s.live(t)
	for name, old := range before {
		i := now[name]
		if i == nil {
			t.Errorf("%s is not in the release any more", name)
			continue
		}
		is, was := accessor(t, i), accessor(t, old)
		if is.GetUID() != was.GetUID() {
			t.Errorf("%s was created anew", name)
		}
		if is.GetAnnotations()[foreign] != "kept" {
			t.Errorf("%s has annotations %v, want the foreign one kept", name, is.GetAnnotations())
		}
	}
}

// managers compares who has written to the objects of the release, and how,
// with want; the status and the foreign note aside.
func (s *site) managers(t *testing.T, want ...string) {
	t.Helper()
	found := make(map[string]bool)
	for _, i := range s.live(t) {
		for _, m := range accessor(t, i).GetManagedFields() {
			if m.Subresource == "" && m.Manager != "operator" {
				found[m.Manager+" "+string(m.Operation)] = true
			}
		}
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("the objects were written by %q, want %q", got, want)
	}
}

func accessor(t *testing.T, i *resource.Info) metav1.Object {
	t.Helper()
	o, err := meta.Accessor(i.Object)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// recorded compares the revisions, oldest first, with want: status and method of
// applying, as Helm 4 reads them.
func (s *site) recorded(t *testing.T, want ...string) {
	t.Helper()
	store := storage.Init(driver.NewSecrets(s.plane.Client.CoreV1().Secrets(cluster.Namespace)))
	history, err := store.History(cluster.ReleaseName)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(history))
	for _, record := range history {
		r := record.(*release.Release)
		got[r.Version-1] = strings.TrimSpace(string(r.Info.Status) + " " + r.ApplyMethod)
	}
	if !slices.Equal(got, want) {
		t.Errorf("revisions are %q, want %q", got, want)
	}
}

// removed uninstalls the release, and fails the test for each object that stays.
func (s *site) removed(ctx context.Context, t *testing.T) {
	t.Helper()
	before := s.live(t)
	if status, err := s.Uninstall(ctx, options.Timeout, nil); err != nil || status != cluster.Removed {
		t.Errorf("uninstall: %s, %v, want it removed", status, err)
	}
	for name, i := range before {
		if err := i.Get(); !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, want it gone", name, err)
		}
	}
	if history, err := s.helm().Releases.History(cluster.ReleaseName); err == nil {
		t.Errorf("%d revisions are left", len(history))
	}
}
