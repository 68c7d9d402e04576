package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/step"
)

// before returns the content that a file had before we wrote it, or nil if it did
// not exist. keep reports whether the file has changed since, so that it must stay. If
// the file no longer exists, the error is fs.ErrNotExist.
func (f ownFile) before() (backup []byte, keep bool, err error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, false, err
	}
	if f.Backup != "" {
		if backup, err = os.ReadFile(f.Backup); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
	}
	return backup, f.Digest != "" && digestOf(text) != f.Digest && (backup == nil || !bytes.Equal(text, backup)), nil
}

// removeFiles removes the files that are as we wrote them, and restores what they
// replaced.
func (u *up) removeFiles(_ context.Context, do bool) (step.Outcome, error) {
	var names []string
	for _, f := range slices.Clone(u.state.Files) {
		backup, keep, err := f.before()
		gone := errors.Is(err, fs.ErrNotExist)
		if err != nil && !gone {
			return step.Outcome{}, err
		}
		if !gone && !keep {
			names = append(names, f.Path)
		}
		if !do {
			continue
		}
		r := record.File{Path: f.Path, Status: record.StatusUnchanged}
		switch err = nil; {
		case gone:
		case keep:
			u.Progress.Warn("files: keeping %s: it has changed since k0s-up wrote it", f.Path)
		case backup != nil:
			if r, err = hostfile.Put(f.Path, cmp.Or(f.Mode, configMode), backup); err == nil {
				_, err = hostfile.Remove(f.Backup)
			}
		default:
			r, err = hostfile.Remove(f.Path)
			u.removeEmpty(filepath.Dir(f.Path))
		}
		if err := errors.Join(err, u.Out.Write(r)); err != nil {
			return step.Outcome{}, err
		}
		u.state.forget(f.Path)
		if err := u.state.save(); err != nil {
			return step.Outcome{}, err
		}
	}
	if do {
		if err := u.removeStale(); err != nil {
			return step.Outcome{}, err
		}
	}
	switch {
	case len(names) == 0:
		return step.Unchanged("no file to remove"), nil
	case !do:
		return step.Changed(do, "%s", strings.Join(names, ", ")), nil
	}
	return step.Changed(do, "%s", step.Count(len(names), "file was removed or restored", "files were removed or restored")), nil
}

// removeStale removes the settings of the cluster that this host has left, which a
// later installation would reuse: containerd.toml, which k0s creates again, and
// k0s.yaml, which is renamed.
func (u *up) removeStale() error {
	if u.leftovers() {
		return nil
	}
	path := filepath.Join(filepath.Dir(u.host.k0sConfig), "containerd.toml")
	if have, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(have), k0s.ManagedLine+"\n") {
		r, err := hostfile.Remove(path)
		if err := errors.Join(err, u.Out.Write(r)); err != nil {
			return err
		}
	}
	if u.removal.Stays {
		switch err := os.Rename(u.host.k0sConfig, u.host.k0sConfig+".removed"); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			u.Progress.Warn("files: renamed %s to %s.removed: it belongs to the cluster that this host has left", u.host.k0sConfig, u.host.k0sConfig)
		}
	}
	u.removeEmpty(filepath.Dir(u.host.k0sConfig))
	return nil
}

// removeEmpty removes dir and its parents up to /etc/k0s, as far as they are empty.
func (u *up) removeEmpty(dir string) {
	for top := filepath.Dir(u.host.k0sConfig); strings.HasPrefix(dir+"/", top+"/"); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}
