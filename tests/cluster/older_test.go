package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	helm3action "helm.sh/helm/v3/pkg/action"
	helm3release "helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// helm3Install installs the platform as the versions of this program with Helm 3
// in them did.
func (s *site) helm3Install(t *testing.T, v map[string]any) {
	t.Helper()
	ch, err := helm3(platform(t, "1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	install := helm3action.NewInstall(s.helm())
	install.ReleaseName, install.Namespace, install.Timeout = cluster.ReleaseName, cluster.Namespace, 10*time.Second
	if _, err := install.Run(ch, v); err != nil {
		t.Fatal(err)
	}
}

// TestOlderRelease continues with what Helm 3 has left in the cluster: a release
// that is deployed, that failed, or whose run was killed.
func TestOlderRelease(t *testing.T) {
	for _, tt := range []struct {
		status helm3release.Status
		same   cluster.Status // what the same chart and values become
		want   []string       // revisions after other values
	}{
		{helm3release.StatusDeployed, cluster.Unchanged, []string{"superseded", "deployed csa"}},
		{helm3release.StatusFailed, cluster.Installed, []string{"failed", "superseded csa", "deployed csa"}},
		{helm3release.StatusPendingInstall, cluster.Installed, []string{"failed", "superseded csa", "deployed csa"}},
	} {
		t.Run(string(tt.status), func(t *testing.T) {
			s, ctx := open(t)
			s.olderRelease(ctx, t, tt.status)
			before := s.live(t)
			s.annotate(ctx, t)
			s.install(ctx, t, "1.2.3", quick(), tt.same)
			s.kept(t, before)
			s.install(ctx, t, "1.2.3", quick("controller.defaultHelmTimeout", "7m"), cluster.Upgraded)
			s.kept(t, before)
			s.recorded(t, tt.want...)
			if got := s.argument(ctx, t, "default-helm-timeout"); got != "7m" {
				t.Errorf("default-helm-timeout is %q, want the value that was changed", got)
			}
		})
	}
	t.Run("back to it", func(t *testing.T) {
		s, ctx := open(t)
		s.olderRelease(ctx, t, helm3release.StatusDeployed)
		before := s.live(t)
		s.annotate(ctx, t)
		failing := quick("flux2.enabled", true, "flux2.crds.migration.enabled", true, "flux2.cli.image", "10.0.0.5:5000/failing/flux-cli")
		_, err := s.InstallChart(ctx, platform(t, "1.2.4"), failing, cluster.Options{Timeout: 10 * time.Second, Atomic: true})
		stuck(t, err, "upgrading 1.2.4: its pre-upgrade hook failed", "; rolled back")
		s.recorded(t, "superseded", "failed csa", "deployed csa")
		s.kept(t, before)
	})
	t.Run("away with it", func(t *testing.T) {
		s, ctx := open(t)
		s.olderRelease(ctx, t, helm3release.StatusDeployed)
		s.removed(ctx, t)
	})
}

// olderRelease brings a release of Helm 3 into this state.
func (s *site) olderRelease(ctx context.Context, t *testing.T, status helm3release.Status) {
	t.Helper()
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	s.helm3Install(t, quick())
	cfg := s.helm()
	last, err := cfg.Releases.Last(cluster.ReleaseName)
	if err != nil {
		t.Fatal(err)
	}
	last.SetStatus(status, "")
	if err := cfg.Releases.Update(last); err != nil {
		t.Fatal(err)
	}
}

// TestRemovalLeavesOthers reports an object that is not the release's any more,
// and leaves it.
func TestRemovalLeavesOthers(t *testing.T) {
	s, ctx := open(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	note := []byte(`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"somebody"}}}`)
	client := s.plane.Client.AppsV1().Deployments(cluster.Namespace)
	if _, err := client.Patch(ctx, deployment, types.MergePatchType, note, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	var reported []string
	status, err := s.Uninstall(ctx, options.Timeout, func(line string) { reported = append(reported, line) })
	if err != nil || status != cluster.Removed {
		t.Errorf("uninstall: %s, %v, want it removed", status, err)
	}
	if len(reported) != 1 || !strings.Contains(reported[0], "kind Deployment, name "+deployment) {
		t.Errorf("reported = %q, want the Deployment that stays", reported)
	}
	if _, err := client.Get(ctx, deployment, metav1.GetOptions{}); err != nil {
		t.Errorf("deployment: %v, want it left", err)
	}
}
