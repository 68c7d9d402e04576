package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pause is the time between two polls of something small, and poll that between two
// polls of everything that makes the platform ready.
const (
	pause = time.Second
	poll  = 3 * time.Second
)

// extraTime bounds the requests that explain a timeout.
const extraTime = 20 * time.Second

// sleep waits for d or until ctx is done, and reports whether d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// timedOut reports whether ctx ended by its deadline, rather than by an interrupt.
func timedOut(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// later returns a context for requests after ctx has ended.
func later(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), extraTime)
}

// WaitAPI waits until the API server reports that it is ready. If the context's
// deadline passes, the error has the checks that failed last, or why the server does
// not answer.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	start := time.Now()
	var last error
	for {
		err := c.readyz(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // our own deadline is not a reason
			last = err
		}
		if !sleep(ctx, pause) {
			if !timedOut(ctx) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("api server: not ready after %v: %w", since(start), last)
		}
	}
}

// readyz returns an error unless the server reports that it is ready.
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

// failedChecks returns the checks that a verbose readyz marks as failed, as in
// "[-]etcd failed: reason withheld".
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

// nodeReady reports whether a node is Ready.
func nodeReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// wait calls check until nothing is left, and returns a *StuckError with what is left
// when the deadline of ctx passes. An error of check ends it at once.
func (c *Cluster) wait(ctx context.Context, every time.Duration, check func() (left string, err error)) error {
	start := time.Now()
	for {
		left, err := check()
		if err != nil || left == "" {
			return err
		}
		if !sleep(ctx, every) {
			if !timedOut(ctx) {
				return context.Cause(ctx)
			}
			return c.stuck(ctx, left, start)
		}
	}
}

// since returns the time since start, for people.
func since(start time.Time) time.Duration { return time.Since(start).Round(time.Second) }
