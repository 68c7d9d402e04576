package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func yamlObject(text []byte, u *unstructured.Unstructured) error {
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	return u.UnmarshalJSON(raw)
}

// management returns Management/kcm as it is once generation is ready.
func management(t *testing.T, generation int, release string, components ...string) *unstructured.Unstructured {
	text := fmt.Sprintf(`
apiVersion: k0rdent.mirantis.com/v1beta1
kind: Management
metadata: {name: kcm, generation: %[1]d}
spec: {release: %[2]s, providers: [{name: projectsveltos}]}
status:
  observedGeneration: %[1]d
  release: %[2]s
  conditions: [{type: Ready, status: "True", reason: AllComponentsHealthy, observedGeneration: %[1]d}]
  components:
`, generation, release)
	for _, c := range components {
		name, template, _ := strings.Cut(c, "=")
		text += fmt.Sprintf("    %s: {template: %s, success: true}\n", name, template)
	}
	return anObject(t, text)
}

// helmRelease returns a component's HelmRelease as helm-controller leaves it.
func helmRelease(t *testing.T, name string, generation int, template, version string) *unstructured.Unstructured {
	return anObject(t, fmt.Sprintf(`
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: %[1]s, namespace: kcm-system, generation: %[2]d}
spec: {releaseName: %[1]s, chartRef: {kind: HelmChart, name: %[3]s}}
status:
  observedGeneration: %[2]d
  lastAttemptedRevision: %[4]s
  lastAttemptedConfigDigest: "sha256:%[2]d"
  conditions: [{type: Ready, status: "True", reason: UpgradeSucceeded, observedGeneration: %[2]d}]
  history:
  - {version: %[2]d, status: deployed, chartVersion: %[4]s, configDigest: "sha256:%[2]d"}
`, name, generation, template, version))
}

func template(t *testing.T, name, version string) *unstructured.Unstructured {
	return anObject(t, fmt.Sprintf(`
apiVersion: k0rdent.mirantis.com/v1beta1
kind: ProviderTemplate
metadata: {name: %[1]s}
spec: {helm: {chartSpec: {chart: a, version: %[2]s}}}
status: {valid: true, chartVersion: %[2]s, chartRef: {kind: HelmChart, name: %[1]s, namespace: kcm-system}}
`, name, version))
}

func aReadyRelease(t *testing.T, version string) *unstructured.Unstructured {
	return anObject(t, fmt.Sprintf(`
apiVersion: k0rdent.mirantis.com/v1beta1
kind: Release
metadata: {name: kcm-%s, generation: 1}
spec: {version: %s, kcm: {template: a}, capi: {template: b}}
status: {ready: true, observedGeneration: 1}
`, strings.ReplaceAll(version, ".", "-"), version))
}

const kcmLease = "31c555b4.k0rdent.mirantis.com"

// aPlatform returns a platform of two components that has been ready for a while, as
// generation 1 of Management, with the templates of the next version.
func aPlatform(t *testing.T, more ...runtime.Object) *fake {
	t.Helper()
	f := newFake(t, append([]runtime.Object{
		management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3", "projectsveltos=projectsveltos-1-1-1"),
		aReadyRelease(t, "1.2.3"), aReadyRelease(t, "1.3.0"),
		template(t, "kcm-1-2-3", "1.2.3"), template(t, "kcm-1-3-0", "1.3.0"), template(t, "projectsveltos-1-1-1", "1.1.1"),
		helmRelease(t, "kcm", 1, "kcm-1-2-3", "1.2.3"), helmRelease(t, "projectsveltos", 1, "projectsveltos-1-1-1", "1.1.1"),
		aDeployment("kcm-controller-manager"), aDeployment("helm-controller"),
		aLease(Namespace, kcmLease, metav1.NowMicro()), aLease(Namespace, "helm-controller-leader-election", metav1.NowMicro()),
	}, more...)...)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go f.beat(ctx, Namespace, kcmLease)
	go f.beat(ctx, Namespace, "helm-controller-leader-election")
	return f
}

// waitReady returns how long WaitReady took and what it reported.
func (f *fake) waitReady(timeout time.Duration) (took time.Duration, reported []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	start := time.Now()
	_, err = f.WaitReady(ctx, Watcher{
		Component: func(c Component) { reported = append(reported, fmt.Sprintf("%s: %v %s", c.Name, c.Ready, c.Error)) },
		Missing:   func(text string) { reported = append(reported, text) },
	})
	return time.Since(start), reported, err
}

// TestReadyTooEarly has kcm report a state from a cache that lacks its own change, as
// after each change of Management.
func TestReadyTooEarly(t *testing.T) {
	const done = time.Minute // how long the upgrade takes
	tests := []struct {
		name    string
		release string
		changed func(t *testing.T) *unstructured.Unstructured // HelmRelease kcm, just changed
		after   func(t *testing.T) *unstructured.Unstructured
	}{
		{"upgrade", "kcm-1-3-0", func(t *testing.T) *unstructured.Unstructured {
			return with(t, helmRelease(t, "kcm", 1, "kcm-1-2-3", "1.2.3"), `"generation":1`, `"generation":2`, `"name":"kcm-1-2-3"`, `"name":"kcm-1-3-0"`)
		}, func(t *testing.T) *unstructured.Unstructured { return helmRelease(t, "kcm", 2, "kcm-1-3-0", "1.3.0") }},
		{"changed values", "kcm-1-2-3", func(t *testing.T) *unstructured.Unstructured {
			return with(t, helmRelease(t, "kcm", 1, "kcm-1-2-3", "1.2.3"), `"generation":1`, `"generation":2`)
		}, func(t *testing.T) *unstructured.Unstructured { return helmRelease(t, "kcm", 2, "kcm-1-2-3", "1.2.3") }},
		// The HelmRelease is about to change, and nothing shows it yet.
		{"unseen", "kcm-1-2-3", func(t *testing.T) *unstructured.Unstructured { return helmRelease(t, "kcm", 1, "kcm-1-2-3", "1.2.3") },
			func(t *testing.T) *unstructured.Unstructured { return helmRelease(t, "kcm", 2, "kcm-1-2-3", "1.2.3") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := aPlatform(t)
				now := management(t, 2, tt.release, "kcm="+tt.release, "projectsveltos=projectsveltos-1-1-1")
				f.put(tt.changed(t))
				f.put(now)
				go func() {
					time.Sleep(2 * time.Second)
					f.put(with(t, now, `"reason":"AllComponentsHealthy","status":"True"`, `"message":"Components not ready: [kcm]","reason":"NotAllComponentsHealthy","status":"False"`,
						`{"success":true,"template":"`+tt.release+`"}`, `{"success":false,"error":"HelmRelease kcm-system/kcm is not yet ready: Running 'upgrade' action","template":"`+tt.release+`"}`))
					time.Sleep(done)
					f.put(tt.after(t))
					f.put(now)
				}()
				took, reported, err := f.waitReady(20 * time.Minute)
				if err != nil || took < done+settle {
					t.Errorf("ready after %v, %v: want 15 seconds after the upgrade, %v\n%q", took, err, done+settle, reported)
				}
				if !has(reported, "kcm: false") || !has(reported, "checking that it stays so for 15s") {
					t.Errorf("reported: %q, want kcm as not ready, and then what is missing", reported)
				}
			})
		})
	}
}

// TestReadyNeeds removes one condition of readiness at a time.
func TestReadyNeeds(t *testing.T) {
	kcm := func(t *testing.T, oldnew ...string) runtime.Object {
		return with(t, helmRelease(t, "kcm", 1, "kcm-1-2-3", "1.2.3"), oldnew...)
	}
	tests := []struct {
		name string
		now  func(t *testing.T) runtime.Object
		want string
	}{
		{"observed values", func(t *testing.T) runtime.Object { return kcm(t, `"generation":1`, `"generation":2`) }, "helm-controller has not finished its latest change (generation 1 of 2)"},
		{"Ready", func(t *testing.T) runtime.Object {
			return kcm(t, `"reason":"UpgradeSucceeded","status":"True"`, `"message":"Running 'upgrade' action","reason":"Progressing","status":"Unknown"`)
		}, "helmrelease kcm-system/kcm: Running 'upgrade' action"},
		{"success", func(t *testing.T) runtime.Object {
			return kcm(t, `"reason":"UpgradeSucceeded","status":"True"`, `"message":"context deadline exceeded","reason":"UpgradeFailed","status":"False"`)
		}, "helmrelease kcm-system/kcm: context deadline exceeded"},
		{"a deployed revision", func(t *testing.T) runtime.Object {
			return kcm(t, `"status":"deployed"`, `"status":"failed"`)
		}, "its latest revision is failed"},
		{"the last attempted values", func(t *testing.T) runtime.Object {
			return kcm(t, `"lastAttemptedConfigDigest":"sha256:1"`, `"lastAttemptedConfigDigest":"sha256:2"`)
		}, "its latest values are not deployed yet"},
		{"the last attempted chart", func(t *testing.T) runtime.Object {
			return kcm(t, `"lastAttemptedRevision":"1.2.3"`, `"lastAttemptedRevision":"1.3.0"`)
		}, "chart version 1.2.3 is deployed, but 1.3.0 was attempted last"},
		{"the template's chart", func(t *testing.T) runtime.Object {
			return kcm(t, `"name":"kcm-1-2-3"`, `"name":"kcm-1-1-0"`)
		}, "refers to chart kcm-1-1-0, but template kcm-1-2-3 to kcm-1-2-3"},
		{"the chart's version", func(t *testing.T) runtime.Object { return template(t, "kcm-1-2-3", "1.2.4") }, "chart version 1.2.3 is deployed, but 1.2.4 is requested"},
		{"a change that is not held back", func(t *testing.T) runtime.Object {
			return kcm(t, `"generation":1`, `"generation":2`, `"spec":{`, `"spec":{"suspend":true,`)
		}, "was suspended before its latest change"},
		{"a Deployment that is observed", func(t *testing.T) runtime.Object {
			d := aDeployment("kcm-controller-manager")
			d.Generation = 2
			return d
		}, "deployment kcm-system/kcm-controller-manager: its latest change has not been processed yet"},
		{"pods of the latest kind", func(t *testing.T) runtime.Object {
			d := aDeployment("kcm-controller-manager")
			d.Status.UpdatedReplicas = 0
			return d
		}, "0 of 1 pods are updated"},
		{"no other pods", func(t *testing.T) runtime.Object {
			d := aDeployment("kcm-controller-manager")
			d.Status.Replicas = 2
			return d
		}, "pods from before its latest change are still running (1)"},
		{"pods that are available", func(t *testing.T) runtime.Object {
			d := aDeployment("helm-controller")
			d.Status.AvailableReplicas = 0
			return d
		}, "deployment kcm-system/helm-controller: 0 of 1 pods are available"},
		{"the new release", func(t *testing.T) runtime.Object {
			return with(t, management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3"), `"spec":{"providers":[{"name":"projectsveltos"}],"release":"kcm-1-2-3"}`, `"spec":{"release":"kcm-1-3-0"}`)
		}, "release kcm-1-3-0 is requested, but kcm-1-2-3 is running"},
		{"a HelmRelease", func(t *testing.T) runtime.Object {
			return management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3", "capi=capi-1")
		}, "helmrelease kcm-system/capi does not exist"},
		{"a template", func(t *testing.T) runtime.Object { return management(t, 1, "kcm-1-2-3", "kcm=kcm-9") }, "providertemplate kcm-9 does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := aPlatform(t)
				f.put(tt.now(t))
				const long = 2 * settle
				took, reported, err := f.waitReady(long)
				if _, stuck := errors.AsType[*StuckError](err); !stuck || took < long {
					t.Fatalf("%v after %v, want it not ready for %v", err, took, long)
				}
				if !has(reported, tt.want) {
					t.Errorf("reported: %q, want %q", reported, tt.want)
				}
			})
		})
	}
}

// TestReadyStays requires a platform to stay ready.
func TestReadyStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := aPlatform(t)
		took, reported, err := f.waitReady(time.Minute)
		if err != nil || took < settle || took > settle+2*pause {
			t.Errorf("nothing changes: %v after %v, want it ready after %v\n%q", err, took, settle, reported)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := aPlatform(t)
		go func() { // change something each time before the second check
			for n := range 4 {
				time.Sleep(10 * time.Second)
				f.put(helmRelease(t, "kcm", n+2, "kcm-1-2-3", "1.2.3"))
			}
		}()
		if took, _, err := f.waitReady(5 * time.Minute); err != nil || took < 40*time.Second+settle {
			t.Errorf("%v after %v, want it ready %v after the last change, at 40s", err, took, settle)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := aPlatform(t)
		if took, _, err := f.waitReady(10 * time.Second); err == nil || took > 11*time.Second || !strings.Contains(err.Error(), "everything is ready; checking that it stays so for 15s") {
			t.Errorf("%v after %v, want a timeout", err, took)
		}
	})
}

// TestReadyAfterRestart has controllers that do not restart with k0s, although every
// object looks as it did before.
func TestReadyAfterRestart(t *testing.T) {
	for _, name := range []string{"source-controller-leader-election", "kube-controller-manager"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				namespace := Namespace
				if name == "kube-controller-manager" {
					namespace = metav1.NamespaceSystem
				}
				f := aPlatform(t, aLease(namespace, name, metav1.NowMicro()))
				const back = 80 * time.Second
				ctx, cancel := context.WithCancel(context.Background())
				t.Cleanup(cancel)
				go func() {
					time.Sleep(back)
					f.beat(ctx, namespace, name)
				}()
				took, reported, err := f.waitReady(10 * time.Minute)
				if err != nil || took < back {
					t.Errorf("%v after %v, want it ready once %s is renewed, after %v", err, took, name, back)
				}
				if !has(reported, "lease "+namespace+"/"+name+" not renewed") {
					t.Errorf("reported: %q, want the lease", reported)
				}
			})
		})
	}
}
