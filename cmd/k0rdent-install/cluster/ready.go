package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// quiet is how long nothing may happen before a wait says so: the time after
// which Flux gives up on a chart by itself, and one minute.
const quiet = 6 * time.Minute

// settle is how long the platform must stay ready: kcm looks again at what it
// has begun after 10 seconds, and controllers renew their leases more often.
const settle = 15 * time.Second

// Watcher is called with what happens while WaitReady waits. Each function may be nil.
type Watcher struct {
	// Component is called when a component is new or has changed.
	Component func(Component)
	// Missing is called with what is waited for once all components are ready,
	// whenever that changes.
	Missing func(string)
	// Stalled is called when nothing has happened for a while, and again after
	// each further while.
	Stalled func(idle time.Duration, problems []Problem)
	// Quiet is that while; 6 minutes if it is 0, one more than the time after
	// which Flux gives up on a chart.
	Quiet time.Duration
	// Settle is how long the platform must stay ready; 15 seconds if it is 0.
	Settle time.Duration
}

// WaitReady waits until the platform is ready, as State defines it, and stays
// so: two looks at least Settle apart must find it ready with the same versions
// of everything, and between them every controller must have renewed its lease.
// If the context's time runs out, the error is a *StuckError with the
// components, the Flux objects and the pods that are in the way. An API server
// that does not answer for a while does not end the wait.
//
// Flux stops retrying an upgrade that has failed, kcm's own among them, until it
// is asked to. WaitReady asks once at the beginning, since its caller has just
// changed something, and whenever nothing changes.
func (c *Cluster) WaitReady(ctx context.Context, w Watcher) (*State, error) {
	w.Quiet, w.Settle = cmp.Or(w.Quiet, quiet), cmp.Or(w.Settle, settle)
	start := time.Now()
	report := &reporter{Watcher: w, components: make(map[string]Component)}
	last, moved := "", start
	c.restart(ctx)
	var state *State
	var stable calm
	var failure error // of the last look, if it failed
	for {
		now, err := c.State(ctx)
		if err == nil || ctx.Err() == nil { // that our own time is up is no failure
			failure = err
		}
		if err == nil {
			state = now
			done := stable.look(state, w.Settle)
			report.report(state, stable.missing)
			if done {
				return state, nil
			}
			if print := c.fingerprint(ctx, state); print != last {
				last, moved = print, time.Now()
			}
		}
		if idle := time.Since(moved); idle > w.Quiet {
			moved = time.Now()
			c.restart(ctx)
			problems := c.Explain(ctx)
			if w.Stalled != nil && ctx.Err() == nil {
				w.Stalled(idle.Round(time.Second), problems)
			}
		}
		if ctx.Err() != nil {
			return c.notReady(ctx, state, stable.missing, failure, start)
		}
		c.managementChange(ctx, state, min(glance, w.Quiet, max(pause, stable.left(w.Settle))))
	}
}

// calm is how long the platform has been ready without a change.
type calm struct {
	since   time.Time // zero while it is not ready
	first   *observation
	missing string // what it is waited for, if all components are ready
}

// look records an observation of the platform and reports whether it has been
// ready for long enough.
func (k *calm) look(s *State, settle time.Duration) bool {
	if !s.Ready() {
		*k = calm{}
		if s != nil && s.observed != nil && s.allComponents() {
			k.missing = s.Message
		}
		return false
	}
	if k.since.IsZero() || !slices.Equal(k.first.seen, s.observed.seen) {
		k.since, k.first = time.Now(), s.observed
	}
	k.missing = fmt.Sprintf("everything is ready, and must stay so for %v", settle)
	if k.left(settle) > 0 {
		return false
	}
	var silent []string
	for lease, at := range s.observed.renewed {
		if k.first.renewed[lease] == at {
			silent = append(silent, lease)
		}
	}
	if len(silent) > 0 {
		slices.Sort(silent)
		k.missing = fmt.Sprintf("%s not renewed for %v: the controller does not run", strings.Join(silent, ", "), settle)
	}
	return len(silent) == 0
}

// left returns how long the platform has yet to stay ready; settle if it is not.
func (k *calm) left(settle time.Duration) time.Duration {
	if k.since.IsZero() {
		return settle
	}
	return settle - time.Since(k.since)
}

// notReady is the error for a wait that has ended.
func (c *Cluster) notReady(ctx context.Context, state *State, missing string, failure error, start time.Time) (*State, error) {
	if !timedOut(ctx) {
		return state, context.Cause(ctx)
	}
	again, cancel := later(ctx)
	defer cancel()
	if now, err := c.State(again); err == nil { // the last look may have been cut off
		state, failure = now, nil
	}
	what := "management kcm is not there"
	switch {
	case failure != nil:
		what = "not ready: " + oneLine(failure.Error())
	case state != nil:
		what = "not ready: " + oneLine(cmp.Or(state.Message, missing, "it has only just become ready"))
	}
	return state, c.stuck(ctx, what, start)
}

// reporter reports to a Watcher what has changed since its last report.
type reporter struct {
	Watcher
	components map[string]Component
	missing    string
}

func (r *reporter) report(state *State, missing string) {
	if state == nil {
		return
	}
	for _, component := range state.Components {
		if r.Component != nil && r.components[component.Name] != component {
			r.Component(component)
		}
		r.components[component.Name] = component
	}
	if r.Missing != nil && missing != "" && missing != r.missing {
		r.Missing(missing)
	}
	r.missing = missing
}

// fingerprint changes when something moves: a component, or the number of pods
// that are ready.
func (c *Cluster) fingerprint(ctx context.Context, state *State) string {
	var b strings.Builder
	if state != nil {
		fmt.Fprint(&b, state.Components, state.Message)
	}
	pods, err := c.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return b.String()
	}
	ready := 0
	for _, pod := range pods.Items {
		for _, cond := range pod.Status.Conditions {
			if cond.Type == "Ready" && cond.Status == "True" {
				ready++
			}
		}
	}
	fmt.Fprint(&b, len(pods.Items), ready)
	return b.String()
}

// managementChange waits for a change of Management, or a while.
func (c *Cluster) managementChange(ctx context.Context, state *State, most time.Duration) {
	client, err := c.resource(managementKind, "")
	if state == nil || err != nil {
		Sleep(ctx, pause)
		return
	}
	w, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: named(managementName), ResourceVersion: state.resourceVersion})
	oneEvent(ctx, w, err, most)
}

// restart has Flux start again with every HelmRelease that it has given up
// on. The annotations are those that "flux reconcile --reset" sets. A failure
// to do so shows in what the wait finds.
func (c *Cluster) restart(ctx context.Context) {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q,"reconcile.fluxcd.io/resetAt":%q}}}`, now, now)
	releases, err := c.all(ctx, helmReleaseKind)
	if err != nil {
		return
	}
	for _, u := range releases {
		ready := condition(&u, "Ready")
		gaveUp := condition(&u, "Stalled").Status == "True" || ready.Status == "False" && strings.Contains(ready.Message, "exceeded maximum retries")
		if !gaveUp {
			continue
		}
		client, err := c.resource(helmReleaseKind, u.GetNamespace())
		if err != nil {
			return
		}
		_, _ = client.Patch(ctx, u.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	}
}
