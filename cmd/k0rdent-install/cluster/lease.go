package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pending release is in use by a process, or was left by one that was killed; Helm's
// records do not distinguish them. So the process that changes it holds a Lease, and
// renews it.
const (
	leaseName    = "k0rdent-install"
	leaseSeconds = 60
	renewEvery   = 10 * time.Second
)

var errLeaseLost = errors.New("another run took over, because this one could not reach the api server for a minute")

// hold waits for the lease and returns a context that ends if the lease is lost, and a
// function that releases it. It calls waiting, if not nil, once with the holder.
func (c *Cluster) hold(ctx context.Context, waiting func(string)) (context.Context, func(), error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	me := holder{host: host, pid: os.Getpid()}
	var seen *coordinationv1.Lease // the lease as it was when it last changed
	var at time.Time
	for {
		lease, err := c.tryLease(ctx, me, seen, at)
		if err == nil {
			held, cancel := context.WithCancelCause(ctx)
			stopped := make(chan struct{})
			go func() { // ends with held
				defer close(stopped)
				c.renew(held, cancel, lease)
			}()
			return held, func() {
				cancel(nil)
				<-stopped
				c.releaseLease(ctx, lease)
			}, nil
		}
		busy, isBusy := errors.AsType[*busyError](err)
		switch {
		case ctx.Err() != nil:
			return nil, nil, c.notHeld(ctx, seen)
		case isBusy:
			if seen == nil && waiting != nil {
				waiting(fmt.Sprintf("another run (%s) is in progress on this cluster; waiting for it to end", busy.who))
			}
			if seen == nil || seen.ResourceVersion != busy.lease.ResourceVersion {
				seen, at = busy.lease, time.Now()
			}
		case !retryable(err) && !apierrors.IsAlreadyExists(err):
			return nil, nil, fmt.Errorf("lease %s/%s: %w", Namespace, leaseName, err)
		}
		Sleep(ctx, pause)
	}
}

func (c *Cluster) notHeld(ctx context.Context, seen *coordinationv1.Lease) error {
	if !timedOut(ctx) || seen == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("another run (%s) is still in progress on this cluster", *seen.Spec.HolderIdentity)
}

// busyError means that another run holds the lease.
type busyError struct {
	who   string
	lease *coordinationv1.Lease
}

func (e *busyError) Error() string { return "held by " + e.who }

// tryLease acquires the lease if it is free, if its holder was a process of this host
// that has ended, or if it has expired without a renewal since at. It does not rely on
// the clocks of other hosts.
func (c *Cluster) tryLease(ctx context.Context, me holder, seen *coordinationv1.Lease, at time.Time) (*coordinationv1.Lease, error) {
	leases := c.kube.CoordinationV1().Leases(Namespace)
	now := metav1.NowMicro()
	spec := coordinationv1.LeaseSpec{HolderIdentity: new(me.String()), LeaseDurationSeconds: new(int32(leaseSeconds)), AcquireTime: &now, RenewTime: &now}
	lease, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: leaseName, Labels: map[string]string{managerLabel: manager}},
			Spec:       spec,
		}, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	who := ""
	if lease.Spec.HolderIdentity != nil {
		who = *lease.Spec.HolderIdentity
	}
	expired := seen != nil && seen.ResourceVersion == lease.ResourceVersion && time.Since(at) > leaseSeconds*time.Second
	if who != "" && !expired && !parseHolder(who).gone(me.host) {
		return nil, &busyError{who, lease}
	}
	lease.Spec = spec
	return leases.Update(ctx, lease, metav1.UpdateOptions{}) // a conflict if another run took it
}

// renew renews the lease until ctx ends, and ends ctx if it cannot.
func (c *Cluster) renew(ctx context.Context, lost context.CancelCauseFunc, lease *coordinationv1.Lease) {
	last := time.Now()
	for Sleep(ctx, renewEvery) {
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		renewed, err := c.kube.CoordinationV1().Leases(Namespace).Update(ctx, lease, metav1.UpdateOptions{})
		switch {
		case err == nil:
			*lease, last = *renewed, time.Now()
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err) || time.Since(last) > leaseSeconds*time.Second-renewEvery:
			if ctx.Err() == nil {
				lost(errLeaseLost)
			}
			return
		}
	}
}

// releaseLease deletes the lease. If that fails, it expires.
func (c *Cluster) releaseLease(ctx context.Context, lease *coordinationv1.Lease) {
	ctx, cancel := later(ctx)
	defer cancel()
	_ = c.kube.CoordinationV1().Leases(Namespace).Delete(ctx, leaseName, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
}

// holder is the process that holds the lease.
type holder struct {
	host string
	pid  int
}

func (h holder) String() string { return fmt.Sprintf("%s/%d", h.host, h.pid) }

// parseHolder parses the result of String. For any other text, it returns a holder
// that is not gone.
func parseHolder(s string) holder {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return holder{}
	}
	pid, err := strconv.Atoi(s[i+1:])
	if err != nil || pid <= 0 {
		return holder{}
	}
	return holder{s[:i], pid}
}

// gone reports whether the process has certainly ended: it was on this host, which
// has no process with that number.
func (h holder) gone(host string) bool {
	return h.pid > 0 && h.host == host && errors.Is(syscall.Kill(h.pid, 0), syscall.ESRCH)
}
