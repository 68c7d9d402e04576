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

// quiet is how long nothing may change before a wait reports it: a minute more than
// the time after which Flux gives up on a chart.
const quiet = 6 * time.Minute

// settle is how long the platform must stay ready: kcm checks what it has started
// every 10 seconds, and controllers renew their Leases more often.
const settle = 15 * time.Second

// Watcher holds functions that WaitReady calls. Each may be nil.
type Watcher struct {
	// Component is called when a component is new or has changed.
	Component func(Component)
	// Missing is called, once all components are ready, with what is still missing,
	// whenever that changes.
	Missing func(string)
	// Stalled is called each time nothing has changed for Quiet.
	Stalled func(idle time.Duration, problems []Problem)
	// Quiet is 6 minutes if it is 0.
	Quiet time.Duration
	// Settle is how long the platform must stay ready; 15 seconds if it is 0.
	Settle time.Duration
}

// WaitReady waits until the platform is ready, as State defines it, and stays ready:
// two checks at least Settle apart must find it ready with the same version of every
// object, and every controller must have renewed its Lease between them. If the
// context's deadline passes, the error is a *StuckError with the components, the Flux
// objects and the pods that are not ready. It keeps waiting while the API server does
// not answer.
//
// Flux stops retrying a failed upgrade, even of kcm itself, until it is asked to.
// WaitReady asks at the start, since its caller has just changed something, and
// whenever nothing changes.
func (c *Cluster) WaitReady(ctx context.Context, w Watcher) (*State, error) {
	w.Quiet, w.Settle = cmp.Or(w.Quiet, quiet), cmp.Or(w.Settle, settle)
	start := time.Now()
	report := &reporter{Watcher: w, components: make(map[string]Component)}
	last, changed := "", start
	c.retryReleases(ctx)
	var state *State
	var stable stability
	var failure error // of the last check
	for {
		now, err := c.State(ctx)
		if err == nil || ctx.Err() == nil { // our own deadline is not a failure
			failure = err
		}
		if err == nil {
			state = now
			done := stable.add(state, w.Settle)
			report.report(state, stable.missing)
			if done {
				return state, nil
			}
			if print := c.fingerprint(ctx, state); print != last {
				last, changed = print, time.Now()
			}
		}
		if idle := time.Since(changed); idle > w.Quiet {
			changed = time.Now()
			c.retryReleases(ctx)
			problems := c.Explain(ctx)
			if w.Stalled != nil && ctx.Err() == nil {
				w.Stalled(idle.Round(time.Second), problems)
			}
		}
		if ctx.Err() != nil {
			return c.notReady(ctx, state, stable.missing, failure, start)
		}
		sleep(ctx, min(poll, w.Quiet, max(pause, stable.left(w.Settle))))
	}
}

// stability records how long the platform has been ready without a change.
type stability struct {
	since   time.Time // zero while it is not ready
	first   *observation
	missing string // what is still missing, if all components are ready
}

// add records a state of the platform and reports whether it has been ready for
// settle.
func (k *stability) add(s *State, settle time.Duration) bool {
	if !s.Ready() {
		*k = stability{}
		if s != nil && s.observed != nil && s.allComponents() {
			k.missing = s.Message
		}
		return false
	}
	if k.since.IsZero() || !slices.Equal(k.first.seen, s.observed.seen) {
		k.since, k.first = time.Now(), s.observed
	}
	k.missing = fmt.Sprintf("everything is ready; checking that it stays so for %v", settle)
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
		k.missing = fmt.Sprintf("%s not renewed for %v: the controller is not running", strings.Join(silent, ", "), settle)
	}
	return len(silent) == 0
}

// left returns how much longer the platform must stay ready; settle if it is not
// ready.
func (k *stability) left(settle time.Duration) time.Duration {
	if k.since.IsZero() {
		return settle
	}
	return settle - time.Since(k.since)
}

// notReady returns the error of a wait that has ended.
func (c *Cluster) notReady(ctx context.Context, state *State, missing string, failure error, start time.Time) (*State, error) {
	if !timedOut(ctx) {
		return state, context.Cause(ctx)
	}
	extra, cancel := later(ctx)
	defer cancel()
	if now, err := c.State(extra); err == nil { // the last check may have been cancelled
		state, failure = now, nil
	}
	what := "management kcm does not exist"
	switch {
	case failure != nil:
		what = "not ready: " + oneLine(failure.Error())
	case state != nil:
		what = "not ready: " + oneLine(cmp.Or(state.Message, missing, "it has only just become ready"))
	}
	return state, c.stuck(ctx, what, start)
}

// reporter calls a Watcher with what has changed since the last call.
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

// fingerprint returns a text that changes with the state of components and the number
// of pods that are ready.
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

// retryReleases has Flux retry every HelmRelease that it has given up on, with the
// annotations of "flux reconcile --reset". If that fails, the release stays failed and
// the wait reports it.
func (c *Cluster) retryReleases(ctx context.Context) {
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
