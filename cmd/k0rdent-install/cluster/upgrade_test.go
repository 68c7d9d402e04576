package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// nextRelease returns the new Release 1.4.0, which has one more provider.
func nextRelease(t *testing.T) *Release {
	t.Helper()
	text := strings.NewReplacer("1-2-3", "1-4-0", "1.2.3", "1.4.0", "  - {name: projectsveltos", "  - {name: aws, template: aws-1-0-0}\n  - {name: projectsveltos").Replace(aRelease)
	r, err := ParseRelease([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlanUpgrade(t *testing.T) {
	current, err := ParseRelease([]byte(aRelease))
	if err != nil {
		t.Fatal(err)
	}
	more := map[string]any{"controller": map[string]any{"globalRegistry": "r"}}
	m := management(t, 1, "kcm-1-2-3", "kcm=kcm-1-2-3")
	tests := []struct {
		name       string
		management *unstructured.Unstructured
		release    *Release
		values     map[string]any
		want       UpgradePlan // Changes and New by their number
		changes    int
		new        string
		err        string
	}{
		{"nothing to do", m, current, nil, UpgradePlan{Status: Unchanged, Have: "kcm-1-2-3", Want: "kcm-1-2-3"}, 0, "", ""},
		{"other values", m, current, more, UpgradePlan{Status: Configured, Have: "kcm-1-2-3", Want: "kcm-1-2-3"}, 1, "", ""},
		{"another release", m, nextRelease(t), more, UpgradePlan{Status: Upgraded, Have: "kcm-1-2-3", Want: "kcm-1-4-0"}, 1, "aws", ""},
		{"nothing is installed", nil, current, nil, UpgradePlan{}, 0, "", "management kcm does not exist, so there is nothing to upgrade"},
		{"a provider that the release has not", with(t, m, `"name":"projectsveltos"`, `"name":"lost"`), current, nil, UpgradePlan{}, 0, "",
			"release kcm-1-2-3 has no provider lost, which management kcm enables"},
		{"such a provider with a template of its own", with(t, m, `"name":"projectsveltos"`, `"name":"own","template":"own-1"`), current, nil,
			UpgradePlan{Status: Unchanged, Have: "kcm-1-2-3", Want: "kcm-1-2-3"}, 0, "projectsveltos", ""},
	}
	for _, tt := range tests {
		f := newFake(t)
		if tt.management != nil {
			f.put(tt.management)
		}
		p, err := f.PlanUpgrade(t.Context(), tt.release, tt.values)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: error = %v, want %s", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || p.Status != tt.want.Status || p.Have != tt.want.Have || p.Want != tt.want.Want || len(p.Changes) != tt.changes || strings.Join(p.New, " ") != tt.new {
			t.Errorf("%s: %+v, %v, want %+v with %d changes and the providers %q", tt.name, p, err, tt.want, tt.changes, tt.new)
		}
	}
}

// TestUpgrade changes Management once, when kcm has found all of the new Release's
// templates, and retries while its webhook is not up.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := aPlatform(t)
		down := apierrors.NewInternalError(errors.New(`failed calling webhook "validation.management.k0rdent.mirantis.com": connection refused`))
		failing(&f.objects.Fake, "update", "managements", down, down)
		const found = 40 * time.Second
		go func() {
			time.Sleep(found)
			f.put(with(t, aReadyRelease(t, "1.4.0"), `"ready":true`, `"ready":true,"of":"kcm"`))
		}()
		start := time.Now()
		p, err := f.Upgrade(t.Context(), nextRelease(t), map[string]any{"a": 1}, nil)
		if err != nil || p.Status != Upgraded || p.Have != "kcm-1-2-3" {
			t.Fatalf("%+v, %v, want it upgraded", p, err)
		}
		if took := time.Since(start); took < found {
			t.Errorf("it took %v, want it to wait for the templates, %v", took, found)
		}
		m, err := f.management(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if name, _, _ := unstructured.NestedString(m.Object, "spec", "release"); name != "kcm-1-4-0" || text(valuesOf(m)) != `{"a":1}` {
			t.Errorf("management has %s with %s, want kcm-1-4-0 with the values", name, text(valuesOf(m)))
		}
		if f.held() != "" {
			t.Errorf("the lease is still held by %s", f.held())
		}
		if p, err := f.Upgrade(t.Context(), nextRelease(t), map[string]any{"a": 1}, nil); err != nil || p.Status != Unchanged {
			t.Errorf("again: %+v, %v, want nothing to do", p, err)
		}
	})
}

// TestUpgradeTimeout has a Release whose templates are not in the registry, which
// never becomes ready. Management stays as it was.
func TestUpgradeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := aPlatform(t)
		go func() {
			time.Sleep(5 * time.Second)
			f.put(with(t, aReadyRelease(t, "1.4.0"), `"ready":true`,
				`"ready":false,"conditions":[{"type":"TemplatesValid","status":"False","message":"kcm-1-4-0: no such chart"}]`))
		}()
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.Upgrade(short, nextRelease(t), nil, nil)
		stuck, ok := errors.AsType[*StuckError](err)
		if !ok || stuck.What != "release kcm-1-4-0: kcm-1-4-0: no such chart" || stuck.After != time.Minute {
			t.Errorf("error = %v, want what kcm says of the templates", err)
		}
		m, err := f.management(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if name, _, _ := unstructured.NestedString(m.Object, "spec", "release"); name != "kcm-1-2-3" {
			t.Errorf("management has %s, want it unchanged", name)
		}
		// Deleting the Release ends the wait.
		go func() {
			time.Sleep(5 * time.Second)
			releases, err := f.resource(releaseKind, "")
			if err == nil {
				err = releases.Delete(context.Background(), "kcm-1-4-0", metav1.DeleteOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		}()
		if _, err := f.Upgrade(t.Context(), nextRelease(t), nil, nil); err == nil || err.Error() != "release kcm-1-4-0 was deleted" {
			t.Errorf("error = %v, want that the release was deleted", err)
		}
	})
}
