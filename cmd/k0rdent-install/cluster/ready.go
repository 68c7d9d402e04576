package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// quiet is how long nothing may happen before a wait says so: the time after
// which Flux gives up on a chart by itself, and one minute.
const quiet = 6 * time.Minute

// Watcher is told what happens while WaitReady waits. Each function may be nil.
type Watcher struct {
	// Component is called when a component is new or has changed.
	Component func(Component)
	// Stalled is called when nothing has happened for a while, and again after
	// each further while.
	Stalled func(idle time.Duration, problems []Problem)
	// Quiet is that while; 6 minutes if it is 0, one more than the time after
	// which Flux gives up on a chart.
	Quiet time.Duration
}

// WaitReady waits until the platform is ready, as State defines it. If the
// context's time runs out, the error is a *StuckError which tells the
// components, the Flux objects and the pods that are in the way. That the
// server does not answer for a while ends nothing.
//
// Flux gives up on an upgrade that has failed, kcm's own among them, until it
// is told to begin anew. WaitReady tells it so once at the beginning, since
// whoever calls it has just changed something, and whenever nothing moves.
func (c *Cluster) WaitReady(ctx context.Context, w Watcher) (*State, error) {
	if w.Quiet == 0 {
		w.Quiet = quiet
	}
	start := time.Now()
	told := make(map[string]Component)
	last, moved := "", start
	c.restart(ctx)
	var state *State
	var failure error // of the last look, if it failed
	for {
		now, err := c.State(ctx)
		if err == nil || ctx.Err() == nil { // that our own time is up is no failure
			failure = err
		}
		if err == nil {
			state = now
			w.tell(told, state)
			if state.Ready() {
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
			return c.notReady(ctx, state, failure, start)
		}
		c.managementChange(ctx, state, min(glance, w.Quiet))
	}
}

// notReady is the error for a wait that has ended.
func (c *Cluster) notReady(ctx context.Context, state *State, failure error, start time.Time) (*State, error) {
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
		what = "not ready: " + oneLine(state.Message)
	}
	return state, c.stuck(ctx, what, start)
}

// tell reports the components that are not as they were told.
func (w *Watcher) tell(told map[string]Component, state *State) {
	if w.Component == nil || state == nil {
		return
	}
	for _, component := range state.Components {
		if told[component.Name] != component {
			told[component.Name] = component
			w.Component(component)
		}
	}
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
		sleep(ctx, pause)
		return
	}
	w, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: named(managementName), ResourceVersion: state.resourceVersion})
	oneEvent(ctx, w, err, most)
}

// restart tells Flux to begin anew with every HelmRelease that it has given up
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
