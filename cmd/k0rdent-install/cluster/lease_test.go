package cluster

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// leaseOf returns the lease of a run, with a resource version.
func leaseOf(who, version string) *coordinationv1.Lease {
	now := metav1.NowMicro()
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: leaseName, ResourceVersion: version},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &who, RenewTime: &now, LeaseDurationSeconds: new(int32(leaseSeconds))},
	}
}

// held returns the holder of the lease, or "".
func (f *fake) held() string {
	l, err := f.api.CoordinationV1().Leases(Namespace).Get(context.Background(), leaseName, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// TestHold lets one run at a time change a cluster. The next one starts when the first
// has ended, in any way.
func TestHold(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const nobody = "/2147483647" // larger than any process ID of Linux
	tests := []struct {
		name  string
		have  *coordinationv1.Lease
		renew time.Duration // how long the other run renews its lease
		after time.Duration // when this run gets the lease; 0 for at once
	}{
		{"nobody has it", nil, 0, 0},
		{"a process of this host that is gone", leaseOf(host+nobody, "1"), 0, 0},
		{"one of another host that was killed", leaseOf("other"+nobody, "1"), 0, leaseSeconds * time.Second},
		{"one of another host that lives for two minutes", leaseOf("other/7", "1"), 2 * time.Minute, 2*time.Minute + leaseSeconds*time.Second},
		{"of a program that names itself in another way", leaseOf("somebody", "1"), 0, leaseSeconds * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				if tt.have != nil {
					if err := f.api.Tracker().Add(tt.have); err != nil {
						t.Fatal(err)
					}
				}
				go func() {
					for start, n := time.Now(), 2; time.Since(start) < tt.renew; n++ {
						time.Sleep(renewEvery)
						f.put(leaseOf(*tt.have.Spec.HolderIdentity, string(rune('0'+n))))
					}
				}()
				start := time.Now()
				var waits []string
				held, unlock, err := f.hold(t.Context(), func(s string) { waits = append(waits, s) })
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < tt.after || took > tt.after+renewEvery+5*time.Second {
					t.Errorf("held after %v, want %v", took, tt.after)
				}
				if waited := tt.after > 0; waited != (len(waits) == 1 && has(waits, "another run (")) {
					t.Errorf("waits %q, want the holder once: %v", waits, waited)
				}
				if want := host + "/"; !strings.HasPrefix(f.held(), want) {
					t.Errorf("held by %q, want %s…", f.held(), want)
				}
				time.Sleep(10 * leaseSeconds * time.Second)
				if held.Err() != nil {
					t.Errorf("lost after a while: %v", context.Cause(held))
				}
				unlock()
				if f.held() != "" || !errors.Is(held.Err(), context.Canceled) {
					t.Errorf("held by %q, %v, want it free and the context done", f.held(), held.Err())
				}
			})
		})
	}
}

// TestHoldTimeout returns an error with the holder.
func TestHoldTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, leaseOf("other/7", "1"))
		short, cancel := context.WithTimeout(t.Context(), leaseSeconds*time.Second/2)
		defer cancel()
		if _, _, err := f.hold(short, nil); err == nil || err.Error() != "another run (other/7) is still in progress on this cluster" {
			t.Errorf("error = %v, want the holder", err)
		}
		interrupted := errors.New("interrupted")
		stopped, stop := context.WithCancelCause(t.Context())
		stop(interrupted)
		if _, _, err := f.hold(stopped, nil); !errors.Is(err, interrupted) {
			t.Errorf("error = %v, want the interrupt", err)
		}
		failing(&f.api.Fake, "get", "leases", apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, leaseName, nil))
		if _, _, err := f.hold(t.Context(), nil); !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), "lease kcm-system/k0rdent-install: ") {
			t.Errorf("error = %v, want that it is forbidden, by name", err)
		}
	})
}

// TestHoldLost stops a run that cannot renew its lease, before another one starts.
func TestHoldLost(t *testing.T) {
	unreachable := errors.New("connection refused")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, leaseName, nil)
	for _, tt := range []struct {
		name string
		errs []error
		lost bool
	}{
		{"the server is away for half a minute", []error{unreachable, unreachable, unreachable}, false},
		{"the server is away for long", []error{unreachable, unreachable, unreachable, unreachable, unreachable, unreachable}, true},
		{"another run took it", []error{conflict}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				held, unlock, err := f.hold(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer unlock()
				failing(&f.api.Fake, "update", "leases", tt.errs...)
				time.Sleep(leaseSeconds*time.Second + time.Second)
				if lost := errors.Is(context.Cause(held), errLeaseLost); lost != tt.lost {
					t.Errorf("lost: %v (%v), want %v", lost, context.Cause(held), tt.lost)
				}
			})
		})
	}
}
