package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/client"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/tests/samplebundle"
)

// store is an oci-serve with releases of the sample bundle in it.
type store struct {
	address, ca            string
	log                    string // file of what it writes to stderr
	username, passwordFile string // "" where it requires no login
}

// serve starts oci-serve with a certificate of its own; it ends with the test.
func serve(ctx context.Context, t *testing.T, host string, flags ...string) *store {
	t.Helper()
	dir := t.TempDir()
	s := &store{log: filepath.Join(dir, "log")}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := append([]string{"--host", host, "--port", "0", "--storage", filepath.Join(dir, "storage"), "--tls", "auto"}, flags...)
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "oci-serve"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r record.Registry
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	s.address, s.ca = r.Address, r.CA
	return s
}

// push brings a release of the sample into the registry.
func (s *store) push(ctx context.Context, t *testing.T, release string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := samplebundle.WriteDir(dir, samplebundle.Options{Release: release}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "oci-push"), "--to", s.address, "--ca", s.ca, "--quiet", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("oci-push: %v\n%s", err, out)
	}
}

// hostArgs are the flags of k0s-up for a host of the registry.
func (s *store) hostArgs(more ...string) []string {
	return append([]string{"--registry", s.address, "--ca", s.ca, "--ignore", "images,loopback,memory,network,ports,sysinfo,system,time", "--quiet", "--timeout", "3m"}, more...)
}

// args are the flags of an installation from the registry.
func (s *store) args(more ...string) []string {
	return append([]string{"--registry", s.address, "--ca", s.ca, "--ignore", "cpu,disk,loopback,memory", "--quiet", "--timeout", "3m", "--helm-timeout", "30s"}, more...)
}

// sampled plays kcm for the chart of the sample bundle, which comes without the
// kinds of k0rdent. As Flux does, it takes that chart from the registry.
func (s *site) sampled(ctx context.Context, t *testing.T, r *store) *kcm {
	t.Helper()
	for _, k := range [][3]string{{"Management", "managements", "Cluster"}, {"Release", "releases", "Cluster"}, {"ProviderTemplate", "providertemplates", "Cluster"}, {"Credential", "credentials", "Namespaced"}, {"HelmRelease", "helmreleases", "Namespaced"}} {
		group, version := "k0rdent.mirantis.com", "v1beta1"
		if k[0] == "HelmRelease" {
			group, version = "helm.toolkit.fluxcd.io", "v2"
		}
		u := crd(group, version, k[0], k[1], k[2])
		u.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm"}) // so that Helm takes them over in other tests
		u.SetAnnotations(map[string]string{"meta.helm.sh/release-name": cluster.ReleaseName, "meta.helm.sh/release-namespace": cluster.Namespace})
		if _, err := s.objects.Resource(crds).Create(ctx, u, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	return s.playWith(t, func(version string) *chart.Chart {
		ch, err := r.chart(ctx, version)
		if err != nil {
			t.Errorf("chart %s: %v", version, err)
			return &chart.Chart{Metadata: &chart.Metadata{}}
		}
		return ch
	})
}

// chart gets the platform's chart.
func (s *store) chart(ctx context.Context, version string) (*chart.Chart, error) {
	registry, err := client.New(client.Options{At: s.address, CAFile: s.ca, Username: s.username, PasswordFile: s.passwordFile})
	if err != nil {
		return nil, err
	}
	if err := registry.Connect(ctx); err != nil {
		return nil, err
	}
	const name = "charts/k0rdent-enterprise"
	_, raw, err := registry.Manifest(ctx, name, version)
	if err != nil {
		return nil, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, err
	}
	tgz := registry.Blob(ctx, name, manifest.Layers[0].Digest)
	defer tgz.Close()
	return loader.LoadArchive(tgz)
}

// here makes the node of this host's name, which the installation waits for.
func (s *site) here(ctx context.Context, t *testing.T) {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name = strings.ToLower(name)
	if _, err := s.plane.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// aHost returns a host that is ready to install from a registry, and a kcm that will
// take over.
func aHost(t *testing.T) (context.Context, *site, *host, *store) {
	t.Helper()
	s, ctx := open(t)
	h := newHost(t, s)
	s.here(ctx, t)
	r := serve(ctx, t, "127.0.0.1")
	r.push(ctx, t, "1.2.3")
	s.sampled(ctx, t, r)
	if got := h.run(ctx, t, "k0s-mirror-config", "--mirror", "https://"+r.address, "--ca", r.ca, "--quiet"); got.code != 0 {
		t.Fatalf("k0s-mirror-config: %d\n%s", got.code, got.stderr)
	}
	return ctx, s, h, r
}

// aNode returns such a host after k0s-up, which has started the API server.
func aNode(t *testing.T) (context.Context, *site, *host, *store) {
	t.Helper()
	ctx, s, h, r := aHost(t)
	if got := h.run(ctx, t, "k0s-up", r.hostArgs()...); got.code != 0 {
		t.Fatalf("k0s-up: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	return ctx, s, h, r
}

// TestProgram is the life of a platform in the hands of the programs themselves:
// chart and images from a real registry over TLS, an API server that the
// stand-in for k0s starts.
func TestProgram(t *testing.T) {
	ctx, s, h, r := aHost(t)
	install := func(want string, more ...string) ran {
		t.Helper()
		got := h.run(ctx, t, "k0rdent-install", r.args(more...)...)
		if steps := got.steps(t); got.code != 0 || !has(steps, want) {
			t.Fatalf("k0rdent-install %q: %d, want 0 and %s\n%s\n%s", more, got.code, want, got.stdout, got.stderr)
		}
		for line := range strings.Lines(got.stderr) {
			if !strings.HasPrefix(line, "k0rdent-install: ") && !strings.HasPrefix(line, "hint: ") {
				t.Errorf("somebody else wrote to stderr: %s", line)
			}
		}
		return got
	}
	up := func(want string, more ...string) ran {
		t.Helper()
		got := h.run(ctx, t, "k0s-up", r.hostArgs(more...)...)
		if steps := got.steps(t); got.code != 0 || !has(steps, want) {
			t.Fatalf("k0s-up %q: %d, want 0 and %s\n%s\n%s", more, got.code, want, got.stdout, got.stderr)
		}
		return got
	}
	install("helm planned", "--plan")
	if _, err := s.helm().Releases.History(cluster.ReleaseName); err == nil {
		t.Error("a plan has installed something")
	}
	if got := up("k0s-start done, k0s-ready done"); !strings.Contains(got.stdout, `{"kind":"cluster","kubeconfig":"/var/lib/k0s/pki/admin.conf"`) {
		t.Errorf("no record of the cluster:\n%s", got.stdout)
	}
	install("secrets done, helm done, ready done")
	s.secretHolds(ctx, t, "k0rdent-registry-ca", "ca.crt", "BEGIN CERTIFICATE")
	s.fromRegistry(ctx, t, r)
	before := s.revisions(t)
	up("k0s-start unchanged, k0s-ready unchanged")
	install("secrets unchanged, helm unchanged, ready unchanged")
	if after := s.revisions(t); !slices.Equal(before, after) {
		t.Errorf("revisions were %q and are %q", before, after)
	}
	install("secrets unchanged, helm done, ready done", "--set", "controller.enableSveltosCtrl=false")
	config := s.management(ctx, t).Object["spec"].(map[string]any)["core"].(map[string]any)["kcm"].(map[string]any)["config"].(map[string]any)
	if got := config["controller"].(map[string]any)["enableSveltosCtrl"]; got != false {
		t.Errorf("the value that was set is %v in Management, want false", got)
	}

	r.push(ctx, t, "1.3.0")
	install("upgrade planned", "--upgrade", "--release", "1.3.0", "--plan")
	install("upgrade done, ready done", "--upgrade", "--release", "1.3.0")
	if got := s.ready(ctx, t); got.Running != "kcm-1-3-0" {
		t.Errorf("%s runs, want kcm-1-3-0", got.Running)
	}
	s.fromRegistry(ctx, t, r)

	// The host does not go before the platform.
	if got := h.run(ctx, t, "k0s-up", "--reset", "--yes", "--quiet"); got.code != 1 || !strings.Contains(got.stderr, "platform: k0rdent is installed in this cluster") {
		t.Errorf("k0s-up --reset with the platform: %d\n%s", got.code, got.stderr)
	}
	for _, ignored := range []bool{false, true} { // as in install.sh, which removes the platform itself
		args := []string{"--reset", "--plan", "--quiet"}
		if ignored {
			args = append(args, "--ignore", "platform")
		}
		if got := h.run(ctx, t, "k0s-up", args...); got.code != 0 || strings.Contains(got.stderr, "k0rdent-install --uninstall") == ignored {
			t.Errorf("k0s-up %q with the platform: %d\n%s", args, got.code, got.stderr)
		}
	}
	if got := h.run(ctx, t, "k0rdent-install", "--uninstall", "--yes", "--quiet"); got.code != 0 || !has(got.steps(t), "platform done") {
		t.Errorf("--uninstall: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if data, err := s.ReadSecret(ctx, "k0rdent-registry-ca"); err != nil || data != nil {
		t.Errorf("the Secret is still there: %v", err)
	}
	if got := h.run(ctx, t, "k0s-up", "--reset", "--yes", "--quiet"); got.code != 0 || !has(got.steps(t), "k0s-reset done") {
		t.Errorf("k0s-up --reset: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if _, err := s.helm().Releases.History(cluster.ReleaseName); err == nil {
		t.Error("the release is still there")
	}
	if _, err := os.Stat(filepath.Join(h.dir, "upper/var/lib/k0s/pki")); err == nil {
		t.Error("k0s's data is still there")
	}
}

// TestForeignCluster: on a cluster that k0s-up did not make, the host is neither changed
// nor required to have a k0s, and unchecked items are reported. What was pushed is what is
// installed, from whatever host.
func TestForeignCluster(t *testing.T) {
	s, ctx := open(t)
	h := newHost(t, s)
	r := serve(ctx, t, "127.0.0.1")
	r.push(ctx, t, "1.2.3")
	s.sampled(ctx, t, r)
	if err := os.Remove(filepath.Join(h.dir, "upper/usr/local/bin/k0s")); err != nil {
		t.Fatal(err)
	}
	before := h.files(t)
	args := r.args("--kubeconfig", s.plane.Kubeconfig)
	got := h.run(ctx, t, "k0rdent-install", append(args, "--plan")...)
	if got.code != 0 || !has(got.steps(t), "secrets planned, helm planned, ready planned") {
		t.Fatalf("the plan: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{"nodes: not checked: every node of this cluster must be able to pull from " + r.address, "and trust the certificates of " + r.ca} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr has no %q:\n%s", want, got.stderr)
		}
	}
	got = h.run(ctx, t, "k0rdent-install", args...)
	if got.code != 0 || !has(got.steps(t), "secrets done, helm done, ready done") {
		t.Fatalf("%d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	s.fromRegistry(ctx, t, r)
	if got := h.run(ctx, t, "k0rdent-install", "--kubeconfig", s.plane.Kubeconfig, "--uninstall", "--yes", "--quiet"); got.code != 0 || !has(got.steps(t), "platform done") {
		t.Errorf("--uninstall: %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	if after := h.files(t); after != before {
		t.Errorf("the host was changed:\n%s\nwas\n%s", after, before)
	}
}

// files lists what was written on the host.
func (h *host) files(t *testing.T) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(h.dir, "upper"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// has reports whether a run had the steps "name status, name status".
func has(steps map[string]record.Step, want string) bool {
	for _, w := range strings.Split(want, ", ") {
		name, status, _ := strings.Cut(w, " ")
		if steps[name].Status != status {
			return false
		}
	}
	return true
}

// fromRegistry fails the test for each pod with an image from elsewhere.
func (s *site) fromRegistry(ctx context.Context, t *testing.T, r *store) {
	t.Helper()
	all, err := s.plane.Client.AppsV1().Deployments(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(all.Items) == 0 {
		t.Fatalf("%d Deployments, %v", len(all.Items), err)
	}
	for _, d := range all.Items {
		for _, c := range d.Spec.Template.Spec.Containers {
			if !strings.HasPrefix(c.Image, r.address+"/") {
				t.Errorf("%s wants %s, want it from %s", d.Name, c.Image, r.address)
			}
		}
	}
}

// TestProgramKilled kills the program each time when it has got one step
// further, until there is nothing left to do.
func TestProgramKilled(t *testing.T) {
	ctx, s, h, r := aHost(t)
	for _, tool := range []struct {
		name  string
		args  []string
		steps []string
	}{
		{"k0s-up", r.hostArgs(), []string{"preflight", "k0s.yaml", "k0s-install", "k0s-start", "k0s-ready"}},
		{"k0rdent-install", r.args(), []string{"preflight", "secrets", "helm", "ready", "report"}},
	} {
		passed := make(map[string]bool)
		for runs := 1; ; runs++ {
			if runs > 20 {
				t.Fatalf("20 runs did not get past %v", passed)
			}
			step := h.killed(ctx, t, passed, tool.name, tool.args...)
			if step == "" {
				break
			}
			passed[step] = true
		}
		for _, step := range tool.steps {
			if !passed[step] {
				t.Errorf("no run was killed after %s, only after %v", step, passed)
			}
		}
	}
	s.ready(ctx, t)
	s.fromRegistry(ctx, t, r)
	// Helm may have written that the first is deployed after Flux made the second.
	if got := s.revisions(t); len(got) != 2 || got[1] != "deployed" {
		t.Errorf("revisions are %q, want the first and the second pass", got)
	}
}

// killed runs the program until it has written the record of a step that is
// not in passed, kills it, and returns the step, or "" if the program ended by
// itself.
func (h *host) killed(ctx context.Context, t *testing.T, passed map[string]bool, tool string, args ...string) (step string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(tools, tool))
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command(ctx, append([]string{path}, args...)...)
	var text strings.Builder
	cmd.Stderr = &text
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for line, err := range record.Read(out) {
		var s record.Step
		if err != nil || line.Kind != s.Kind() {
			continue
		}
		if err := line.Decode(&s); err != nil {
			t.Fatal(err)
		}
		if !passed[s.Name] {
			step = s.Name
			_ = cmd.Process.Kill() // it may have ended by itself
			break
		}
	}
	err = cmd.Wait()
	if step == "" && err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, text.String())
	}
	return step
}
