package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/record"
)

// TestPlanOfWhatIsThere: the plan for a site that is as it should be has nothing
// in it, and the plan for one value has that alone.
func TestPlanOfWhatIsThere(t *testing.T) {
	ctx, _, h, r := aNode(t)
	if got := h.run(ctx, t, "k0rdent-install", r.args()...); got.code != 0 {
		t.Fatalf("%d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	got := h.run(ctx, t, "k0rdent-install", r.args("--plan")...)
	for name, s := range got.steps(t) {
		if s.Status == record.StatusPlanned && name != "report" || got.code != 0 {
			t.Errorf("%d, %+v, want nothing to do", got.code, s)
		}
	}
	got = h.run(ctx, t, "k0rdent-install", r.args("--plan", "--set", "k0rdent-ui.replicas=2")...)
	steps := got.steps(t)
	if want := "k0rdent-enterprise 1.2.3 configured, 1 value changes"; steps["helm"].Detail != want || steps["ready"].Status != record.StatusPlanned || steps["secrets"].Status != record.StatusUnchanged {
		t.Errorf("%+v, %+v, %+v, want %s alone", steps["helm"], steps["ready"], steps["secrets"], want)
	}
}

// TestProgramTakesNothingAwayThatIsInUse: while there is a child cluster, a
// removal changes nothing, and the host stays.
func TestProgramTakesNothingAwayThatIsInUse(t *testing.T) {
	ctx, s, h, r := aNode(t)
	if got := h.run(ctx, t, "k0rdent-install", r.args()...); got.code != 0 {
		t.Fatalf("%d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	kind := crd("k0rdent.mirantis.com", "v1beta1", "ClusterDeployment", "clusterdeployments", "Namespaced")
	kind.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm"})
	kind.SetAnnotations(map[string]string{"meta.helm.sh/release-name": cluster.ReleaseName, "meta.helm.sh/release-namespace": cluster.Namespace})
	if _, err := s.objects.Resource(crds).Create(ctx, kind, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	child := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k0rdent.mirantis.com/v1beta1", "kind": "ClusterDeployment",
		"metadata": map[string]any{"name": "child", "namespace": cluster.Namespace},
	}}
	children := s.objects.Resource(deployments).Namespace(cluster.Namespace)
	for ctx.Err() == nil {
		if _, err := children.Create(ctx, child, metav1.CreateOptions{}); err == nil {
			break // the kind is served some time after it was made
		}
		time.Sleep(50 * time.Millisecond)
	}
	before := s.revisions(t)
	got := h.run(ctx, t, "k0rdent-install", "--uninstall", "--yes", "--quiet")
	if got.code != 1 || !strings.Contains(got.stderr, "clusterdeployment kcm-system/child") || !has(got.steps(t), "platform failed") {
		t.Errorf("%d, want it refused\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if got := h.run(ctx, t, "k0s-up", "--reset", "--yes", "--quiet"); got.code != 1 || !has(got.steps(t), "preflight failed, k0s-stop skipped, k0s-reset skipped, files skipped") {
		t.Errorf("k0s-up --reset: %d, want it refused\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if after := s.revisions(t); !slices.Equal(before, after) {
		t.Errorf("revisions were %q and are %q", before, after)
	}
	if err := children.Delete(ctx, "child", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := h.run(ctx, t, "k0rdent-install", "--uninstall", "--yes", "--quiet"); got.code != 0 {
		t.Errorf("without the child: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
}

// TestProgramReportsAlthoughACredentialFails: the platform is up, and how to
// reach it is reported, but the run has failed.
func TestProgramReportsAlthoughACredentialFails(t *testing.T) {
	ctx, _, h, r := aNode(t)
	h.write(t, "etc/k0rdentd/clouds.yaml", []byte("aws: [{name: a, accessKeyID: i, secretAccessKey: verysecret}]\nopenstack: [{name: o, authURL: https://o, username: u, password: verysecret, projectName: p}]\n"))
	got := h.run(ctx, t, "k0rdent-install", r.args("--credentials", "/etc/k0rdentd/clouds.yaml", "--verbose")...)
	steps := got.steps(t)
	if got.code != 1 || !has(steps, "ready done, credentials failed, report unchanged") || !strings.Contains(steps["credentials"].Error, "AWSClusterStaticIdentity") {
		t.Errorf("%d, %+v, want the cloud's missing kind, and a report\n%s", got.code, steps["credentials"], got.stderr)
	}
	if strings.Contains(got.stdout+got.stderr, "verysecret") {
		t.Error("a secret is in the output")
	}
	h.write(t, "etc/k0rdentd/clouds.yaml", []byte("openstack: [{name: o, authURL: https://o, username: u, password: verysecret, projectName: p}]\n"))
	for _, want := range []string{"credentials unchanged", "credentials unchanged"} {
		if got := h.run(ctx, t, "k0rdent-install", r.args("--credentials", "/etc/k0rdentd/clouds.yaml")...); got.code != 0 || !has(got.steps(t), want) {
			t.Errorf("%d, want %s\n%s\n%s", got.code, want, got.stdout, got.stderr)
		}
	}
}
