package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// pause is the time between two looks at what sends no events: a server that
// does not answer, a kind that does not exist yet, the many objects that
// together are one state.
const pause = time.Second

// glance is the time between two looks at what a watch does not tell of.
const glance = 10 * time.Second

// afterwards bounds the questions that are asked of a cluster once the time
// for the work itself has run out.
const afterwards = 20 * time.Second

// Sleep waits for d or the end of ctx, and reports whether ctx is still active.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// timedOut distinguishes a deadline, which is explained, from an interrupt, which is
// obeyed.
func timedOut(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// later returns a context for questions after ctx has ended.
func later(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), afterwards)
}

// WaitAPI waits until the API server answers and says of itself that it is
// ready. If the context's time runs out, the error tells what it said last:
// which of its checks fail, or why nobody answers.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	start := time.Now()
	var last error
	for {
		err := c.readyz(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // that our own time is up is no reason
			last = err
		}
		if !Sleep(ctx, pause) {
			if !timedOut(ctx) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("api server: not ready after %v: %w", since(start), last)
		}
	}
}

// readyz asks the server for its own opinion.
func (c *Cluster) readyz(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(ctx)
	if err == nil {
		return nil
	}
	if failed := failedChecks(string(body)); failed != "" {
		return fmt.Errorf("failing checks: %s", failed)
	}
	return err
}

// failedChecks returns the names of the checks that a verbose readyz marks with
// "[-]", as in "[-]etcd failed: reason withheld".
func failedChecks(body string) string {
	var names []string
	for line := range strings.Lines(body) {
		if rest, failed := strings.CutPrefix(line, "[-]"); failed {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, strings.TrimSpace(name))
		}
	}
	return strings.Join(names, ", ")
}

// nodeReady reports whether a node's kubelet says that it is ready.
func nodeReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// named is the field selector for one object.
func named(name string) string { return fields.OneTermEqualSelector("metadata.name", name).String() }

// oneEvent returns after the first event of a watch; where there is none,
// after the time that is given, for what is looked at beside.
func oneEvent(ctx context.Context, w watch.Interface, err error, most time.Duration) {
	if err != nil {
		Sleep(ctx, pause)
		return
	}
	defer w.Stop()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case e, open := <-w.ResultChan():
		if !open || e.Type == watch.Error {
			Sleep(ctx, pause)
		}
	}
}

// since is a duration for people.
func since(start time.Time) time.Duration { return time.Since(start).Round(time.Second) }
