package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
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
	told     map[string]bool    // by Problem.key
	over     bool               // a hook has failed: what comes now are consequences
}

// watchPods starts to watch the pods that cfg's actions make, and returns with
// the function that ends it.
func (c *Cluster) watchPods(ctx context.Context, cfg *action.Configuration, warn func(string)) (*podWatch, func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &podWatch{warn: warn, problems: make(map[string]Problem), told: make(map[string]bool)}
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
	if w.warn != nil && p.weight >= failed && !w.told[p.key()] {
		w.told[p.key()] = true
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

func (h *hooked) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- h.Client.WatchUntilReady(resources, timeout) }() // ends with the hook or its timeout
	var err error
	select {
	case err = <-done:
	case <-h.ctx.Done():
		err = context.Cause(h.ctx)
	}
	if err != nil {
		h.look()
	}
	return err
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
			p.Message = or(oneLine(c.warning(ctx, pod)), p.Message)
			w.note(pod.Name, &p, false)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// worst gives what is wrong now, the most likely cause first.
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
