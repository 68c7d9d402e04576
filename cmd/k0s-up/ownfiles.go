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

// errGone means that a file of ours does not exist any more.
var errGone = errors.New("it is gone")

// before returns what was in the place of a file of ours before it was written,
// nil if that was nothing. keep reports that the file was changed since, and
// stays.
func (f ownFile) before() (backup []byte, keep bool, err error) {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, errGone
	}
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

// removeFiles removes what is ours and as we wrote it, and puts back what was
// there before.
func (u *up) removeFiles(_ context.Context, do bool) (step.Outcome, error) {
	var names []string
	for _, f := range slices.Clone(u.state.Files) {
		backup, keep, err := f.before()
		gone := errors.Is(err, errGone)
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
			u.Progress.Warn("files: keeping %s: it was changed since", f.Path)
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
		return step.Unchanged("none are ours"), nil
	case !do:
		return step.Changed(do, "%s", strings.Join(names, ", ")), nil
	}
	return step.Changed(do, "%d removed or put back as they were", len(names)), nil
}

// removeStale removes what would make a later installation on this host take
// over the settings of the cluster that it has left: containerd.toml, which k0s
// makes anew, and k0s.yaml, which is kept under another name.
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
			u.Progress.Warn("files: %s is kept as %s.removed: it belongs to the cluster that this host has left", u.host.k0sConfig, u.host.k0sConfig)
		}
	}
	u.removeEmpty(filepath.Dir(u.host.k0sConfig))
	return nil
}

// removeEmpty removes directories below /etc/k0s that nothing is left in.
func (u *up) removeEmpty(dir string) {
	for top := filepath.Dir(u.host.k0sConfig); strings.HasPrefix(dir+"/", top+"/"); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}
