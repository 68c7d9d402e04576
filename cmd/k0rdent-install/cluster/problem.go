package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Problem is a reason why the cluster does not become ready.
type Problem struct {
	Object    string // such as "pod kcm-system/kcm-flux-check-x8k2p"
	Image     string // the image, if it cannot be pulled
	Reason    string // the reason in the API, such as ImagePullBackOff
	Message   string // the message of the component that failed
	weight    int    // how likely it is a cause and not a consequence
	unrelated bool   // the platform does not depend on it
}

// The weights of problems. For example, a pod cannot be scheduled because a node is
// not ready, because the image of a pod cannot be pulled.
const (
	consequence = iota
	blocked
	failed
	pull
)

// rank returns how likely a problem keeps the platform from becoming ready.
func (p Problem) rank() int {
	if p.unrelated && p.weight > consequence {
		return 2*consequence + 1 // between what needs time and what is blocked
	}
	return 2 * p.weight
}

// String returns the problem as one line.
func (p Problem) String() string {
	parts := []string{p.Object}
	if p.Image != "" {
		parts = append(parts, "image "+p.Image)
	}
	if p.Reason != "" {
		parts = append(parts, p.Reason)
	}
	if p.Message != "" {
		parts = append(parts, p.Message)
	}
	s := strings.Join(parts, ": ")
	if cause := hostCause(p.Message); cause != "" {
		s += " (" + cause + ")"
	}
	return s
}

// key identifies a problem, whose message may change from one attempt to the next.
func (p Problem) key() string {
	if p.Image != "" {
		return p.Object + " " + p.Image
	}
	return p.Object + " " + p.Reason
}

func podName(pod *corev1.Pod) string { return "pod " + pod.Namespace + "/" + pod.Name }

// podProblem returns a pod's problem according to its status, and whether it has one.
// A pod that only needs time has none.
func podProblem(pod *corev1.Pod) (Problem, bool) {
	p := Problem{Object: podName(pod)}
	if pod.Status.Phase == corev1.PodSucceeded {
		return p, false
	}
	for _, s := range containers(pod) {
		if found := containerProblem(&p, s); found {
			if p.weight == pull {
				p.Image = imageOf(pod, s.Name)
			}
			return p, true
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		p.Reason, p.Message, p.weight = cmp.Or(pod.Status.Reason, "Failed"), pod.Status.Message, failed
		return p, true
	}
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionFalse {
			p.Reason, p.Message, p.weight = cond.Reason, cond.Message, blocked
			return p, true
		}
	}
	return p, false
}

// containerProblem sets p to a container's problem, and reports whether it has one.
func containerProblem(p *Problem, s corev1.ContainerStatus) bool {
	if ended := s.State.Terminated; ended != nil && ended.ExitCode != 0 {
		p.Reason, p.Message, p.weight = "exit code "+fmt.Sprint(ended.ExitCode), lastLines(ended.Message), failed
		if ended.Reason != "" && ended.Reason != "Error" {
			p.Reason += " (" + ended.Reason + ")"
		}
		return true
	}
	waiting := s.State.Waiting
	if waiting == nil {
		return false
	}
	p.Reason, p.Message = waiting.Reason, waiting.Message
	switch waiting.Reason {
	case "", "PodInitializing", "ContainerCreating":
		return false
	case "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		p.weight = pull
	case "CrashLoopBackOff":
		p.weight = failed
		if ended := s.LastTerminationState.Terminated; ended != nil {
			p.Reason += fmt.Sprintf(", exit code %d", ended.ExitCode)
			p.Message = cmp.Or(lastLines(ended.Message), p.Message)
		}
	default:
		p.weight = failed
	}
	return true
}

// containers returns the states of a pod's containers in the order in which they
// start.
func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// imageOf returns the image of a container in the pod's spec. The status may have
// another name for it.
func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// detail adds what the pod's status lacks: the pull error from its events, or the end
// of the failed container's log.
func (c *Cluster) detail(ctx context.Context, pod *corev1.Pod, p *Problem) {
	switch p.weight {
	case pull:
		// In back-off, the status may only have "Back-off pulling image".
		if message := c.pullError(ctx, pod); message != "" && !strings.Contains(p.Message, "rpc error") {
			p.Message = message
		}
	case failed:
		if p.Message == "" || strings.HasPrefix(p.Message, "back-off ") {
			p.Message = cmp.Or(c.logTail(ctx, pod), p.Message)
		}
	}
	p.Message = oneLine(p.Message)
}

// slowPod returns what a pod without a problem waits for, to be reported after a
// timeout, and whether it waits.
func slowPod(pod *corev1.Pod) (Problem, bool) {
	p := Problem{Object: podName(pod)}
	if pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil {
		return p, false
	}
	for _, s := range containers(pod) {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "" {
			p.Reason = s.State.Waiting.Reason
			return p, true
		}
	}
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodReady && cond.Status != corev1.ConditionTrue && cond.Reason != "PodCompleted" {
			p.Reason, p.Message = cmp.Or(cond.Reason, "not ready"), oneLine(cond.Message)
			return p, true
		}
	}
	p.Reason = string(corev1.PodPending) // its node has not started it
	return p, pod.Status.Phase == corev1.PodPending
}

// explainPod returns a pod's problem, or else what the pod waits for, and whether there
// is either.
func (c *Cluster) explainPod(ctx context.Context, pod *corev1.Pod) (Problem, bool) {
	if p, found := podProblem(pod); found {
		c.detail(ctx, pod, &p)
		return p, true
	}
	p, slow := slowPod(pod)
	if slow {
		if warning := oneLine(c.warning(ctx, pod)); warning != "" {
			p.Message, p.weight = warning, blocked
		}
	}
	return p, slow
}

// pullError returns the newest event about a failed pull.
func (c *Cluster) pullError(ctx context.Context, pod *corev1.Pod) string {
	return c.newestEvent(ctx, pod, func(e *corev1.Event) bool {
		return e.Reason == "Failed" && strings.Contains(e.Message, "pull") && e.Message != "Error: ErrImagePull" && e.Message != "Error: ImagePullBackOff"
	})
}

// warning returns the newest warning event, such as a volume that cannot be mounted.
func (c *Cluster) warning(ctx context.Context, pod *corev1.Pod) string {
	return c.newestEvent(ctx, pod, func(e *corev1.Event) bool { return e.Type == corev1.EventTypeWarning })
}

// newestEvent returns the message of a pod's newest event that matches.
func (c *Cluster) newestEvent(ctx context.Context, pod *corev1.Pod, matches func(*corev1.Event) bool) string {
	events, err := c.kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String()})
	if err != nil {
		return ""
	}
	message, newest := "", metav1.Time{}
	for i := range events.Items {
		e := &events.Items[i]
		at := e.LastTimestamp
		if at.IsZero() {
			at = metav1.Time{Time: e.EventTime.Time}
		}
		if matches(e) && !at.Before(&newest) {
			message, newest = e.Message, at
		}
	}
	return message
}

// logTail returns the end of the log of the first container that failed.
func (c *Cluster) logTail(ctx context.Context, pod *corev1.Pod) string {
	for _, s := range containers(pod) {
		current := s.State.Terminated != nil && s.State.Terminated.ExitCode != 0
		previous := s.LastTerminationState.Terminated != nil
		if !current && !previous {
			continue
		}
		log, err := c.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: s.Name, Previous: !current, TailLines: new(int64(tailLines)), LimitBytes: new(int64(1 << 20)),
		}).Stream(ctx)
		if err != nil {
			continue // the kubelet does not answer, or has removed the log
		}
		text, err := io.ReadAll(io.LimitReader(log, 1<<20))
		log.Close()
		if err == nil && len(text) > 0 {
			return lastLines(string(text))
		}
	}
	return ""
}

const (
	tailLines  = 5
	maxMessage = 600 // bytes of a message in an error
)

// lastLines returns the end of a log as one line.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return oneLine(strings.Join(lines[max(0, len(lines)-tailLines):], " | "))
}

// oneLine shortens a message to one line of an error. It keeps the end, where the
// cause is.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxMessage {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-maxMessage:], "")
}
