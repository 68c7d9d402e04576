package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k0rdent-airgap/lib/k0s"
)

// checkK0s checks the k0s on disk and the running one.
func (u *up) checkK0s(ctx context.Context) {
	if !u.findK0s(ctx) {
		return
	}
	u.Note("k0s %v", u.k0s.version)
	if u.cfg.upgrade {
		u.checkUpgrade()
	}
	u.checkService()
	if u.cgroup1 && u.k0s.version.Compare(k0s.Version{Major: 1, Minor: 35}) >= 0 {
		u.Fail("system", "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line", "this host uses cgroups v1; k0s 1.35 and later require cgroups v2")
	}
	if !u.cfg.online {
		u.checkMirror()
	}
	u.checkSysinfo(ctx)
}

// findK0s determines the versions of the k0s on disk and of the running one. It
// reports whether further checks can use the one on disk.
func (u *up) findK0s(ctx context.Context) bool {
	path := u.k0s.Path
	version, err := u.k0s.Version(ctx)
	wanted := u.cfg.k0sVersion
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u.k0s.missing = true
		u.Fail("k0s", "install it from the bundle: k0s-extract BUNDLE", "%s does not exist", path)
		return false
	case err != nil:
		u.Fail("k0s", "", "%v", err)
		return false
	}
	u.k0s.version = version
	if err := u.k0s.findRunning(ctx); err != nil {
		u.Fail("k0s", "", "%v", err)
		return false
	}
	switch running := u.k0s.running; {
	case running != nil && running.Version != "" && running.Version != version.String() && !u.cfg.upgrade:
		u.Fail("k0s", fmt.Sprintf("add --upgrade to switch to %v", version), "k0s %s is running, but %s is %v", running.Version, path, version)
	case wanted == nil || *wanted == version || u.cfg.upgrade:
	case running != nil:
		u.Fail("k0s", "put that version on disk with k0s-extract, then add --upgrade", "k0s %v is running, not %v", version, wanted)
	default:
		u.Fail("k0s", "replace it with the bundle's: k0s-extract BUNDLE", "%s is %v, not %v", path, version, wanted)
	}
	return true
}

// checkService checks that an installed service has the right role and flags.
func (u *up) checkService() {
	s := u.k0s.service
	if s == nil && u.cfg.upgrade {
		u.Fail("k0s", "run k0s-up without --upgrade to install it", "k0s is not installed as a service, so there is nothing to upgrade")
	}
	if s == nil {
		return
	}
	want := k0s.RoleController
	if u.worker {
		want = k0s.RoleWorker
	}
	const remedy = "remove it first: k0s-up --reset"
	switch {
	case s.Role != want:
		u.Fail("k0s", remedy, "this host is set up as a %s (%s), not as a %s", s.Role, s.Unit, want)
	case want == k0s.RoleController && !s.Has("--enable-worker") && !s.Has("--single"):
		u.Fail("k0s", remedy, "k0s is installed as a controller that runs no pods (%s)", s.Unit)
	case want == k0s.RoleController && s.Has("--single"):
		u.Warn("k0s", "k0s is installed with --single: no other host can join this one")
	case want == k0s.RoleController && !s.Has("--no-taints"):
		u.Warn("k0s", "k0s is installed without --no-taints: k0rdent's pods will wait for another node")
	}
}

// checkSysinfo runs the checks that k0s itself makes before it starts.
func (u *up) checkSysinfo(ctx context.Context) {
	if os.Geteuid() != 0 {
		return
	}
	probes, err := u.k0s.Sysinfo(ctx)
	if err != nil {
		u.Warn("sysinfo", "%v", err)
		return
	}
	for _, probe := range probes {
		if probe.Verdict == "rejected" || probe.Verdict == "error" {
			u.Fail("sysinfo", "", "k0s will not start: %s: %s (%s)", probe.Name, probe.Value, cmp.Or(probe.Message, probe.Verdict))
		}
	}
}
