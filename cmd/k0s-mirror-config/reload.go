package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

const (
	// noticeTime is how long to wait for k0s to notice a changed drop-in.
	// It waits 3 s for more changes, and restarts containerd 5 s after
	// stopping it.
	noticeTime = 20 * time.Second
	// returnTime is how long to wait for containerd to answer after its
	// start.
	returnTime = time.Minute
	// lookTime is the polling interval; k0s sends no notification.
	lookTime = 200 * time.Millisecond
)

// reload makes a running containerd use the changes.
type reload struct {
	t       *tool
	running *k0s.Status // nil: no k0s with a containerd is running
	before  string      // the id of containerd's process
	notice  time.Duration
	back    time.Duration
}

// watchReload examines the running k0s before anything is written. A drop-in
// for another version of containerd would stop the running one within seconds,
// or prevent the next start of k0s.
func (t *tool) watchReload(ctx context.Context, version k0s.Version, dropIn k0s.File) (*reload, error) {
	r, err := t.running(ctx)
	if err != nil || r.running == nil {
		return r, err
	}
	runs, err := k0s.ParseVersion(r.running.Version)
	if err != nil || runs.Containerd() == version.Containerd() {
		return r, nil
	}
	if plan, err := hostfile.Plan(t.at(dropIn.Path), dropIn.Mode, dropIn.Content); err == nil && plan.Status == record.StatusUnchanged {
		return r, nil
	}
	return nil, cli.Hint(fmt.Errorf("k0s %s is running and does not work with a drop-in for k0s %s", runs, version),
		"stop it first (k0s stop; pods keep running), then install the new k0s, run this again, and start k0s")
}

// running returns the k0s with a containerd that is running, if any.
func (t *tool) running(ctx context.Context) (*reload, error) {
	status, err := k0s.Running(ctx, t.at(k0s.RunDir))
	if errors.Is(err, fs.ErrPermission) { // anyone may make a plan
		status, err = nil, nil
	}
	r := &reload{t: t, running: status, notice: noticeTime, back: returnTime}
	if status != nil && !status.Workloads {
		r.running = nil
	}
	r.before = r.pid()
	return r, err
}

// pid returns the id of containerd's process, or "".
func (r *reload) pid() string {
	text, err := hostfile.Read(r.t.at(path.Join(k0s.RunDir, "containerd.pid")))
	id := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(id); err != nil || bad != nil {
		return ""
	}
	return id
}

// follow warns about the effects of a change on a running node and, with
// --restart, waits until it has taken effect. Files in certs.d are read at each
// pull and need no restart.
func (r *reload) follow(ctx context.Context, changed bool) error {
	if !changed || r.running == nil {
		return nil
	}
	if r.t.cfg.plan {
		r.t.progress.Warn("k0s is running: it would restart containerd; no pod can start for about 8 s, running pods are not affected")
		return nil
	}
	r.t.progress.Warn("k0s is running: it restarts containerd in 3 s; no pod can start for about 8 s, running pods are not affected")
	if !r.t.cfg.restart {
		return nil
	}
	start := time.Now()
	err := r.await(ctx, r.notice, func() bool { return r.pid() != "" && r.pid() != r.before })
	if errors.Is(err, errNotYet) {
		err = r.restart(ctx)
	}
	if err == nil {
		err = r.await(ctx, r.back, r.answers)
	}
	if errors.Is(err, errNotYet) {
		return cli.Hint(errors.New("containerd did not come back"), "see the log of k0s; k0s sysinfo names the drop-ins that it rejects")
	}
	if err == nil {
		r.t.progress.Warn("containerd answers again after %.0f s", time.Since(start).Seconds())
	}
	return err
}

// restart restarts k0s if it has not noticed the change by itself.
func (r *reload) restart(ctx context.Context) error {
	r.t.progress.Warn("k0s has not restarted containerd: restarting k0s; on a controller the API is unavailable meanwhile, running pods are not affected")
	if err := r.t.binary.Stop(ctx); err != nil {
		return err
	}
	return r.t.binary.Start(ctx)
}

// answers reports whether containerd's socket accepts connections.
func (r *reload) answers() bool {
	c, err := net.DialTimeout("unix", r.t.at(path.Join(k0s.RunDir, "containerd.sock")), time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

var errNotYet = errors.New("not yet")

// await polls until done, and returns errNotYet if that takes too long.
func (r *reload) await(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNotYet)
	defer cancel()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
		}
	}
	return nil
}
