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

// podWatch keeps what is wrong with the pods of Namespace while Helm works
// there. Helm tells of a hook that failed only that it did, and then deletes
// its Job, with the pod and the log, if the chart says so. Kubernetes itself
// deletes the pod of a Job that restarts its container in place. So they are
// looked at while they are there.
type podWatch struct {
	warn func(string) // may be nil

	mu       sync.Mutex
	problems map[string]Problem // by pod
	reported map[string]bool    // by Problem.key
	over     bool               // a hook has failed: what comes now are consequences
}

// watchPods starts to watch the pods that cfg's actions make, and returns with
// the function that ends it.
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

// follow watches until the connection ends, which it does from time to time.
func (w *podWatch) follow(ctx context.Context, c *Cluster) {
	events, err := c.kube.CoreV1().Pods(Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		Sleep(ctx, pause)
		return
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok { // an error of the watch
			Sleep(ctx, pause)
			return
		}
		w.see(ctx, c, pod, e.Type == watch.Deleted)
	}
}

// see notes the state of a pod.
func (w *podWatch) see(ctx context.Context, c *Cluster, pod *corev1.Pod, deleted bool) {
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

// note keeps what is wrong with a pod, nil if nothing is. The problem of a pod
// that was deleted stays if it had failed: its deletion is a consequence.
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
		return // back-off says less than the attempt before it, and a pod that is gone has no log
	}
	w.problems[pod] = *p
	if w.warn != nil && p.weight >= failed && !w.reported[p.key()] {
		w.reported[p.key()] = true
		w.warn(p.String())
	}
}

// hooked is Helm's client, which waits for a hook no longer than ctx, and
// looks at the pods when one has failed, before Helm deletes it.
type hooked struct {
	*kube.Client
	ctx  context.Context
	look func()
}

// Create creates on the client side, also the hooks of a removal, which Helm
// would apply on the server whatever the release was made with.
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

// hookWaiter waits for hooks: until they have run, and until they are gone.
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

// WaitForDelete waits until hooks are gone, so that Helm can create them anew:
// a pod takes a while to end. Helm's waiter for hooks only does not. It asks for
// the rest of a release as well, whose removal others wait for.
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

// look notes the state of all pods as it is now, for the last time: also what
// those wait for with which nothing is wrong.
func (w *podWatch) look(ctx context.Context, c *Cluster) {
	pods, err := c.kube.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return // what was seen before has to do
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if _, found := podProblem(pod); found {
			w.see(ctx, c, pod, false)
		} else if p, slow := slowPod(pod); slow {
			p.Message = cmp.Or(oneLine(c.warning(ctx, pod)), p.Message)
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

// worst returns what is wrong now, the most likely cause first.
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
