package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

func (i *installer) planFiles(context.Context) (outcome, error) {
	var names []string
	for _, f := range i.state.Files {
		keep, _, err := i.fate(f)
		if err != nil {
			return outcome{}, err
		}
		if keep == "" {
			names = append(names, f.Path)
		}
	}
	if len(names) == 0 {
		return unchanged("none are ours"), nil
	}
	return planned("%s", strings.Join(names, ", ")), nil
}

// fate decides about a file of ours: keep says why it stays, if it does;
// backup is what was there before.
func (i *installer) fate(f ownFile) (keep string, backup []byte, err error) {
	text, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is gone", nil, nil
	case err != nil:
		return "", nil, err
	}
	if f.Backup != "" {
		if backup, err = os.ReadFile(f.Backup); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	if f.Digest != "" && digestOf(text) != f.Digest && (backup == nil || !bytes.Equal(text, backup)) {
		return "it was changed since", nil, nil
	}
	return "", backup, nil
}

// removeFiles removes what is ours and as we wrote it, and puts back what was
// there before.
func (i *installer) removeFiles(context.Context) (outcome, error) {
	removed := 0
	for _, f := range append([]ownFile{}, i.state.Files...) {
		keep, backup, err := i.fate(f)
		if err != nil {
			return outcome{}, err
		}
		r := record.File{Path: f.Path, Status: record.StatusUnchanged}
		switch {
		case keep == "it is gone":
		case keep != "":
			i.progress.Warn("files: %s stays: %s", f.Path, keep)
		case backup != nil:
			if r, err = hostfile.Put(f.Path, cmp.Or(f.Mode, configMode), backup); err == nil {
				_, err = hostfile.Remove(f.Backup)
			}
			removed++
		default:
			r, err = hostfile.Remove(f.Path)
			i.removeEmpty(filepath.Dir(f.Path))
			removed++
		}
		if err := errors.Join(err, i.out.Write(r)); err != nil {
			return outcome{}, err
		}
		i.state.forget(f.Path)
		if err := i.state.save(); err != nil {
			return outcome{}, err
		}
	}
	if err := i.removeStale(); err != nil {
		return outcome{}, err
	}
	if removed == 0 {
		return unchanged("none are ours"), nil
	}
	return done("%d removed or put back as they were", removed), nil
}

// removeStale removes what would make a later installation on this host take
// over the settings of the cluster that it has left: containerd.toml, which k0s
// makes anew, and k0s.yaml, which is kept under another name.
func (i *installer) removeStale() error {
	if i.leftovers() {
		return nil
	}
	path := filepath.Join(filepath.Dir(i.host.k0sConfig), "containerd.toml")
	if have, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(have), k0s.ManagedLine+"\n") {
		r, err := hostfile.Remove(path)
		if err := errors.Join(err, i.out.Write(r)); err != nil {
			return err
		}
	}
	if i.removal.Stays {
		switch err := os.Rename(i.host.k0sConfig, i.host.k0sConfig+".removed"); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			i.progress.Warn("files: %s is kept as %s.removed: it is of the cluster that this host has left", i.host.k0sConfig, i.host.k0sConfig)
		}
	}
	i.removeEmpty(filepath.Dir(i.host.k0sConfig))
	return nil
}

// removeEmpty removes directories below /etc/k0s that nothing is left in.
func (i *installer) removeEmpty(dir string) {
	for top := filepath.Dir(i.host.k0sConfig); strings.HasPrefix(dir+"/", top+"/"); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}
