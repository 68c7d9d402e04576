package cluster

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/config"
)

// options are those of the tests: a hook has ten seconds.
var options = cluster.Options{Timeout: 10 * time.Second}

// install installs the chart and fails the test if it became something else.
func (s *site) install(ctx context.Context, t *testing.T, version string, v map[string]any, want cluster.Status) *cluster.Plan {
	t.Helper()
	p, err := s.InstallChart(ctx, platform(t, version), v, options)
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != want {
		t.Fatalf("chart %s was %s, want %s; changes: %v", version, p.Status, want, p.Changes)
	}
	return p
}

// ready waits for the platform.
func (s *site) ready(ctx context.Context, t *testing.T) *cluster.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	state, err := s.WaitReady(ctx, cluster.Watcher{
		Settle:    s.settle,
		Component: func(c cluster.Component) { t.Logf("component %s: %v %s", c.Name, c.Ready, c.Error) },
		Missing:   func(text string) { t.Log(text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// revisions returns the revisions of the release with their states, oldest first.
func (s *site) revisions(t *testing.T) []string {
	t.Helper()
	history, err := s.helm().Releases.History(cluster.ReleaseName)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(history, func(a, b *release.Release) int { return a.Version - b.Version })
	var list []string
	for _, r := range history {
		list = append(list, string(r.Info.Status))
	}
	return list
}

// management returns the object, which must exist.
func (s *site) management(ctx context.Context, t *testing.T) *unstructured.Unstructured {
	t.Helper()
	m, err := s.objects.Resource(managements).Get(ctx, "kcm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// argument returns one of the controller's arguments, from its pods.
func (s *site) argument(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	d, err := s.plane.Client.AppsV1().Deployments(cluster.Namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
		if value, found := strings.CutPrefix(arg, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

// TestInstallation is the whole life of a platform, each step on what the one
// before has left.
func TestInstallation(t *testing.T) {
	s, ctx := open(t)
	k := s.play(t)
	k.asReal()

	s.install(ctx, t, "1.2.3", values(), cluster.Installed)
	var reported []string
	soon, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	state, err := s.WaitReady(soon, cluster.Watcher{Component: func(c cluster.Component) {
		t.Logf("component %s: %v %s", c.Name, c.Ready, c.Error)
		reported = append(reported, c.Name+" "+map[bool]string{true: "ready", false: "waits"}[c.Ready])
	}})
	if err != nil {
		t.Fatal(err)
	}
	if state.Release != "kcm-1-2-3" || state.Version != "1.2.3" || len(state.Components) != 4 {
		t.Errorf("state = %+v, want 4 components of release kcm-1-2-3", state)
	}
	for _, name := range []string{"kcm", "capi", "cluster-api-provider-aws", "projectsveltos"} {
		if !slices.Contains(reported, name+" ready") {
			t.Errorf("reported %q, want %s ready among them", reported, name)
		}
	}
	if port := s.argument(ctx, t, "webhook-port"); port != "9443" {
		t.Errorf("the webhook's port is %q: no second pass", port)
	}

	t.Run("again", func(t *testing.T) {
		before := s.revisions(t)
		s.install(ctx, t, "1.2.3", values(), cluster.Unchanged)
		s.ready(ctx, t)
		if after := s.revisions(t); !slices.Equal(before, after) || s.argument(ctx, t, "webhook-port") != "9443" {
			t.Errorf("revisions were %q and are %q: the second pass was undone", before, after)
		}
	})
	t.Run("changed values", func(t *testing.T) { changedValues(ctx, t, s) })
	t.Run("another version", func(t *testing.T) {
		_, err := s.InstallChart(ctx, platform(t, "1.3.0"), values(), options)
		if other, ok := errors.AsType[*cluster.VersionError](err); !ok || other.Have != "1.2.3" || other.Want != "1.3.0" {
			t.Errorf("error = %v, want that 1.2.3 runs and 1.3.0 is wanted", err)
		}
	})
	t.Run("upgrade", func(t *testing.T) { upgrade(ctx, t, s) })
	t.Run("uninstall", func(t *testing.T) { uninstall(ctx, t, s) })
}

// changedValues go to Management, on top of what others have put there.
func changedValues(ctx context.Context, t *testing.T, s *site) {
	p := s.install(ctx, t, "1.2.3", values("controller.defaultHelmTimeout", "20m"), cluster.Configured)
	if len(p.Changes) != 1 || p.Changes[0] != `controller.defaultHelmTimeout: "20m"` {
		t.Errorf("changes = %v, want the timeout alone", p.Changes)
	}
	s.ready(ctx, t)
	if got := s.argument(ctx, t, "default-helm-timeout"); got != "20m" {
		t.Errorf("the controller's timeout is %q, want 20m", got)
	}
	if s.argument(ctx, t, "webhook-port") != "9443" {
		t.Error("the second pass was undone")
	}

	m := s.management(ctx, t)
	if err := unstructured.SetNestedField(m.Object, "by hand", "spec", "core", "kcm", "config", "note"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.objects.Resource(managements).Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.install(ctx, t, "1.2.3", values("controller.defaultHelmTimeout", "30m"), cluster.Configured)
	note, _, _ := unstructured.NestedString(s.management(ctx, t).Object, "spec", "core", "kcm", "config", "note")
	if note != "by hand" {
		t.Errorf("note = %q, want what was put there by hand", note)
	}
}

func upgrade(ctx context.Context, t *testing.T, s *site) {
	text, err := releaseObject("1.3.0").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	r, err := cluster.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	more := values("regional.velero.image.repository", registry+"/velero/velero")
	plan, err := s.PlanUpgrade(ctx, r, more)
	if err != nil || plan.Have != "kcm-1-2-3" || plan.Want != "kcm-1-3-0" || plan.Status != cluster.Upgraded || len(plan.Changes) != 1 {
		t.Fatalf("plan = %+v, %v, want kcm-1-2-3 to kcm-1-3-0 with one more value", plan, err)
	}
	if _, err := s.Upgrade(ctx, r, more, nil); err != nil {
		t.Fatal(err)
	}
	state := s.ready(ctx, t)
	if state.Running != "kcm-1-3-0" || state.Version != "1.3.0" {
		t.Errorf("state = %+v, want kcm-1-3-0 running", state)
	}
	s.install(ctx, t, "1.3.0", more, cluster.Unchanged)
	if plan, err = s.Upgrade(ctx, r, more, nil); err != nil || plan.Status != cluster.Unchanged {
		t.Errorf("again: %+v, %v, want it unchanged", plan, err)
	}
	velero, err := s.plane.Client.AppsV1().Deployments(cluster.Namespace).Get(ctx, "velero", metav1.GetOptions{})
	if err != nil || velero.Spec.Template.Spec.Containers[0].Image != registry+"/velero/velero:v1.17.0" {
		t.Errorf("velero's image is not the one that was added: %v, %v", velero.Spec.Template.Spec.Containers, err)
	}
}

func uninstall(ctx context.Context, t *testing.T, s *site) {
	child := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k0rdent.mirantis.com/v1beta1", "kind": "ClusterDeployment",
		"metadata": map[string]any{"name": "shop", "namespace": cluster.Namespace},
	}}
	if _, err := s.objects.Resource(deployments).Namespace(cluster.Namespace).Create(ctx, child, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Uninstall(ctx, options.Timeout, nil); !errors.Is(err, cluster.ErrInUse) || !strings.Contains(err.Error(), "clusterdeployment kcm-system/shop") {
		t.Fatalf("error = %v, want that the cluster shop is in use", err)
	}
	s.management(ctx, t) // still there
	if err := s.objects.Resource(deployments).Namespace(cluster.Namespace).Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	login := cluster.OpenStack{Name: "stack", AuthURL: "https://stack.example:5000/v3", ApplicationCredentialID: "id", ApplicationCredentialSecret: config.Hidden("a secret")}
	if status, _, err := s.EnsureCredential(ctx, login); err != nil || status != cluster.Created {
		t.Fatalf("credential: %s, %v", status, err)
	}
	waitFor(ctx, t, "kcm to hold the credential", func() bool {
		u, err := s.objects.Resource(credentials).Namespace(cluster.Namespace).Get(ctx, "stack", metav1.GetOptions{})
		return err == nil && len(u.GetFinalizers()) > 0
	})
	if status, err := s.Uninstall(ctx, options.Timeout, nil); err != nil || status != cluster.Removed {
		t.Fatalf("uninstall: %s, %v", status, err)
	}
	for _, name := range []string{"managements.k0rdent.mirantis.com", "credentials.k0rdent.mirantis.com", "helmreleases.helm.toolkit.fluxcd.io"} {
		if _, err := s.objects.Resource(crds).Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("kind %s is left: %v", name, err)
		}
	}
	if list, err := s.plane.Client.AppsV1().Deployments(cluster.Namespace).List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("Deployments are left: %d, %v", len(list.Items), err)
	}
	if status, err := s.Uninstall(ctx, options.Timeout, nil); err != nil || status != cluster.Unchanged {
		t.Errorf("uninstall again: %s, %v, want it unchanged", status, err)
	}
}

// waitFor waits for what has no event of its own.
func waitFor(ctx context.Context, t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited for %s in vain", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestBeforeTheController is the time in which the release is Helm's alone.
func TestBeforeTheController(t *testing.T) {
	s, ctx := open(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	s.install(ctx, t, "1.2.3", quick(), cluster.Unchanged)
	s.install(ctx, t, "1.2.3", quick("controller.defaultHelmTimeout", "20m"), cluster.Upgraded)
	p := s.install(ctx, t, "1.3.0", quick("controller.defaultHelmTimeout", "20m"), cluster.Upgraded)
	if p.Have != "1.2.3" || p.Want != "1.3.0" || len(p.Changes) > 0 {
		t.Errorf("plan = %+v, want 1.2.3 to 1.3.0 and the same values", p)
	}
	if got, want := s.revisions(t), []string{"superseded", "superseded", "deployed"}; !slices.Equal(got, want) {
		t.Errorf("revisions are %q, want %q", got, want)
	}
}

// TestTwoAtOnce lets two runs install at the same time: one does, the other
// waits for it and finds it done.
func TestTwoAtOnce(t *testing.T) {
	s, ctx := open(t)
	other, err := cluster.Open(s.plane.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	got := make([]cluster.Status, 2)
	var waited sync.Map
	for i, c := range []*cluster.Cluster{s.Cluster, other} {
		both.Go(func() {
			o := options
			o.Warn = func(line string) { waited.Store(line, true) }
			p, err := c.InstallChart(ctx, platform(t, "1.2.3"), values(), o)
			if err != nil {
				t.Errorf("run %d: %v", i, err)
				return
			}
			got[i] = p.Status
		})
	}
	both.Wait()
	slices.Sort(got)
	if want := []cluster.Status{cluster.Installed, cluster.Unchanged}; !reflect.DeepEqual(got, want) {
		t.Errorf("the two runs: %q, want %q", got, want)
	}
	if got := s.revisions(t); !slices.Equal(got, []string{"deployed"}) {
		t.Errorf("revisions are %q, want one", got)
	}
	lines := 0
	waited.Range(func(line, _ any) bool {
		lines++
		if !strings.Contains(line.(string), "another run (") {
			t.Errorf("reported: %s", line)
		}
		return true
	})
	if lines != 1 {
		t.Errorf("%d lines, want one about the run that waits", lines)
	}
	if _, err := s.plane.Client.CoordinationV1().Leases(cluster.Namespace).Get(ctx, "k0rdent-install", metav1.GetOptions{}); err == nil {
		t.Error("the lease is still there")
	}
}
