package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// tool is one run.
type tool struct {
	cfg      *config
	progress *cli.Progress
	log      *slog.Logger
	results  *results
	in       *input
	binary   k0s.Binary
}

// at returns the path of a file of the host.
func (t *tool) at(path string) string { return filepath.Join(t.cfg.root, path) }

// write writes the mirrors' files, or plans to.
func (t *tool) write(ctx context.Context) error {
	mirrors, err := t.mirrors()
	if err != nil {
		return err
	}
	if len(mirrors) == 0 {
		return cli.Hint(cli.Misuse("no mirror to pull from"), "give --mirror https://HOST[:PORT][/PREFIX], or pipe in the record of oci-serve")
	}
	version, err := t.version(ctx)
	if err != nil {
		return err
	}
	files, err := k0s.MirrorFiles(version, mirrors, t.hosts(ctx))
	if err != nil {
		return err
	}
	t.log.Info("configuring", "k0s", version.String(), "containerd", version.Containerd(), "mirrors", mirrors)
	unlock, err := t.lock()
	if err != nil {
		return err
	}
	defer unlock()
	found, err := t.survey(version, mirrors, files)
	if err != nil {
		return err
	}
	if err := t.report(found); err != nil {
		return err
	}
	reload, err := t.watchReload(ctx, version, files[len(files)-1])
	if err != nil {
		return err
	}
	changed, err := t.apply(ctx, files, found)
	return errors.Join(err, reload.follow(ctx, changed))
}

// version returns the version of k0s to configure: the one given, the binary's,
// or the one in a record of the tool that extracted or found it.
func (t *tool) version(ctx context.Context) (k0s.Version, error) {
	if v := t.cfg.version; v != nil {
		return *v, nil
	}
	_, err := os.Stat(t.cfg.k0s)
	if err == nil {
		v, err := t.binary.Version(ctx)
		if err != nil && ctx.Err() == nil {
			err = cli.Hint(err, "give its version with --k0s-version")
		}
		return v, err
	}
	if t.in.version != "" && errors.Is(err, fs.ErrNotExist) {
		return k0s.ParseVersion(t.in.version)
	}
	return k0s.Version{}, cli.Hint(fmt.Errorf("unknown version of k0s: %w", err), "extract it with k0s-extract, or give --k0s-version")
}

// hosts returns the registries that images are named after: the known ones, and
// those of the images that k0s lists or that were named.
func (t *tool) hosts(ctx context.Context) []string {
	images, err := t.images(ctx)
	if err != nil {
		// The directory _default covers all others.
		t.progress.Warn("%v", err)
	}
	return hostsOf(images)
}

// hostsOf returns the known registries and those of images.
func hostsOf(images []wantedImage) []string {
	hosts := k0s.DefaultHosts()
	for _, i := range images {
		if i.image.Host != "" {
			hosts = append(hosts, i.image.Host)
		}
	}
	return hosts
}

// images returns the images that k0s lists, unless there is an error, and those
// that were named.
func (t *tool) images(ctx context.Context) (all []wantedImage, err error) {
	listed, err := t.listImages(ctx)
	for _, i := range listed {
		all = append(all, wantedImage{i.String(), i})
	}
	return append(all, t.in.images...), err
}

// listImages lists the images of the installed k0s, if there is one.
func (t *tool) listImages(ctx context.Context) ([]ref.Reference, error) {
	if _, err := os.Stat(t.cfg.k0s); err != nil {
		return nil, nil
	}
	config := ""
	if path := t.at(k0s.ConfigPath); t.cfg.root != "/" && exists(path) {
		config = path
	}
	return t.binary.ListImages(ctx, config)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lock prevents a second run on the same files. It locks their directory, and
// so leaves no file behind. A plan writes nothing and needs no lock.
func (t *tool) lock() (unlock func(), err error) {
	dir := t.at(filepath.Dir(k0s.CertsDir))
	if t.cfg.plan || t.cfg.remove && !exists(dir) {
		return func() {}, nil
	}
	if err := hostfile.MkdirAll(dir); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, cli.TryAgain(fmt.Errorf("%s: another run is in progress", dir))
		}
		return nil, &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	return func() { d.Close() }, nil
}

// list prints warnings and conflicts, and writes a record of each conflict.
func (t *tool) list(found *survey) error {
	for _, w := range found.warnings {
		t.progress.Warn("%s", w)
	}
	for _, c := range found.conflicts {
		t.progress.Warn("%s: %s", c.path, c.reason)
		r := record.File{Path: c.path, Status: record.StatusFailed, Error: c.reason}
		if err := t.results.file(r); err != nil {
			return err
		}
	}
	return nil
}

// report lists the conflicts. It returns an error that ends the run before
// anything is written.
func (t *tool) report(found *survey) error {
	if err := t.list(found); err != nil {
		return err
	}
	switch n := len(found.conflicts); n {
	case 0:
		return nil
	case 1:
		return cli.Hint(errors.New("conflicts with a file that k0s-mirror-config does not manage; nothing was written"), "move it away or remove the setting from it, then run this again")
	default:
		return cli.Hint(fmt.Errorf("conflicts with %d files that k0s-mirror-config does not manage; nothing was written", n), "move them away or remove the settings from them, then run this again")
	}
}

// put writes one file or plans to, and writes its record.
func (t *tool) put(temp string, f k0s.File) (changed bool, err error) {
	var r record.File
	if t.cfg.plan {
		r, err = hostfile.Plan(t.at(f.Path), f.Mode, f.Content)
	} else {
		r, err = hostfile.PutVia(temp, t.at(f.Path), f.Mode, f.Content)
	}
	return r.Status == record.StatusWritten || r.Status == record.StatusPlanned, errors.Join(err, t.results.file(r))
}
