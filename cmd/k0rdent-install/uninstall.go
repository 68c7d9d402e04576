package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// uninstallSteps removes what was installed, in the opposite order. Each step
// is content with a host on which there is nothing for it, so that a
// half-installed one ends up clean, too.
func (i *installer) uninstallSteps() []step {
	steps := []step{
		{name: "preflight", plan: i.planUninstall, run: i.confirm},
		{name: "platform", plan: i.planPlatform, run: i.removePlatform},
		{name: "drain", plan: i.planDrain, run: i.drain},
		{name: "k0s-leave", plan: i.planLeave, run: i.leave},
		{name: "k0s-stop", plan: i.planStop, run: i.stopService},
		{name: "node", plan: i.planHost, run: i.removeHost},
		{name: "k0s-reset", plan: i.planReset, run: i.reset},
		{name: "files", plan: i.planFiles, run: i.removeFiles},
	}
	if i.cfg.purge {
		steps = append(steps, step{name: "storage", plan: i.planStorage, run: i.removeStorage})
	}
	return append(steps, step{name: "notes", plan: i.planForget, run: i.forget})
}

// planUninstall finds out what there is, and what may be removed.
func (i *installer) planUninstall(ctx context.Context) (outcome, error) {
	if os.Geteuid() != 0 {
		return outcome{}, cli.Hint(fmt.Errorf("must run as root (uid is %d)", os.Geteuid()), "run it as root")
	}
	f, err := i.gather(ctx)
	if err != nil {
		return outcome{}, err
	}
	if i.removal, err = f.decide(); err != nil {
		return outcome{}, err
	}
	o := unchanged("%s; %s", i.removal.describe(f.running), plural(len(i.state.Files), "file is ours", "files are ours"))
	if i.removal.Stays {
		o.cluster = "stays"
	}
	return o, nil
}

// confirm asks, unless it was told not to.
func (i *installer) confirm(ctx context.Context) (outcome, error) {
	o, err := i.planUninstall(ctx)
	if err != nil || i.cfg.yes {
		return o, err
	}
	if cli.CheckStdin(i.stdin) == nil { // no terminal
		return outcome{}, cli.Hint(cli.Misuse("cannot ask for confirmation: stdin is not a terminal"), "--yes removes without asking, --plan shows what would be removed")
	}
	what := "Remove k0rdent, the cluster on this host with all of its data"
	if i.removal.Stays {
		what = "Remove this host from its cluster, k0s with its data on this host"
	}
	fmt.Fprintf(i.stderr, "%s: %s.\n%s%s, and our files? [yes/no] ", tool, o.detail, what, i.purged())
	answer, err := bufio.NewReader(i.stdin).ReadString('\n')
	if err != nil || strings.ToLower(strings.TrimSpace(answer)) != "yes" {
		return outcome{}, errDeclined
	}
	return o, nil
}

// errDeclined ends a removal that was not confirmed.
var errDeclined = cli.Hint(errors.New("not confirmed: nothing is removed"), "answer yes, or give --yes")

func (i *installer) purged() string {
	if i.cfg.purge {
		return ", the registry's storage " + i.storage()
	}
	return ""
}

// here reports whether the platform goes with this host, and if not, why.
func (i *installer) here() (bool, string) {
	switch r := i.removal; {
	case r.Role == k0s.RoleWorker:
		return false, "this host is a worker"
	case r.Stays:
		return false, "the cluster goes on with " + strings.Join(r.Others, ", ")
	case i.k0s.running == nil:
		return false, "k0s does not run"
	}
	return true, ""
}

func (i *installer) planPlatform(ctx context.Context) (outcome, error) {
	if yes, why := i.here(); !yes {
		return skipped("%s", why), nil
	}
	return planned("Management, and the Helm release %s", cluster.ReleaseName), nil
}

// removePlatform has the platform take away what it has installed, since some
// of that may be outside the cluster. While it manages child clusters, nothing
// is removed. If it cannot do its part, the reset removes it as it is.
func (i *installer) removePlatform(ctx context.Context) (outcome, error) {
	if yes, why := i.here(); !yes {
		return skipped("%s", why), nil
	}
	if !i.reach(ctx) {
		return skipped("the Kubernetes API does not answer; the reset removes what is there"), nil
	}
	ctx, cancel := context.WithTimeout(ctx, i.cfg.helmTimeout)
	defer cancel()
	status, err := i.cluster.Uninstall(ctx, i.cfg.helmTimeout, func(text string) { i.progress.Warn("platform: %s", text) })
	switch {
	case errors.Is(err, cluster.ErrInUse) || errors.Is(context.Cause(ctx), cli.ErrInterrupted):
		return outcome{}, err
	case err != nil:
		i.progress.Warn("platform: %v", err)
		return skipped("it could not be removed in order, so the reset removes it: %v", err), nil
	case status == cluster.Unchanged:
		return unchanged("it is not there"), nil
	}
	return done("Management, and the Helm release %s", cluster.ReleaseName), nil
}

func (i *installer) planStop(context.Context) (outcome, error) {
	if i.k0s.running == nil {
		return unchanged("k0s does not run"), nil
	}
	return planned("k0s stop"), nil
}

func (i *installer) stopService(ctx context.Context) (outcome, error) {
	s, err := i.k0s.service()
	if err != nil {
		return outcome{}, err
	}
	if i.k0s.running == nil && s == nil || i.k0s.missing {
		return unchanged("k0s does not run"), nil
	}
	i.state.Removal = &i.removal // neither etcd nor the API answers once k0s is stopped
	if err := i.state.save(); err != nil {
		return outcome{}, err
	}
	// Also where k0s does not answer: it may be about to start.
	if err := i.k0s.Stop(ctx); err != nil {
		return outcome{}, err
	}
	if i.k0s.running == nil {
		return unchanged("k0s does not run"), nil
	}
	return done("k0s stop"), nil
}

// leftovers tells whether k0s has anything on this host.
func (i *installer) leftovers() bool {
	s, err := i.k0s.service()
	if err != nil || s != nil {
		return true
	}
	_, err = os.Lstat(i.host.data)
	return err == nil
}

func (i *installer) planReset(context.Context) (outcome, error) {
	if !i.leftovers() {
		return unchanged("k0s has nothing on this host"), nil
	}
	return planned("k0s reset: its service, %s, all containers", i.host.data), nil
}

func (i *installer) reset(ctx context.Context) (outcome, error) {
	if !i.leftovers() {
		return unchanged("k0s has nothing on this host"), nil
	}
	if i.k0s.missing {
		return outcome{}, i.noK0s()
	}
	if err := i.k0s.Reset(ctx); err != nil {
		return outcome{}, err
	}
	return done("k0s reset; reboot the host to clear leftover network state"), nil
}

// storage is the directory of the registry on this host.
func (i *installer) storage() string { return orText(i.state.Storage, i.host.storage) }

func (i *installer) planStorage(context.Context) (outcome, error) {
	dir := i.storage()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return unchanged("there is no %s", dir), nil
	}
	if err := isStorage(dir); err != nil {
		return outcome{}, err
	}
	return planned("%s", dir), nil
}

// isStorage makes sure that a directory is what is to be removed with all that
// is in it.
func isStorage(dir string) error {
	for _, name := range []string{"blobs", "repositories"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			return fmt.Errorf("%s does not look like the storage of oci-serve: no directory %s in it", dir, name)
		}
	}
	return nil
}

// removeStorage removes the registry's storage, unless it is in use.
func (i *installer) removeStorage(ctx context.Context) (outcome, error) {
	o, err := i.planStorage(ctx)
	if err != nil || o.status == record.StatusUnchanged {
		return o, err
	}
	dir := i.storage()
	disk, err := registry.OpenDisk(dir)
	if err != nil {
		return outcome{}, cli.Hint(err, "stop oci-serve first")
	}
	err = errors.Join(os.RemoveAll(dir), disk.Close())
	if err != nil {
		return outcome{}, err
	}
	return done("%s", dir), nil
}

func (i *installer) planForget(context.Context) (outcome, error) {
	if _, err := os.Stat(i.state.path); errors.Is(err, fs.ErrNotExist) {
		return unchanged("there are none"), nil
	}
	return planned("%s", i.state.path), nil
}

// forget removes what is known of this host, tokens included.
func (i *installer) forget(context.Context) (outcome, error) {
	o := unchanged("there are none")
	for _, path := range []string{
		i.state.path, i.host.joinToken,
		filepath.Join(i.host.state, k0s.RoleWorker+"-token"), filepath.Join(i.host.state, k0s.RoleController+"-token"),
	} {
		r, err := hostfile.Remove(path)
		if err != nil {
			return outcome{}, err
		}
		if r.Status != record.StatusRemoved {
			continue
		}
		if err := i.out.Write(r); err != nil {
			return outcome{}, err
		}
		o = done("%s", i.state.path)
	}
	os.Remove(i.host.state) // unless something else is in it
	return o, nil
}
