package cluster

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"k0rdent-airgap/lib/cli"
)

// Options configures InstallChart.
type Options struct {
	// Timeout bounds each hook of the chart. Its pre-install check, for example,
	// waits until an image is pulled.
	Timeout time.Duration
	// Atomic removes a failed installation and rolls back a failed upgrade.
	// Otherwise they are kept for inspection.
	Atomic bool
	// Warn is called with problems that may still resolve themselves, such as an
	// image that cannot be pulled. It may be nil.
	Warn func(string)
}

// Plan describes what InstallChart will do.
type Plan struct {
	Status  Status   // Installed, Upgraded, Configured or Unchanged
	Have    string   // the installed version; empty if none
	Want    string   // the chart's version
	Changes []string // of values; empty for a first installation

	replace  bool             // an earlier installation never completed
	pending  *release.Release // left by a run that was killed
	revision int              // the latest revision, 0 for none
	deployed int              // the latest revision that was deployed, 0 for none
}

// VersionError means that another version of the platform is running, which must be
// upgraded instead.
type VersionError struct {
	Have, Want string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("release %s: version %s is running, not %s", ReleaseName, e.Have, e.Want)
}

// PlanChart returns what InstallChart would do, and changes nothing. The error is
// a *VersionError if another version has been installed and kcm has taken over.
func (c *Cluster) PlanChart(ctx context.Context, ch *chart.Chart, values map[string]any) (*Plan, error) {
	want, err := plain(values)
	if err != nil {
		return nil, err
	}
	m, err := c.management(ctx)
	if err != nil {
		return nil, fmt.Errorf("management %s: %w", managementName, err)
	}
	if m != nil {
		return c.planManaged(ctx, m, ch, want)
	}
	records, err := history(c.helm())
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", ReleaseName, err)
	}
	return planRelease(records, ch, want)
}

// planManaged returns the plan for a platform whose release belongs to Flux: only
// Management can change.
func (c *Cluster) planManaged(ctx context.Context, m *unstructured.Unstructured, ch *chart.Chart, want map[string]any) (*Plan, error) {
	if m.GetDeletionTimestamp() != nil {
		return nil, cli.Hint(fmt.Errorf("management %s is being deleted", managementName), "finish the removal first, with --uninstall")
	}
	p := &Plan{Status: Unchanged, Want: ch.Metadata.Version, Changes: changes(valuesOf(m), want)}
	name, _, _ := unstructured.NestedString(m.Object, "spec", "release")
	r, err := c.release(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("release object %s: %w", name, err)
	}
	if r != nil {
		p.Have, _, _ = unstructured.NestedString(r.Object, "spec", "version")
	}
	if p.Have != "" && !sameVersion(p.Have, p.Want) {
		return nil, cli.Hint(&VersionError{p.Have, p.Want}, "add --upgrade to upgrade it")
	}
	if len(p.Changes) > 0 {
		p.Status = Configured
	}
	return p, nil
}

// sameVersion reports whether versions are equal, with or without a leading "v".
func sameVersion(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }

// planRelease returns the plan for a platform that kcm has not taken over, from
// Helm's records.
func planRelease(history []*release.Release, ch *chart.Chart, want map[string]any) (*Plan, error) {
	p := &Plan{Status: Installed, Want: ch.Metadata.Version}
	if len(history) == 0 {
		return p, nil
	}
	releaseutil.SortByRevision(history)
	last := history[len(history)-1]
	p.Have, p.revision = last.Chart.Metadata.Version, last.Version
	if last.Info.Status.IsPending() {
		p.pending = last
	}
	for _, r := range history {
		if r.Info.Status == common.StatusDeployed || r.Info.Status == common.StatusSuperseded {
			p.deployed = r.Version
		}
	}
	switch {
	case last.Info.Status == common.StatusUninstalling:
		return nil, cli.Hint(fmt.Errorf("release %s: an earlier removal did not finish", ReleaseName), "finish the removal first, with --uninstall")
	case last.Info.Status == common.StatusUninstalled || p.deployed == 0:
		p.replace, p.Have = true, ""
		return p, nil
	}
	have, err := plain(last.Config)
	if err != nil {
		return nil, err
	}
	p.Status, p.Changes = Upgraded, changes(have, want)
	same := last.Chart.Metadata.Name == ch.Metadata.Name && sameVersion(p.Have, p.Want) && reflect.DeepEqual(have, want)
	if same && last.Info.Status == common.StatusDeployed {
		p.Status = Unchanged
	}
	return p, nil
}

// InstallChart installs ch with these values as the release kcm in Namespace,
// upgrades it if version or values differ, or does nothing. Once kcm has taken the
// release over, it merges changed values into Management, and another version is a
// *VersionError.
//
// It returns once the chart's objects are created and its hooks have run, before its
// pods are up: kcm upgrades the release as soon as it can, and Flux would consider a
// release that Helm still waits for abandoned. WaitReady waits for the rest.
//
// If a hook fails, the error has the reason of its pod. A second call waits until the
// first has ended, even in another process or on another host.
func (c *Cluster) InstallChart(ctx context.Context, ch *chart.Chart, values map[string]any, o Options) (*Plan, error) {
	if _, err := c.EnsureNamespace(ctx, Namespace); err != nil {
		return nil, err
	}
	ctx, unlock, err := c.hold(ctx, o.Warn)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := c.PlanChart(ctx, ch, values)
	if err != nil {
		return nil, err
	}
	if values, err = plain(values); err != nil {
		return nil, err
	}
	switch p.Status {
	case Configured:
		return p, c.change(ctx, func(m *unstructured.Unstructured) error { return configure(m, values) })
	case Installed, Upgraded:
		return p, c.apply(ctx, p, ch, values, o)
	}
	return p, nil
}
