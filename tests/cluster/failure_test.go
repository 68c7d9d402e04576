package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/storage/driver"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// waited is how long something took, in an error.
var waited = regexp.MustCompile(`after (\d+)s`)

// says reports whether an error contains a text. A duration such as "after 3s" may be a few
// seconds longer on a busy machine.
func says(err error, want string) bool {
	message := err.Error()
	if w, s := waited.FindStringSubmatch(want), waited.FindStringSubmatch(message); w != nil && s != nil {
		allowed, _ := strconv.Atoi(w[1]) // digits, both
		took, _ := strconv.Atoi(s[1])
		if took < allowed || took > allowed+5 {
			return false
		}
		want, message = strings.Replace(want, w[0], "after", 1), strings.Replace(message, s[0], "after", 1)
	}
	return strings.Contains(message, want)
}

// stuck fails the test unless the error is a StuckError that says all of this.
func stuck(t *testing.T, err error, want ...string) {
	t.Helper()
	if _, stuck := errors.AsType[*cluster.StuckError](err); !stuck {
		t.Fatalf("error = %v, want a StuckError", err)
	}
	t.Log(err)
	for _, w := range want {
		if !says(err, w) {
			t.Errorf("error = %v, want %q in it", err, w)
		}
	}
	for _, w := range []string{"context deadline exceeded", "timed out waiting"} {
		if strings.Contains(err.Error(), w) {
			t.Errorf("error = %v, want none of %q in it", err, w)
		}
	}
}

func TestHookFails(t *testing.T) {
	s, ctx := open(t)
	failing := values("flux2.cli.image", "10.0.0.5:5000/failing/flux-cli")
	_, err := s.InstallChart(ctx, platform(t, "1.2.3"), failing, options)
	stuck(t, err, "installing 1.2.3: its pre-install hook failed", "pod kcm-system/kcm-flux-check-", "exit code 3", "Kubernetes version v1.20.0 does not match >=1.33.0-0")
	if got := s.revisions(t); !slices.Equal(got, []string{"failed"}) {
		t.Errorf("revisions are %q, want the failed one, to be looked at", got)
	}
	s.install(ctx, t, "1.2.3", values(), cluster.Installed)
	if got := s.revisions(t); !slices.Equal(got, []string{"failed", "deployed"}) {
		t.Errorf("revisions are %q, want a second one that is deployed", got)
	}
}

func TestHookImageIsMissing(t *testing.T) {
	s, ctx := open(t)
	absent := values("flux2.cli.image", "10.0.0.5:5000/absent/flux-cli")
	var warnings []string
	o := cluster.Options{Timeout: 3 * time.Second, Atomic: true, Warn: func(line string) { warnings = append(warnings, line) }}
	_, err := s.InstallChart(ctx, platform(t, "1.2.3"), absent, o)
	stuck(t, err, "pod kcm-system/kcm-flux-check-", "image 10.0.0.5:5000/absent/flux-cli:v2.6.4", "ImagePullBackOff", "code = NotFound", "; rolled back")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "10.0.0.5:5000/absent/flux-cli:v2.6.4") {
		t.Errorf("warnings = %q, want the image, once", warnings)
	}
	if _, err := s.helm().Releases.History(cluster.ReleaseName); !errors.Is(err, driver.ErrReleaseNotFound) {
		t.Errorf("history: %v, want that there is no release", err)
	}
}

// TestHookTakesTooLong names the pod that is waited for, though nothing is wrong
// with it.
func TestHookTakesTooLong(t *testing.T) {
	s, ctx := open(t)
	slow := quick("flux2.enabled", true, "flux2.cli.image", "10.0.0.5:5000/slow/flux-cli")
	_, err := s.InstallChart(ctx, platform(t, "1.2.3"), slow, cluster.Options{Timeout: time.Second})
	stuck(t, err, "its pre-install hook failed (after 1s): pod kcm-system/kcm-flux-check-", "Pending")
}

// TestHookInterrupted ends the wait for a hook with the run.
func TestHookInterrupted(t *testing.T) {
	s, ctx := open(t)
	run, interrupt := context.WithCancel(ctx)
	var at time.Time
	go func() { // ends with the hook's pod or with ctx
		for ctx.Err() == nil && at.IsZero() {
			time.Sleep(100 * time.Millisecond)
			pods, err := s.plane.Client.CoreV1().Pods(cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=kcm-flux-check"})
			if err == nil && len(pods.Items) > 0 {
				at = time.Now()
				interrupt()
			}
		}
	}()
	slow := quick("flux2.enabled", true, "flux2.cli.image", "10.0.0.5:5000/slow/flux-cli")
	_, err := s.InstallChart(run, platform(t, "1.2.3"), slow, cluster.Options{Timeout: time.Minute})
	if !errors.Is(err, context.Canceled) || at.IsZero() || time.Since(at) > 20*time.Second {
		t.Errorf("error = %v %s after the interruption, want it at once", err, time.Since(at))
	}
}

// TestHookIsLeft waits until the hook of an earlier run is gone, which takes a
// while, before it makes the same hook anew.
func TestHookIsLeft(t *testing.T) {
	s, ctx := open(t)
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	const held = "example.com/held"
	one := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "a"}}}
	left := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "kcm-flux-check", Finalizers: []string{held}},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: one}},
	}
	jobs := s.plane.Client.BatchV1().Jobs(cluster.Namespace)
	if _, err := jobs.Create(ctx, left, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() { // ends with the Job or with ctx
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			job, err := jobs.Get(ctx, left.Name, metav1.GetOptions{})
			if err != nil || job.DeletionTimestamp == nil {
				continue
			}
			time.Sleep(2 * time.Second)
			_, err = jobs.Patch(ctx, left.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			released <- err
			return
		}
	}()
	s.install(ctx, t, "1.2.3", quick("flux2.enabled", true), cluster.Installed)
	if err := <-released; err != nil {
		t.Error(err)
	}
}

// TestUpgradeFails rolls a release back.
func TestUpgradeFails(t *testing.T) {
	s, ctx := open(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	failing := quick("flux2.enabled", true, "flux2.crds.migration.enabled", true, "flux2.cli.image", "10.0.0.5:5000/failing/flux-cli")
	_, err := s.InstallChart(ctx, platform(t, "1.2.4"), failing, cluster.Options{Timeout: 10 * time.Second, Atomic: true})
	stuck(t, err, "upgrading 1.2.4: its pre-upgrade hook failed", "pod kcm-system/kcm-flux-migrate-", "exit code 3", "; rolled back")
	if got := s.revisions(t); !slices.Equal(got, []string{"superseded", "failed", "deployed"}) {
		t.Errorf("revisions are %q, want the first one again as the third", got)
	}
	s.install(ctx, t, "1.2.3", quick(), cluster.Unchanged)
}

// TestSchemaRefuses touches nothing.
func TestSchemaRefuses(t *testing.T) {
	s, ctx := open(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	bad := quick("regional.telemetry.mode", "sometimes")
	atomic := cluster.Options{Timeout: options.Timeout, Atomic: true}
	if _, err := s.InstallChart(ctx, platform(t, "1.2.3"), bad, atomic); err == nil || !strings.Contains(err.Error(), "/telemetry/mode") && !strings.Contains(err.Error(), "telemetry.mode") {
		t.Errorf("error = %v, want the schema's, with the key", err)
	}
	if got := s.revisions(t); !slices.Equal(got, []string{"deployed"}) {
		t.Errorf("revisions are %q, want the first one untouched", got)
	}
}

func TestComponentNeverReady(t *testing.T) {
	s, ctx := open(t)
	k := s.play(t)
	k.breaks("capi", "HelmRelease kcm-system/capi is not yet ready: install retries exhausted")
	s.install(ctx, t, "1.2.3", quick("regional.velero.image.repository", "10.0.0.5:5000/absent/velero"), cluster.Installed)
	waitFor(ctx, t, "kcm to get as far as it can", func() bool {
		state, err := s.State(ctx)
		return err == nil && state != nil && strings.HasPrefix(state.Message, "components not ready: capi, cluster-api-provider-aws, projectsveltos")
	})
	// A loaded machine may need longer to find out why nothing has changed.
	var stalls [][]cluster.Problem
	for limit := 5 * time.Second; len(stalls) == 0 && limit < time.Minute; limit *= 5 {
		short, cancel := context.WithTimeout(ctx, limit)
		_, err := s.WaitReady(short, cluster.Watcher{Quiet: time.Second, Stalled: func(_ time.Duration, p []cluster.Problem) { stalls = append(stalls, p) }})
		cancel()
		stuck(t, err, fmt.Sprintf("not ready: components not ready: capi, cluster-api-provider-aws, projectsveltos (after %v): pod", limit),
			"pod kcm-system/velero-", "image 10.0.0.5:5000/absent/velero:v1.17.0", "component capi: HelmRelease kcm-system/capi is not yet ready: install retries exhausted")
	}
	if len(stalls) == 0 || len(stalls[0]) == 0 || stalls[0][0].Image != "10.0.0.5:5000/absent/velero:v1.17.0" {
		t.Errorf("stalls = %v, want some, with the image first", stalls)
	}
	k.heals("capi")
	s.install(ctx, t, "1.2.3", quick("regional.velero.image.repository", registry+"/velero/velero"), cluster.Configured)
	s.ready(ctx, t)
}

// TestFluxHasGivenUp begins anew with a HelmRelease that has no retries left.
func TestFluxHasGivenUp(t *testing.T) {
	s, ctx := open(t)
	s.play(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	s.ready(ctx, t)
	client := s.objects.Resource(helmReleases).Namespace(cluster.Namespace)
	u, err := client.Get(ctx, "kcm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	failed := conditionOf("Ready", false, "UpgradeFailed", "Helm upgrade failed: exceeded maximum retries: cannot remediate failed release", u.GetGeneration())
	if err := unstructured.SetNestedSlice(u.Object, []any{failed}, "status", "conditions"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpdateStatus(ctx, u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.ready(ctx, t)
	for name, stalled := range map[string]bool{"kcm": true, "capi": false} {
		u, err := s.objects.Resource(helmReleases).Namespace(cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		requested, reset := u.GetAnnotations()["reconcile.fluxcd.io/requestedAt"], u.GetAnnotations()["reconcile.fluxcd.io/resetAt"]
		if (requested != "") != stalled || requested != reset {
			t.Errorf("helmrelease %s: asked at %q, reset at %q; it has given up: %v", name, requested, reset, stalled)
		}
	}
}

func TestUninstallIsHeld(t *testing.T) {
	s, ctx := open(t)
	k := s.play(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	s.ready(ctx, t)
	k.pause(true)
	short, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	_, err := s.Uninstall(short, options.Timeout, nil)
	stuck(t, err, "management kcm is held by the finalizer "+finalizer)
	k.pause(false)
	if status, err := s.Uninstall(ctx, options.Timeout, nil); err != nil || status != cluster.Removed {
		t.Errorf("uninstall again: %s, %v, want it removed", status, err)
	}
}

// childVariable makes this program install the chart, with the kubeconfig that
// it names, and with images of a hook that never ends.
const childVariable = "K0RDENT_TEST_CHILD"

func child() int {
	c, err := cluster.Open(os.Getenv(childVariable))
	if err == nil {
		ch, failure := loader.LoadDir("testdata/platform")
		if failure != nil {
			fmt.Println(failure)
			return 1
		}
		v := values(os.Getenv("K0RDENT_TEST_SLOW"), "10.0.0.5:5000/slow/image")
		_, err = c.InstallChart(context.Background(), ch, v, cluster.Options{Timeout: time.Minute})
	}
	fmt.Println(err)
	return 1
}

// TestKilled kills a run in the middle of a hook, and runs again.
func TestKilled(t *testing.T) {
	tests := []struct {
		name, slow, hook string
		want             []string // revisions after the second run
	}{
		{"before anything is created", "flux2.cli.image", "kcm-flux-check", []string{"failed", "deployed"}},
		{"after all is created", "regional.cert-manager.startupapicheck.image.repository", "kcm-cert-manager-startupapicheck", []string{"failed", "deployed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ctx := open(t)
			if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
				t.Fatal(err)
			}
			run := exec.Command(os.Args[0])
			run.Env = append(os.Environ(), childVariable+"="+s.plane.Kubeconfig, "K0RDENT_TEST_SLOW="+tt.slow)
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(ctx, t, "the hook", func() bool {
				pods, err := s.plane.Client.CoreV1().Pods(cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + tt.hook})
				return err == nil && len(pods.Items) > 0
			})
			if err := run.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = run.Wait() // it says that it was killed
			if got := s.revisions(t); !slices.Equal(got, []string{"pending-install"}) {
				t.Fatalf("revisions are %q, want one that is pending", got)
			}
			s.install(ctx, t, "1.2.3", values(), cluster.Installed)
			if got := s.revisions(t); !slices.Equal(got, tt.want) {
				t.Errorf("revisions are %q, want %q", got, tt.want)
			}
			s.install(ctx, t, "1.2.3", values(), cluster.Unchanged)
		})
	}
}
