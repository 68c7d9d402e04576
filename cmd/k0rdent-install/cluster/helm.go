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

// apply has Helm install or upgrade.
func (c *Cluster) apply(ctx context.Context, p *Plan, ch *chart.Chart, values map[string]any, o Options) error {
	cfg := c.helm()
	if err := forgetPending(cfg, p.pending); err != nil {
		return fmt.Errorf("release %s: %w", ReleaseName, err)
	}
	start := time.Now()
	pods, stop := c.watchPods(ctx, cfg, o.Warn)
	err := run(cfg, p, ch, values, o.Timeout)
	stop()
	m, failure := c.management(ctx)
	switch {
	case m != nil && failure == nil:
		// kcm has taken over while Helm worked. What Helm thinks of its attempt
		// does not matter any more; that kcm read these values does.
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

// run is one action of Helm. It does not get a context, with which Helm would
// return and go on in the background: what takes long is the wait for a hook,
// which the client of watchPods ends.
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
	// The record of an attempt that failed stays until the next one is there:
	// kcm may already run, and would take a moment without any record for an
	// installation without values.
	install.Replace = p.again
	_, err := install.Run(ch, values)
	return err
}

// maxHistory is how many revisions Helm keeps, as its command does.
const maxHistory = 10

// clientSide makes Helm apply by a three-way merge on the client, also where
// the previous revision was applied on the server.
const clientSide = "false"

// history returns the revisions of the release, in no particular order; none if
// there is no release.
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

// forgetPending marks what a killed run has left, so that Helm goes on. The
// lease says that the run is gone.
func forgetPending(cfg *action.Configuration, pending *release.Release) error {
	if pending == nil {
		return nil
	}
	pending.SetStatus(common.StatusFailed, "the run that did this was stopped before its end")
	return cfg.Releases.Update(pending)
}

// reason is the error for what Helm could not do: the pods' words rather than
// Helm's, which knows no more than that a time was up or a Job failed.
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

// hookOf finds in Helm's message which hook has failed; "" if it was none.
// Installations and upgrades word it differently.
func hookOf(text string) string {
	for _, event := range []string{"pre-install", "post-install", "pre-upgrade", "post-upgrade"} {
		if strings.HasPrefix(text, "failed "+event) || strings.HasPrefix(text, event+" hooks failed") {
			return event
		}
	}
	return ""
}

// warnings passes on what Helm warns of: of an object that it leaves in the
// cluster, since it is not or may not be the release's, it tells nobody else.
type warnings func(string)

// Enabled reports whether a message of this level is passed on.
func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs returns w: Helm's messages carry what they are about.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup returns w.
func (w warnings) WithGroup(string) slog.Handler { return w }

// Handle passes on one message.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(", %s %v", a.Key, a.Value)
		return true
	})
	w(oneLine(text))
	return nil
}

// remove is Helm's action that removes the release.
func remove(cfg *action.Configuration, timeout time.Duration) error {
	uninstall := action.NewUninstall(cfg)
	uninstall.Timeout, uninstall.WaitStrategy = timeout, kube.HookOnlyStrategy
	_, err := uninstall.Run(ReleaseName)
	return err
}

// undo reverts what failed: nothing, if it failed before Helm touched
// anything, such as at the chart's schema.
func (c *Cluster) undo(ctx context.Context, cfg *action.Configuration, p *Plan, timeout time.Duration, cause error) error {
	if ctx.Err() != nil && !timedOut(ctx) {
		return cause // interrupted: the next run completes it
	}
	records, err := history(cfg)
	touched := slices.ContainsFunc(records, func(r *release.Release) bool { return r.Version > p.revision })
	switch {
	case err == nil && !touched:
		return cause
	case err == nil && p.Status == Upgraded:
		back := action.NewRollback(cfg)
		back.Timeout, back.MaxHistory, back.Version = timeout, maxHistory, p.good
		back.ServerSideApply, back.WaitStrategy = clientSide, kube.HookOnlyStrategy
		err = back.Run(ReleaseName)
	case err == nil:
		err = remove(cfg, timeout)
	}
	if err != nil {
		return fmt.Errorf("%w; and it could not be rolled back: %w", cause, err)
	}
	return fmt.Errorf("%w; it was rolled back", cause)
}
