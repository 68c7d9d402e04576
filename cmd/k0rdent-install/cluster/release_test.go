package cluster

import (
	"errors"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
)

const aRelease = `apiVersion: k0rdent.mirantis.com/v1beta1
kind: Release
metadata:
  name: kcm-1-2-3
  resourceVersion: "7"
  uid: 8e9e05c5
  annotations: {k0rdent.mirantis.com/kcm-regional-template: kcm-regional-1-2-3}
spec:
  version: 1.2.3
  kcm: {template: kcm-1-2-3}
  capi: {template: cluster-api-1-0-7}
  providers:
  - {name: projectsveltos, template: projectsveltos-1-1-1}
status: {ready: true}
`

func TestParseRelease(t *testing.T) {
	r, err := ParseRelease([]byte(aRelease))
	if err != nil {
		t.Fatal(err)
	}
	if r.Name() != "kcm-1-2-3" || r.Version() != "1.2.3" || providers(r.object)["projectsveltos"] != "projectsveltos-1-1-1" {
		t.Errorf("%s %s %v, want kcm-1-2-3 of 1.2.3 with a provider", r.Name(), r.Version(), providers(r.object))
	}
	if r.object.GetResourceVersion() != "" || r.object.GetUID() != "" || r.object.Object["status"] != nil {
		t.Errorf("%v has fields that a server adds", r.object.Object)
	}
	if r.object.GetAnnotations()["k0rdent.mirantis.com/kcm-regional-template"] != "kcm-regional-1-2-3" {
		t.Error("the annotation is lost with which older releases name a template")
	}
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"not an object", "- a"},
		{"another kind", strings.Replace(aRelease, "kind: Release", "kind: Management", 1)},
		{"another group", strings.Replace(aRelease, "k0rdent.mirantis.com/v1beta1", "v1", 1)},
		{"no name", strings.Replace(aRelease, "  name: kcm-1-2-3\n", "", 1)},
		{"no version", strings.Replace(aRelease, "  version: 1.2.3\n", "", 1)},
		{"no templates", strings.Replace(aRelease, "  kcm: {template: kcm-1-2-3}\n", "", 1)},
	}
	for _, tt := range tests {
		if _, err := ParseRelease([]byte(tt.text)); !errors.Is(err, errNotRelease) && tt.name != "not an object" || err == nil {
			t.Errorf("%s: error = %v, want errNotRelease", tt.name, err)
		}
	}
	if _, err := ParseRelease([]byte(strings.Replace(aRelease, "kind:", "kind: x\nkind:", 1))); err == nil {
		t.Error("a key that is there twice was read")
	}
}

// FuzzParseRelease checks that every Release has the fields that Upgrade uses.
func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(aRelease))
	f.Add([]byte(`{"apiVersion":"k0rdent.mirantis.com/v1beta1","kind":"Release","metadata":{"name":"a"},"spec":{"version":"1","kcm":{"template":"b"},"capi":{"template":"c"},"providers":[1,{"name":2}]}}`))
	f.Add([]byte("kind: {}\nmetadata: 7\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRelease(text)
		if err != nil {
			if r != nil {
				t.Error("a Release and an error")
			}
			return
		}
		if r.Name() == "" || r.Version() == "" {
			t.Errorf("a Release without name or version: %v", r.object.Object)
		}
		again, err := r.object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := ParseRelease(again); err != nil || second.Name() != r.Name() || second.Version() != r.Version() {
			t.Errorf("read again: %v, %v", second, err)
		}
		providers(r.object)
	})
}

// past returns a history of revisions of version 1.2.3, oldest first.
func past(states ...common.Status) []*release.Release {
	var list []*release.Release
	for i, s := range states {
		list = append(list, &release.Release{
			Name: ReleaseName, Version: i + 1, Info: &release.Info{Status: s}, Config: map[string]any{"a": 1},
			Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "k0rdent-enterprise", Version: "1.2.3"}},
		})
	}
	return list
}

func TestPlanRelease(t *testing.T) {
	const deployed, failed, superseded = common.StatusDeployed, common.StatusFailed, common.StatusSuperseded
	tests := []struct {
		name    string
		history []*release.Release
		version string
		want    Status
		again   bool
		pending bool
	}{
		{"nothing", nil, "1.2.3", Installed, false, false},
		{"the same", past(deployed), "1.2.3", Unchanged, false, false},
		{"the same with a v", past(deployed), "v1.2.3", Unchanged, false, false},
		{"another version", past(deployed), "1.3.0", Upgraded, false, false},
		{"failed at first", past(failed), "1.2.3", Installed, true, false},
		{"killed at first", past(common.StatusPendingInstall), "1.2.3", Installed, true, true},
		{"killed after it failed", past(failed, common.StatusPendingInstall), "1.2.3", Installed, true, true},
		{"an upgrade failed", past(deployed, failed), "1.2.3", Upgraded, false, false},
		{"an upgrade was killed", past(deployed, common.StatusPendingUpgrade), "1.2.3", Upgraded, false, true},
		{"a rollback was killed", past(superseded, failed, common.StatusPendingRollback), "1.2.3", Upgraded, false, true},
		{"removed, with its history", past(superseded, common.StatusUninstalled), "1.2.3", Installed, true, false},
	}
	for _, tt := range tests {
		ch := &chart.Chart{Metadata: &chart.Metadata{Name: "k0rdent-enterprise", Version: tt.version}}
		p, err := planRelease(tt.history, ch, map[string]any{"a": int64(1)})
		if err != nil || p.Status != tt.want || p.replace != tt.again || (p.pending != nil) != tt.pending || len(p.Changes) > 0 {
			t.Errorf("%s: %+v, %v, want %s, again %v, pending %v", tt.name, p, err, tt.want, tt.again, tt.pending)
		}
	}
	ch := &chart.Chart{Metadata: &chart.Metadata{Name: "k0rdent-enterprise", Version: "1.2.3"}}
	if p, err := planRelease(past(deployed), ch, map[string]any{"a": int64(2)}); err != nil || p.Status != Upgraded || len(p.Changes) != 1 {
		t.Errorf("other values: %+v, %v, want an upgrade with one change", p, err)
	}
	// Dropping a value is an upgrade, though it is not listed as a change.
	if p, err := planRelease(past(deployed), ch, map[string]any{}); err != nil || p.Status != Upgraded {
		t.Errorf("fewer values: %+v, %v, want an upgrade", p, err)
	}
	if _, err := planRelease(past(common.StatusUninstalling), ch, nil); err == nil {
		t.Error("a release that is being removed was taken for one to install")
	}
}

func TestHolder(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const none = 1 << 22 // larger than any process ID of Linux
	tests := []struct {
		text string
		gone bool
	}{
		{holderOn(host, os.Getpid()), false},
		{holderOn(host, none), true},
		{holderOn("another", none), false},
		{"", false}, {"/", false}, {host, false}, {host + "/-1", false}, {host + "/x", false}, {host + "/0", false},
	}
	for _, tt := range tests {
		if got := gone(tt.text, host); got != tt.gone {
			t.Errorf("%q gone = %v, want %v", tt.text, got, tt.gone)
		}
	}
}

// FuzzGone has any text as holder. A process that lives is not gone.
func FuzzGone(f *testing.F) {
	f.Add("a", "a/7")
	f.Fuzz(func(t *testing.T, host, text string) {
		gone(text, host)
		if gone(holderOn(host, os.Getpid()), host) {
			t.Errorf("this process of %q is gone", host)
		}
	})
}

// TestSilent checks that Helm logs nothing.
func TestSilent(t *testing.T) {
	if slog.Default().Enabled(t.Context(), slog.LevelError) || log.Writer() == os.Stderr {
		t.Error("a library can write to stderr through slog or log")
	}
}
