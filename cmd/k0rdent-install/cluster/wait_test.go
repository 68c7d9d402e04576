package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWaitNodeAfterRestart has a node that still looks Ready after its k0s was
// stopped.
func TestWaitNodeAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, aNode("a"), aLease(corev1.NamespaceNodeLease, "a", metav1.NowMicro()))
		if err := f.WaitNode(t.Context(), "a", time.Time{}); err != nil {
			t.Errorf("k0s was not restarted: %v", err)
		}
		time.Sleep(time.Second)
		restarted := time.Now()
		const back = 30 * time.Second
		go func() {
			time.Sleep(back)
			f.put(aLease(corev1.NamespaceNodeLease, "a", metav1.NowMicro()))
		}()
		short, cancel := context.WithTimeout(t.Context(), back/2)
		defer cancel()
		err := f.WaitNode(short, "a", restarted)
		if _, stuck := errors.AsType[*StuckError](err); !stuck || !strings.Contains(err.Error(), "its kubelet does not report yet") {
			t.Errorf("error = %v, want that the kubelet is silent", err)
		}
		if err := f.WaitNode(t.Context(), "a", restarted); err != nil || time.Since(restarted) < back {
			t.Errorf("%v after %v, want the node once its kubelet is back, after %v", err, time.Since(restarted), back)
		}
	})
}

// TestWaitAPI names the checks that fail.
func TestWaitAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.readyz = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.WaitAPI(short); err == nil || err.Error() != "api server: not ready after 1m0s: failing checks: etcd" {
			t.Errorf("error = %v, want that etcd fails", err)
		}
		if problems := f.Explain(t.Context()); len(problems) != 1 || !strings.Contains(problems[0].String(), "failing checks: etcd") {
			t.Errorf("problems = %v, want the API server's alone", problems)
		}
		f.readyz = ""
		if err := f.WaitAPI(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
