package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aChart returns the platform's chart in a version.
func aChart(version string) *chart.Chart {
	return &chart.Chart{Metadata: &chart.Metadata{Name: "k0rdent-enterprise", Version: version}}
}

// TestPlanChart plans from Helm's records until kcm has taken over, then from
// Management.
func TestPlanChart(t *testing.T) {
	values := map[string]any{"a": 1}
	t.Run("records", func(t *testing.T) {
		f := newFake(t)
		plan := func(version string) *Plan {
			t.Helper()
			p, err := f.PlanChart(t.Context(), aChart(version), values)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if p := plan("1.2.3"); p.Status != Installed || p.Have != "" {
			t.Errorf("%+v, want it installed", p)
		}
		for _, r := range past(common.StatusDeployed, common.StatusPendingUpgrade) {
			r.Namespace = Namespace
			if err := f.helm().Releases.Create(r); err != nil {
				t.Fatal(err)
			}
		}
		p := plan("1.2.3")
		if p.Status != Upgraded || p.Have != "1.2.3" || p.pending == nil || p.revision != 2 || p.deployed != 1 {
			t.Errorf("%+v, want the revision of a killed run", p)
		}
		// Helm refuses to start while an operation seems to be in progress.
		if err := failPending(f.helm(), p.pending); err != nil {
			t.Fatal(err)
		}
		if p := plan("1.2.3"); p.Status != Upgraded || p.pending != nil || p.deployed != 1 {
			t.Errorf("%+v, want that it failed", p)
		}
	})
	tests := []struct {
		name, version string
		values        map[string]any
		want          Status
		changes       int
	}{
		{"the same", "1.2.3", nil, Unchanged, 0},
		{"the same with a v", "v1.2.3", nil, Unchanged, 0},
		{"other values", "1.2.3", values, Configured, 1},
	}
	for _, tt := range tests {
		f := newFake(t, management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3"), aReadyRelease(t, "1.2.3"))
		p, err := f.PlanChart(t.Context(), aChart(tt.version), tt.values)
		if err != nil || p.Status != tt.want || len(p.Changes) != tt.changes || p.Have != "1.2.3" {
			t.Errorf("%s: %+v, %v, want %s with %d changes", tt.name, p, err, tt.want, tt.changes)
		}
	}
	f := newFake(t, management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3"), aReadyRelease(t, "1.2.3"))
	_, err := f.PlanChart(t.Context(), aChart("1.3.0"), nil)
	if _, other := errors.AsType[*VersionError](err); !other || err.Error() != "release kcm: version 1.2.3 is running, not 1.3.0" {
		t.Errorf("error = %v, want a VersionError", err)
	}
	leaving := management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3")
	now := metav1.Now()
	leaving.SetDeletionTimestamp(&now)
	f.put(leaving)
	if _, err := f.PlanChart(t.Context(), aChart("1.2.3"), nil); err == nil || err.Error() != "management kcm is being deleted" {
		t.Errorf("error = %v, want that it is being deleted", err)
	}
}

// TestInstallChartAfterTakeover changes Management's values, and leaves Helm's release
// to Flux.
func TestInstallChartAfterTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3"), aReadyRelease(t, "1.2.3"))
		for _, want := range []Status{Configured, Unchanged} {
			p, err := f.InstallChart(t.Context(), aChart("1.2.3"), map[string]any{"a": 1, "b": map[string]any{"c": "d"}}, Options{})
			if err != nil || p.Status != want {
				t.Errorf("%+v, %v, want it %s", p, err, want)
			}
		}
		m, err := f.management(t.Context())
		if err != nil || text(valuesOf(m)) != `{"a":1,"b":{"c":"d"}}` {
			t.Errorf("management has %s, %v, want the values", text(valuesOf(m)), err)
		}
		if secrets, err := f.api.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil || len(secrets.Items) > 0 {
			t.Errorf("%d records of Helm, %v, want none", len(secrets.Items), err)
		}
		if _, err := f.api.CoreV1().Namespaces().Get(t.Context(), Namespace, metav1.GetOptions{}); err != nil || f.held() != "" {
			t.Errorf("namespace: %v, lease held by %q, want the namespace, and the lease free", err, f.held())
		}
	})
}

// TestReason has the pods' messages for a failed hook, and Helm's for everything else.
func TestReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, aNode("a"))
		start := time.Now()
		time.Sleep(time.Minute)
		pod := Problem{Object: "pod kcm-system/check", Reason: "ImagePullBackOff", weight: pull}
		install, upgrade := &Plan{Status: Installed, Want: "1.2.3"}, &Plan{Status: Upgraded, Want: "1.3.0"}
		tests := []struct {
			err      string
			problems []Problem
			plan     *Plan
			want     string
		}{
			{"failed pre-install: 1 error occurred", []Problem{pod}, install,
				"release kcm: installing 1.2.3: its pre-install hook failed (after 1m0s): pod kcm-system/check: ImagePullBackOff"},
			{"pre-upgrade hooks failed: timed out", nil, upgrade, "release kcm: upgrading 1.3.0: its pre-upgrade hook failed (after 1m0s)"},
			{"failed post-install: x", nil, install, "release kcm: installing 1.2.3: its post-install hook failed (after 1m0s)"},
			{"values don't meet the specifications of the schema", []Problem{pod}, install,
				"release kcm: installing 1.2.3: values don't meet the specifications of the schema"},
		}
		for _, tt := range tests {
			if got := f.reason(t.Context(), errors.New(tt.err), tt.problems, tt.plan, start); got == nil || got.Error() != tt.want {
				t.Errorf("reason(%q) = %v, want %s", tt.err, got, tt.want)
			}
		}
		interrupted := errors.New("interrupted")
		ctx, stop := context.WithCancelCause(t.Context())
		stop(interrupted)
		if got := f.reason(ctx, errors.New("failed pre-install: x"), nil, install, start); !errors.Is(got, interrupted) {
			t.Errorf("reason = %v, want the interrupt", got)
		}
	})
}
