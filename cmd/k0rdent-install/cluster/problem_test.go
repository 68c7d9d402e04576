package cluster

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aPod returns a pod with one container, "main", in a state.
func aPod(phase corev1.PodPhase, s corev1.ContainerStatus) *corev1.Pod {
	s.Name = "main"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "r/app:1"}}},
		Status:     corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{s}},
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(code int32, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}}
}

func TestPodProblem(t *testing.T) {
	crashed := waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container")
	crashed.LastTerminationState = ended(2, "Error", "panic: no CA").State
	unscheduled := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodPending,
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"}}}}
	evicted := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on ephemeral-storage"}}
	initFails := aPod(corev1.PodPending, waiting("PodInitializing", ""))
	initFails.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "busybox:latest"}}
	initFails.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "first", State: waiting("ErrImagePull", "not found").State}}
	tests := []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"running", aPod(corev1.PodRunning, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}), ""},
		{"on its way", aPod(corev1.PodPending, waiting("ContainerCreating", "")), ""},
		{"completed", aPod(corev1.PodSucceeded, ended(0, "Completed", "")), ""},
		{"cannot be pulled", aPod(corev1.PodPending, waiting("ImagePullBackOff", "Back-off")), "pod ns/p: image r/app:1: ImagePullBackOff: Back-off"},
		{"a bad name", aPod(corev1.PodPending, waiting("InvalidImageName", "Failed to apply default image tag")), "pod ns/p: image r/app:1: InvalidImageName: Failed to apply default image tag"},
		{"no such secret", aPod(corev1.PodPending, waiting("CreateContainerConfigError", `secret "x" not found`)), `pod ns/p: CreateContainerConfigError: secret "x" not found`},
		{"crashes", aPod(corev1.PodRunning, crashed), "pod ns/p: CrashLoopBackOff, exit code 2: panic: no CA"},
		{"failed", aPod(corev1.PodFailed, ended(1, "Error", "")), "pod ns/p: exit code 1"},
		{"out of memory", aPod(corev1.PodFailed, ended(137, "OOMKilled", "")), "pod ns/p: exit code 137 (OOMKilled)"},
		{"an init container", initFails, "pod ns/p: image busybox:latest: ErrImagePull: not found"},
		{"no node for it", unscheduled, "pod ns/p: Unschedulable: 0/1 nodes are available"},
		{"evicted", evicted, "pod ns/p: Evicted: low on ephemeral-storage"},
	}
	for _, tt := range tests {
		p, found := podProblem(tt.pod)
		got := ""
		if found {
			got = p.String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSlowPod(t *testing.T) {
	unready := aPod(corev1.PodRunning, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	unready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", Message: "containers with unready status: [main]"}}
	ready := aPod(corev1.PodRunning, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	leaving := aPod(corev1.PodPending, waiting("ContainerCreating", ""))
	leaving.DeletionTimestamp = new(metav1.Now())
	tests := []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"ready", ready, ""},
		{"completed", aPod(corev1.PodSucceeded, ended(0, "Completed", "")), ""},
		{"on its way out", leaving, ""},
		{"creating", aPod(corev1.PodPending, waiting("ContainerCreating", "")), "pod ns/p: ContainerCreating"},
		{"not ready", unready, "pod ns/p: ContainersNotReady: containers with unready status: [main]"},
		{"not begun", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodPending}}, "pod ns/p: Pending"},
	}
	for _, tt := range tests {
		p, found := slowPod(tt.pod)
		got := ""
		if found {
			got = p.String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPodWatchRemembers keeps the problems of deleted pods.
func TestPodWatchRemembers(t *testing.T) {
	var warnings []string
	w := &podWatch{warn: func(s string) { warnings = append(warnings, s) }, problems: make(map[string]Problem), reported: make(map[string]bool)}
	update := func(pod *corev1.Pod, deleted bool) { w.note(pod.Name, mustProblem(pod), deleted) }
	update(aPod(corev1.PodPending, waiting("ErrImagePull", "rpc error: code = NotFound desc = not found")), false)
	update(aPod(corev1.PodPending, waiting("ImagePullBackOff", "Back-off")), false)
	if got := w.worst(); len(got) != 1 || !strings.Contains(got[0].Message, "NotFound") {
		t.Errorf("problems = %v, want the message of the first attempt", got)
	}
	if len(warnings) != 1 {
		t.Errorf("warnings = %q, want one line", warnings)
	}
	update(aPod(corev1.PodRunning, corev1.ContainerStatus{}), false)
	if got := w.worst(); len(got) != 0 {
		t.Errorf("problems = %v, want none of a running pod", got)
	}
	update(aPod(corev1.PodFailed, ended(3, "Error", "no CA")), false)
	update(aPod(corev1.PodFailed, ended(3, "Error", "")), true)
	if got := w.worst(); len(got) != 1 || got[0].Message != "no CA" {
		t.Errorf("problems = %v, want that of the pod before it was deleted", got)
	}
}

func mustProblem(pod *corev1.Pod) *Problem {
	if p, found := podProblem(pod); found {
		return &p
	}
	return nil
}

func TestStuckError(t *testing.T) {
	e := &StuckError{What: "node a is not ready", After: 90 * time.Second}
	if got, want := e.Error(), "node a is not ready (after 1m30s)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for range 7 {
		e.Problems = append(e.Problems, Problem{Object: "pod x/y", Reason: "Z"})
	}
	if got, want := e.Error(), "node a is not ready (after 1m30s): pod x/y: Z; pod x/y: Z; pod x/y: Z; pod x/y: Z; pod x/y: Z; and 2 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOneLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{" a\n\tb  c\r\n", "a b c"},
		{"x" + strings.Repeat("é", 400), "…" + strings.Repeat("é", 300)},
	}
	for _, tt := range tests {
		if got := oneLine(tt.in); got != tt.want {
			t.Errorf("oneLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got, want := lastLines("1\n2\n3\n4\n5\n6\n"), "2 | 3 | 4 | 5 | 6"; got != want {
		t.Errorf("lastLines = %q, want %q", got, want)
	}
}

func TestFailedChecks(t *testing.T) {
	body := "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n"
	if got, want := failedChecks(body), "etcd, poststarthook/rbac/bootstrap-roles"; got != want {
		t.Errorf("failedChecks = %q, want %q", got, want)
	}
	if got := failedChecks("ok"); got != "" {
		t.Errorf("failedChecks of a ready server = %q", got)
	}
}
