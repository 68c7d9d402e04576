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
	// noticeTime is how long k0s is given to notice a changed drop-in. It looks
	// for 3 s whether more changes come, and starts containerd again 5 s after it
	// has ended it.
	noticeTime = 20 * time.Second
	// returnTime is how long containerd is given to answer after it was started.
	returnTime = time.Minute
	// lookTime is how often we look; k0s tells nobody.
	lookTime = 200 * time.Millisecond
)

// reload sees to it that a running containerd takes what was changed.
type reload struct {
	t       *tool
	running *k0s.Status // nil: no k0s with a containerd runs here
	before  string      // the id of containerd's process
	notice  time.Duration
	back    time.Duration
}

// watchReload looks at the k0s that runs, before anything is written. A drop-in
// for another containerd than the running one would end that within seconds,
// or keep k0s from its next start.
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
	return nil, cli.Hint(fmt.Errorf("k0s %s is running, and does not work with a drop-in for k0s %s", runs, version),
		"stop it first (k0s stop; running pods go on), then put the new k0s in place, run this, and start it")
}

// running looks whether a k0s with a containerd runs here.
func (t *tool) running(ctx context.Context) (*reload, error) {
	status, err := k0s.Running(ctx, t.at(k0s.RunDir))
	if errors.Is(err, fs.ErrPermission) { // a plan may be made by anybody
		status, err = nil, nil
	}
	r := &reload{t: t, running: status, notice: noticeTime, back: returnTime}
	if status != nil && !status.Workloads {
		r.running = nil
	}
	r.before = r.pid()
	return r, err
}

// pid gives the id of containerd's process, or "".
func (r *reload) pid() string {
	text, err := hostfile.Read(r.t.at(path.Join(k0s.RunDir, "containerd.pid")))
	id := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(id); err != nil || bad != nil {
		return ""
	}
	return id
}

// follow tells what a change does to a running node and, when asked to, waits
// until it is done. What lies in certs.d is read at each pull and needs
// nothing.
func (r *reload) follow(ctx context.Context, changed bool) error {
	if !changed || r.running == nil {
		return nil
	}
	if r.t.cfg.plan {
		r.t.progress.Warn("k0s is running: it would restart containerd for this; no pod starts for about 8 s, running pods go on")
		return nil
	}
	r.t.progress.Warn("k0s is running: it restarts containerd 3 s after this; no pod starts for about 8 s, running pods go on")
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
		return cli.Hint(errors.New("containerd does not come back"), "the log of k0s has its words; k0s sysinfo names a drop-in that it rejects")
	}
	if err == nil {
		r.t.progress.Warn("containerd answers again after %.0f s", time.Since(start).Seconds())
	}
	return err
}

// restart restarts k0s, which has not noticed the change by itself.
func (r *reload) restart(ctx context.Context) error {
	r.t.progress.Warn("k0s has not restarted containerd: restarting k0s; on a controller its API is away meanwhile, running pods go on")
	if err := r.t.binary.Stop(ctx); err != nil {
		return err
	}
	return r.t.binary.Start(ctx)
}

// answers tells whether somebody listens on containerd's socket.
func (r *reload) answers() bool {
	c, err := net.DialTimeout("unix", r.t.at(path.Join(k0s.RunDir, "containerd.sock")), time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

var errNotYet = errors.New("not yet")

// await looks until done, and gives errNotYet when that takes too long.
func (r *reload) await(ctx context.Context, limit time.Duration, done func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return errNotYet
		case <-look.C:
		}
	}
	return nil
}
