package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/resource"
)

// podWatch records the problems of pods in Namespace while Helm runs. Helm does not
// report why a hook failed, and then deletes its Job with the pod and the log if the
// chart says so. Kubernetes itself deletes the pod of a Job that restarts its container
// in place. So pods are watched while they exist.
type podWatch struct {
	warn func(string) // may be nil

	mu       sync.Mutex
	problems map[string]Problem // by pod
	reported map[string]bool    // by Problem.key
	over     bool               // a hook has failed: later problems are consequences
}

// watchPods starts watching the pods of cfg's actions, and returns a function that
// stops it.
func (c *Cluster) watchPods(ctx context.Context, cfg *action.Configuration, warn func(string)) (*podWatch, func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &podWatch{warn: warn, problems: make(map[string]Problem), reported: make(map[string]bool)}
	if client, ok := cfg.KubeClient.(*kube.Client); ok {
		cfg.KubeClient = &hooked{client, ctx, func() {
			ctx, cancel := later(ctx)
			defer cancel()
			w.look(ctx, c)
		}}
	}
	stopped := make(chan struct{})
	go func() { // ends with ctx
		defer close(stopped)
		for ctx.Err() == nil {
			w.follow(ctx, c)
		}
	}()
	return w, func() {
		cancel()
		<-stopped
	}
}

// follow watches pods until the connection ends, as it does from time to time.
func (w *podWatch) follow(ctx context.Context, c *Cluster) {
	events, err := c.kube.CoreV1().Pods(Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		sleep(ctx, pause)
		return
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok { // an error of the watch
			sleep(ctx, pause)
			return
		}
		w.update(ctx, c, pod, e.Type == watch.Deleted)
	}
}

// update records the state of a pod.
func (w *podWatch) update(ctx context.Context, c *Cluster, pod *corev1.Pod, deleted bool) {
	p, found := podProblem(pod)
	if !found {
		w.note(pod.Name, nil, deleted)
		return
	}
	if !deleted {
		c.detail(ctx, pod, &p)
	}
	w.note(pod.Name, &p, deleted)
}

// note records the problem of a pod, or nil. A deleted pod's problem is kept if the
// pod had failed: its deletion is a consequence.
func (w *podWatch) note(pod string, p *Problem, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, had := w.problems[pod]
	switch {
	case w.over:
		return
	case p == nil:
		if !deleted || before.weight != failed {
			delete(w.problems, pod)
		}
		return
	case had && (deleted || before.key() == p.key() && len(before.Message) > len(p.Message)):
		return // back-off has less detail than the attempt before it, and a deleted pod has no log
	}
	w.problems[pod] = *p
	if w.warn != nil && p.weight >= failed && !w.reported[p.key()] {
		w.reported[p.key()] = true
		w.warn(p.String())
	}
}

// hooked is Helm's client, which waits for a hook no longer than ctx and, if one has
// failed, records the state of pods before Helm deletes it.
type hooked struct {
	*kube.Client
	ctx  context.Context
	look func()
}

// Create creates objects on the client side, even the hooks of a removal, which Helm
// would always apply on the server.
func (h *hooked) Create(resources kube.ResourceList, options ...kube.ClientCreateOption) (*kube.Result, error) {
	return h.Client.Create(resources, append(options, kube.ClientCreateOptionServerSideApply(false, false))...)
}

// GetWaiterWithOptions returns Helm's waiter, bounded by ctx.
func (h *hooked) GetWaiterWithOptions(strategy kube.WaitStrategy, options ...kube.WaitOption) (kube.Waiter, error) {
	options = append(options, kube.WithWaitContext(h.ctx))
	w, err := h.Client.GetWaiterWithOptions(strategy, options...)
	if err != nil {
		return nil, err
	}
	gone, err := h.Client.GetWaiterWithOptions(kube.StatusWatcherStrategy, options...)
	if err != nil {
		return nil, err
	}
	return &hookWaiter{w, gone, h.look}, nil
}

// hookWaiter waits until hooks have run, and until they are deleted.
type hookWaiter struct {
	kube.Waiter
	gone kube.Waiter
	look func()
}

// WatchUntilReady waits until hooks have run.
func (w *hookWaiter) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	err := w.Waiter.WatchUntilReady(resources, timeout)
	if err != nil {
		w.look()
	}
	return err
}

// WaitForDelete waits until hooks are deleted, so that Helm can create them again: a pod
// takes a while to end, and Helm's hook-only waiter does not wait. Helm also passes the
// other objects of a release, for which Uninstall waits.
func (w *hookWaiter) WaitForDelete(resources kube.ResourceList, timeout time.Duration) error {
	hooks := resources.Filter(isHook)
	if len(hooks) == 0 {
		return nil
	}
	return w.gone.WaitForDelete(hooks, timeout)
}

// isHook reports whether an object of a chart is a hook.
func isHook(info *resource.Info) bool {
	o, err := meta.Accessor(info.Object)
	return err == nil && o.GetAnnotations()[release.HookAnnotation] != ""
}

// look records the state of all pods for the last time, including what pods without a
// problem wait for.
func (w *podWatch) look(ctx context.Context, c *Cluster) {
	pods, err := c.kube.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return // earlier states have to do
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if p, found := c.explainPod(ctx, pod); found {
			w.note(pod.Name, &p, false)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// hookFailed reports whether a hook has failed.
func (w *podWatch) hookFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// worst returns the current problems, the most likely cause first.
func (w *podWatch) worst() []Problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Problem, 0, len(w.problems))
	for _, p := range w.problems {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Object, b.Object))
	})
	return list
}
