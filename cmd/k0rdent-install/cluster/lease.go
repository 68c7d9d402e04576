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
//
// It takes the lease if it is free, if its holder was a process of this host that has
// ended, or if nobody has renewed it for as long as it lasts, by this host's clock alone.
func (c *Cluster) hold(ctx context.Context, waiting func(string)) (context.Context, func(), error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	var seen *coordinationv1.Lease // the lease as it was when it last changed
	var at time.Time
	for {
		lease, err := c.kube.CoordinationV1().Leases(Namespace).Get(ctx, leaseName, metav1.GetOptions{})
		expired := seen != nil && err == nil && seen.ResourceVersion == lease.ResourceVersion && time.Since(at) > leaseSeconds*time.Second
		switch {
		case apierrors.IsNotFound(err):
			lease, err = c.acquire(ctx, host, nil)
		case err == nil && (expired || holder(lease) == "" || gone(holder(lease), host)):
			lease, err = c.acquire(ctx, host, lease)
		case err == nil:
			if seen == nil && waiting != nil {
				waiting(fmt.Sprintf("another run (%s) is in progress on this cluster; waiting for it to end", holder(lease)))
			}
			if seen == nil || seen.ResourceVersion != lease.ResourceVersion {
				seen, at = lease, time.Now()
			}
			lease = nil
		}
		switch {
		case err == nil && lease != nil:
			held, release := c.keep(ctx, lease)
			return held, release, nil
		case ctx.Err() != nil && timedOut(ctx) && seen != nil:
			return nil, nil, fmt.Errorf("another run (%s) is still in progress on this cluster", holder(seen))
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case err != nil && !retryable(err):
			return nil, nil, fmt.Errorf("lease %s/%s: %w", Namespace, leaseName, err)
		}
		sleep(ctx, pause)
	}
}

// acquire creates the lease, or takes over an old one. It returns a conflict if another
// run was faster.
func (c *Cluster) acquire(ctx context.Context, host string, old *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	now := metav1.NowMicro()
	spec := coordinationv1.LeaseSpec{
		HolderIdentity: new(holderOn(host, os.Getpid())), LeaseDurationSeconds: new(int32(leaseSeconds)), AcquireTime: &now, RenewTime: &now,
	}
	leases := c.kube.CoordinationV1().Leases(Namespace)
	if old == nil {
		meta := metav1.ObjectMeta{Name: leaseName, Labels: map[string]string{managerLabel: manager}}
		return leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: meta, Spec: spec}, metav1.CreateOptions{})
	}
	old.Spec = spec
	return leases.Update(ctx, old, metav1.UpdateOptions{})
}

// keep renews the lease until the function that it returns releases it. The context ends
// with it, or earlier if the lease is lost.
func (c *Cluster) keep(ctx context.Context, lease *coordinationv1.Lease) (context.Context, func()) {
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
	}
}

// renew renews the lease until ctx ends, and ends ctx if it cannot.
func (c *Cluster) renew(ctx context.Context, lost context.CancelCauseFunc, lease *coordinationv1.Lease) {
	last := time.Now()
	for sleep(ctx, renewEvery) {
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

// holder returns who holds the lease, or "".
func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// holderOn names a process of a host.
func holderOn(host string, pid int) string { return fmt.Sprintf("%s/%d", host, pid) }

// gone reports whether a holder is a process that has certainly ended: it was on this
// host, which has no process with that number.
func gone(holder, host string) bool {
	number, local := strings.CutPrefix(holder, host+"/")
	pid, err := strconv.Atoi(number)
	return local && err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
