package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k0rdent-airgap/lib/k0s"
)

// checkK0s looks at the k0s on disk, and at the one that runs.
func (p *preflight) checkK0s(ctx context.Context) {
	if !p.findK0s(ctx) {
		return
	}
	p.note("k0s %v", p.k0s.version)
	if p.upgrade {
		p.checkUpgrade()
	}
	p.checkService()
	if p.cgroup1 && p.k0s.version.Compare(k0s.Version{Major: 1, Minor: 35}) >= 0 {
		p.fail("system", "boot with systemd.unified_cgroup_hierarchy=1", "cgroups are version 1, which kubelet refuses from 1.35 on")
	}
	if !p.cfg.online {
		p.checkMirror()
	}
	p.checkSysinfo(ctx)
}

// findK0s asks the program and the process which versions they are. It gives
// false if there is no program to go on with.
func (p *preflight) findK0s(ctx context.Context) bool {
	path := p.k0s.Path
	version, err := p.k0s.Version(ctx)
	missing := errors.Is(err, fs.ErrNotExist)
	wanted := p.wantedK0s()
	switch {
	case missing && p.cfg.online && wanted == "":
		p.k0s.missing = true
		p.fail("k0s", "give the version to download with --k0s-version", "there is no %s", path)
		return false
	case missing && p.cfg.online:
		p.k0s.missing = true
		p.k0s.version, _ = k0s.ParseVersion(wanted) // which check has tried
		p.note("k0s %s is to be downloaded", wanted)
		return false
	case missing:
		p.k0s.missing = true
		p.fail("k0s", "k0s-extract takes it out of the bundle", "there is no %s", path)
		return false
	case err != nil:
		p.fail("k0s", "", "%v", err)
		return false
	}
	p.k0s.version = version
	running, err := p.k0s.status(ctx)
	switch {
	case errors.Is(err, k0s.ErrSilent):
		running = &k0s.Status{}
	case err != nil:
		p.fail("k0s", "", "%v", err)
		return false
	}
	p.k0s.running = running
	switch {
	case running != nil && running.Version != "" && running.Version != version.String() && !p.upgrade:
		p.fail("k0s", fmt.Sprintf("k0s stop, and k0s start for %v; or --upgrade, which does that", version), "k0s %s runs, and %s is %v", running.Version, path, version)
	case wanted == "" || wanted == version.String() || p.upgrade:
	case running != nil:
		p.fail("k0s", "k0s stop; then run this again with --replace-k0s; or take --upgrade", "k0s %v is running, not %s", version, wanted)
	case p.cfg.online && p.cfg.replaceK0s:
		p.note("k0s %v is to be replaced by %s", version, wanted)
	case p.cfg.online:
		p.fail("k0s", "--replace-k0s lets it be replaced", "%s is %v, not %s", path, version, wanted)
	default:
		p.fail("k0s", "k0s-extract puts the one of the bundle in its place", "%s is %v, not %s", path, version, wanted)
	}
	return true
}

// wantedK0s gives the version that k0s must have; "" for any.
func (p *preflight) wantedK0s() string { return p.cfg.k0sVersion }

// checkService compares the service that is installed with what is needed.
func (p *preflight) checkService() {
	s, err := p.k0s.service()
	if err != nil {
		p.fail("k0s", "", "%v", err)
		return
	}
	if s == nil && p.upgrade {
		p.fail("k0s", "without --upgrade it is installed", "k0s is not installed as a service: there is nothing to upgrade")
	}
	if s == nil {
		return
	}
	want := k0s.RoleController
	if p.worker {
		want = k0s.RoleWorker
	}
	const remedy = "k0rdent-install --uninstall removes that"
	switch {
	case s.Role != want:
		p.fail("k0s", remedy, "this host is set up as a %s (%s), not as a %s", s.Role, s.Unit, want)
	case want == k0s.RoleController && !s.Has("--enable-worker") && !s.Has("--single"):
		p.fail("k0s", remedy, "k0s is installed as a controller that runs no pods (%s)", s.Unit)
	case want == k0s.RoleController && s.Has("--single"):
		p.warn("k0s", "k0s is installed with --single: no other host can join this one")
	case want == k0s.RoleController && !s.Has("--no-taints"):
		p.warn("k0s", "k0s is installed without --no-taints: k0rdent's pods will wait for another node")
	}
}

// checkSysinfo has k0s make the checks that it makes before it starts.
func (p *preflight) checkSysinfo(ctx context.Context) {
	if os.Geteuid() != 0 {
		return
	}
	probes, err := p.k0s.Sysinfo(ctx)
	if err != nil {
		p.warn("sysinfo", "%v", err)
		return
	}
	for _, probe := range probes {
		if probe.Verdict == "rejected" || probe.Verdict == "error" {
			p.fail("sysinfo", "", "k0s will not start: %s: %s (%s)", probe.Name, probe.Value, orText(probe.Message, probe.Verdict))
		}
	}
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
