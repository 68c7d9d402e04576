package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// everything is a site with all settings.
var everything = Site{
	Registry: registry, K0sURL: "https://registry.local/k0s", KubeVersion: "v1.35.4+k0s.0",
	CASecret: "registry-ca", CredsSecret: "registry-login", PullSecret: "registry-pull", HelmTimeout: 20 * time.Minute,
}

func derive(t *testing.T, c *Chart, site Site, inv Inventory) (map[string]any, []Note) {
	t.Helper()
	values, notes, err := c.Derive(context.Background(), site, inv)
	if err != nil {
		t.Fatal(err)
	}
	return values, notes
}

func asYAML(t *testing.T, v any) string {
	t.Helper()
	p, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// The derived values are those that the vendor documents, and the keys that the
// documentation misses.
func TestDeriveDocumentedValues(t *testing.T) {
	for _, row := range []struct {
		layout string
		site   Site
	}{{"1.0", documented}, {"1.1", documented}, {"1.2", documented}, {"1.4", everything}} {
		t.Run(row.layout, func(t *testing.T) {
			p, err := os.ReadFile("testdata/documented/" + row.layout + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := yaml.Unmarshal(p, &want); err != nil {
				t.Fatal(err)
			}
			c := platform(t, row.layout)
			got, _ := derive(t, c, row.site, inventory(row.layout))
			if g, w := asYAML(t, got), asYAML(t, want); g != w {
				t.Errorf("Derive returns\n%s\nwant\n%s", g, w)
			}
			if _, err := c.Render(got, row.site, FirstPass); err != nil {
				t.Errorf("Render(derived) = %v, want nil", err)
			}
		})
	}
}

// Values that a release does not support are reported, not set.
func TestDeriveUnsupportedValues(t *testing.T) {
	site := everything
	site.PlainHTTP = true
	values, notes := derive(t, platform(t, "1.0"), site, inventory("1.0"))
	var warned []string
	for _, n := range notes {
		if n.Warning {
			warned = append(warned, n.Value)
		}
	}
	for _, key := range []string{"controller.registryCertSecret", "controller.imagePullSecret", "controller.insecureRegistry"} {
		if !slices.Contains(warned, key) {
			t.Errorf("no warning about %s in %v", key, notes)
		}
	}
	if !slices.Contains(notes, Note{Text: "Deployment kcm-k0rdent-enterprise-controller-manager has no pull secret: no value of the chart sets one", Warning: true}) {
		t.Errorf("no warning about the controller's pull secret in %v", notes)
	}
	controller := values["controller"].(map[string]any)
	if controller["insecureRegistry"] != true || controller["registryCredsSecret"] != "registry-login" {
		t.Errorf("controller = %v, want insecureRegistry and registryCredsSecret set", controller)
	}
	for _, key := range []string{"registryCertSecret", "imagePullSecret", "k0sURLCertSecret", "defaultHelmTimeout"} {
		if _, ok := controller[key]; ok {
			t.Errorf("controller.%s is set, but the chart does not have it", key)
		}
	}
}

// Pods of all charts have the pull secret, each in the form that its chart expects.
func TestPullSecretReachesEveryPod(t *testing.T) {
	c := platform(t, "1.4")
	values, notes := derive(t, c, everything, inventory("1.4"))
	for _, n := range notes {
		if strings.Contains(n.Text, "has no pull secret") && n.Text != "Deployment kcm-k0rdent-ui has no pull secret: no value of the chart sets one" &&
			n.Text != "Deployment kcm-datasource-controller-manager has no pull secret: no value of the chart sets one" {
			t.Errorf("%s", n.Text)
		}
	}
	m, err := c.Render(values, everything, FirstPass)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"helm-controller", "kcm-flux-check", "velero", "kcm-rbac-manager", "kcm-reloader"} {
		i := slices.IndexFunc(m, func(o Object) bool { return o.Name() == name })
		spec, _ := podSpec(m[i].Content)
		if !hasPullSecret(spec, "registry-pull") {
			t.Errorf("%s has %v, want the pull secret", name, spec["imagePullSecrets"])
		}
	}
}

func TestDeriveOtherSites(t *testing.T) {
	c := platform(t, "1.2")
	// A registry without a prefix, and with the paths of the sources.
	site := documented
	site.Registry = "10.0.0.5:5000"
	inv := newMemory()
	inv.image("quay.io/jetstack/cert-manager-controller", "v1.19.1")
	inv.image("k0rdent-enterprise/kcm-controller", "1.2.3")
	values, notes := derive(t, c, site, inv)
	if got := text(values, "regional", "cert-manager", "image", "repository"); got != "10.0.0.5:5000/quay.io/jetstack/cert-manager-controller" {
		t.Errorf("cert-manager = %q, want the path with the source's host", got)
	}
	if got := text(values, "image", "repository"); got != "10.0.0.5:5000/k0rdent-enterprise/kcm-controller" {
		t.Errorf("controller = %q, want it below the vendor's prefix", got)
	}
	if !slices.Contains(notes, Note{Value: "flux2.cli.image", Text: "the registry has no counterpart of ghcr.io/fluxcd/flux-cli"}) {
		t.Errorf("no note about flux-cli in %v", notes)
	}
	// Without a registry, only the timeout is set.
	values, notes, err := c.Derive(context.Background(), Site{KubeVersion: "1.32", HelmTimeout: time.Hour}, nil)
	if want := "controller:\n  defaultHelmTimeout: 1h0m0s\n"; err != nil || asYAML(t, values) != want || len(notes) != 0 {
		t.Errorf("without a registry: %q, %v, %v, want %q", asYAML(t, values), notes, err, want)
	}
}

// The key for telemetry has moved twice; if a release has two, the newer one works.
func TestTelemetryIsDisabled(t *testing.T) {
	for _, row := range []struct{ values, path, want string }{
		{"controller: {enableTelemetry: true}", "controller.enableTelemetry", "false"},
		{"{controller: {enableTelemetry: true}, telemetry: {mode: online}}", "telemetry.mode", "disabled"},
		{"regional: {telemetry: {mode: online}}", "regional.telemetry.mode", "disabled"},
	} {
		d := &derivation{defaults: table(t, row.values), values: map[string]any{}}
		d.telemetry()
		if v, _ := lookup(d.values, parsePath(row.path)); fmt.Sprint(v) != row.want || len(d.values) != 1 {
			t.Errorf("%s becomes %v, want %s %s", row.values, d.values, row.path, row.want)
		}
	}
}

// A longer timeout of the chart is kept.
func TestTimeoutIsOnlyRaised(t *testing.T) {
	c := single(t, "controller: {defaultHelmTimeout: 30m}", "", nil)
	for timeout, want := range map[time.Duration]string{20 * time.Minute: "{}\n", time.Hour: "controller:\n  defaultHelmTimeout: 1h0m0s\n"} {
		values, _ := derive(t, c, Site{KubeVersion: "1.32", HelmTimeout: timeout}, nil)
		if got := asYAML(t, values); got != want {
			t.Errorf("a timeout of %v over one of 30m: %q, want %q", timeout, got, want)
		}
	}
}

func TestDeriveErrors(t *testing.T) {
	other := single(t, "image:\n  repository: a/b\n  tag: v1\n", "", nil)
	if _, _, err := other.Derive(context.Background(), documented, newMemory()); err == nil || !strings.Contains(err.Error(), "not the platform's chart") {
		t.Errorf("Derive of another chart: %v, want that it is not the platform's chart", err)
	}
	broken := errors.New("connection refused")
	if _, _, err := platform(t, "1.2").Derive(context.Background(), documented, silent{broken}); !errors.Is(err, broken) {
		t.Errorf("Derive with a registry that is down: %v, want %v", err, broken)
	}
	site := documented
	site.KubeVersion = ""
	if _, _, err := platform(t, "1.2").Derive(context.Background(), site, inventory("1.2")); err == nil {
		t.Error("Derive without a Kubernetes version = nil, want an error")
	}
}

// A silent registry does not answer.
type silent struct{ error }

func (s silent) Repositories(context.Context) ([]string, error) { return nil, s.error }
func (s silent) Tags(context.Context, string) ([]string, error) { return nil, s.error }
func (s silent) Resolve(context.Context, string, string) (string, error) {
	return "", s.error
}
func (s silent) Manifest(context.Context, string, string) ([]byte, string, error) {
	return nil, "", s.error
}
func (s silent) Blob(context.Context, string, string) (io.ReadCloser, error) { return nil, s.error }
