package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// apply has Helm install or upgrade the chart.
func (c *Cluster) apply(ctx context.Context, p *Plan, ch *chart.Chart, values map[string]any, o Options) error {
	cfg := c.helm()
	if err := failPending(cfg, p.pending); err != nil {
		return fmt.Errorf("release %s: %w", ReleaseName, err)
	}
	start := time.Now()
	pods, stop := c.watchPods(ctx, cfg, o.Warn)
	err := run(cfg, p, ch, values, o.Timeout)
	stop()
	m, failure := c.management(ctx)
	switch {
	case m != nil && failure == nil:
		// kcm has taken over meanwhile. Whether Helm succeeded no longer matters, but
		// kcm must have these values.
		return c.change(ctx, func(m *unstructured.Unstructured) error { return configure(m, values) })
	case err == nil:
		return nil
	}
	err = c.reason(ctx, err, pods.worst(), p, start)
	if o.Atomic {
		err = c.undo(ctx, cfg, p, o.Timeout, err)
	}
	return err
}

// run runs Helm's install or upgrade. It passes no context, on whose end Helm would
// return and continue in the background. Only the wait for a hook takes long, and the
// client of watchPods ends it.
func run(cfg *action.Configuration, p *Plan, ch *chart.Chart, values map[string]any, timeout time.Duration) error {
	if p.Status == Upgraded {
		up := action.NewUpgrade(cfg)
		up.Namespace, up.Timeout, up.MaxHistory = Namespace, timeout, maxHistory
		up.ServerSideApply, up.WaitStrategy = clientSide, kube.HookOnlyStrategy
		_, err := up.Run(ReleaseName, ch, values)
		return err
	}
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace, install.Timeout = ReleaseName, Namespace, timeout
	install.ServerSideApply, install.WaitStrategy = false, kube.HookOnlyStrategy
	// Keep the record of a failed attempt until the next one exists: kcm may already
	// be running, and would interpret no record as an installation without values.
	install.Replace = p.replace
	_, err := install.Run(ch, values)
	return err
}

// maxHistory is the number of revisions that Helm keeps, as by default.
const maxHistory = 10

// clientSide makes Helm apply with a three-way merge on the client, even if the
// previous revision was applied on the server.
const clientSide = "false"

// history returns the revisions of the release, in no particular order. It returns
// nil if there is no release.
func history(cfg *action.Configuration) ([]*release.Release, error) {
	list, err := cfg.Releases.History(ReleaseName)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	revisions := make([]*release.Release, len(list))
	for i, r := range list {
		var ok bool
		if revisions[i], ok = r.(*release.Release); !ok {
			return nil, fmt.Errorf("unknown type of record: %T", r)
		}
	}
	return revisions, nil
}

// failPending marks the revision that a killed run left pending as failed, so that
// Helm proceeds. The caller holds the lease, so that run has ended.
func failPending(cfg *action.Configuration, pending *release.Release) error {
	if pending == nil {
		return nil
	}
	pending.SetStatus(common.StatusFailed, "the run was killed")
	return cfg.Releases.Update(pending)
}

// reason returns the error for a failed action of Helm. For a hook, it has the pods'
// messages, since Helm's only says that a timeout expired or a Job failed.
func (c *Cluster) reason(ctx context.Context, err error, problems []Problem, p *Plan, start time.Time) error {
	verb := "installing"
	if p.Status == Upgraded {
		verb = "upgrading"
	}
	if ctx.Err() != nil && !timedOut(ctx) {
		return context.Cause(ctx)
	}
	if hook := hookOf(err.Error()); hook != "" {
		what := fmt.Sprintf("release %s: %s %s: its %s hook failed", ReleaseName, verb, p.Want, hook)
		if len(problems) == 0 {
			return c.stuck(ctx, what, start)
		}
		return &StuckError{What: what, After: since(start), Problems: problems}
	}
	return fmt.Errorf("release %s: %s %s: %w", ReleaseName, verb, p.Want, err)
}

// hookOf returns the hook that failed according to Helm's message, or "". The messages
// of installations and upgrades differ.
func hookOf(text string) string {
	for _, event := range []string{"pre-install", "post-install", "pre-upgrade", "post-upgrade"} {
		if strings.HasPrefix(text, "failed "+event) || strings.HasPrefix(text, event+" hooks failed") {
			return event
		}
	}
	return ""
}

// warnings is a log handler that passes on Helm's warnings. Helm only logs which
// objects it leaves in the cluster because they may not belong to the release.
type warnings func(string)

// Enabled reports whether messages of this level are passed on.
func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs returns w: Helm's messages have all attributes themselves.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup returns w.
func (w warnings) WithGroup(string) slog.Handler { return w }

// Handle passes on a message with its attributes.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(", %s %v", a.Key, a.Value)
		return true
	})
	w(oneLine(text))
	return nil
}

// remove uninstalls the release with Helm.
func remove(cfg *action.Configuration, timeout time.Duration) error {
	uninstall := action.NewUninstall(cfg)
	uninstall.Timeout, uninstall.WaitStrategy = timeout, kube.HookOnlyStrategy
	_, err := uninstall.Run(ReleaseName)
	return err
}

// undo reverts a failed action, unless it failed before Helm changed anything, for
// example because of the chart's schema.
func (c *Cluster) undo(ctx context.Context, cfg *action.Configuration, p *Plan, timeout time.Duration, cause error) error {
	if ctx.Err() != nil && !timedOut(ctx) {
		return cause // interrupted: the next run completes it
	}
	records, err := history(cfg)
	changed := slices.ContainsFunc(records, func(r *release.Release) bool { return r.Version > p.revision })
	switch {
	case err == nil && !changed:
		return cause
	case err == nil && p.Status == Upgraded:
		back := action.NewRollback(cfg)
		back.Timeout, back.MaxHistory, back.Version = timeout, maxHistory, p.deployed
		back.ServerSideApply, back.WaitStrategy = clientSide, kube.HookOnlyStrategy
		err = back.Run(ReleaseName)
	case err == nil:
		err = remove(cfg, timeout)
	}
	if err != nil {
		return fmt.Errorf("%w; rolling back failed: %w", cause, err)
	}
	return fmt.Errorf("%w; rolled back", cause)
}
