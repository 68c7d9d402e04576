package main

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/hostfile"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// apply writes files to the host: the directories of registries, then the
// drop-in that refers to them; then it removes files of this program that are
// no longer needed. It reports whether containerd's own configuration changed.
func (t *tool) apply(ctx context.Context, files []k0s.File, found *survey) (changed bool, err error) {
	if err := t.sweep(); err != nil {
		return false, err
	}
	dirs, order := byDirectory(files[:len(files)-1])
	for _, dir := range order {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err := t.putDirectory(dir, dirs[dir]); err != nil {
			return false, err
		}
	}
	// Next to containerd.d and not in it: each new name in it is a change
	// that restarts containerd.
	changed, err = t.put(t.at(path.Dir(k0s.DropInDir)), files[len(files)-1])
	if err != nil {
		return false, err
	}
	for _, name := range found.oldDropIns {
		removed, err := t.removeFile(path.Join(k0s.DropInDir, name))
		if changed = changed || removed; err != nil {
			return changed, err
		}
	}
	for _, host := range found.oldHosts {
		if err := t.removeDirectory(host); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// byDirectory groups files by directory.
func byDirectory(files []k0s.File) (dirs map[string][]k0s.File, order []string) {
	dirs = make(map[string][]k0s.File)
	for _, f := range files {
		dir := path.Dir(f.Path)
		if dirs[dir] == nil {
			order = append(order, dir)
		}
		dirs[dir] = append(dirs[dir], f)
	}
	return dirs, order
}

// Suffixes of directories next to those of registries, while they are being
// created or removed. No registry's name begins with a dot.
const (
	newSuffix = ".new"
	oldSuffix = ".old"
)

// sibling returns the name of such a directory.
func sibling(dir, suffix string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+suffix)
}

// putDirectory writes the files of one registry.
func (t *tool) putDirectory(dir string, files []k0s.File) error {
	if !t.cfg.plan && isEmpty(t.at(dir)) {
		return t.makeDirectory(dir, files)
	}
	wanted := make(map[string]bool)
	for _, f := range files {
		wanted[path.Base(f.Path)] = true
		if _, err := t.put(t.at(dir), f); err != nil {
			return err
		}
	}
	names, err := listNames(t.at(dir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if isLeftover(name) && !t.cfg.plan {
			if err := os.Remove(filepath.Join(t.at(dir), name)); err != nil {
				return err
			}
		}
		if !wanted[name] && isCertificate(name) {
			if _, err := t.removeFile(path.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDirectory creates a directory with all its files atomically. As soon as a
// registry has a directory, containerd contacts the registry itself, and not
// the mirror of _default, so there must never be a directory without a
// hosts.toml, not even for a moment or after a kill.
func (t *tool) makeDirectory(dir string, files []k0s.File) error {
	temp := sibling(t.at(dir), newSuffix)
	var done []record.File
	err := hostfile.MkdirAll(temp)
	for _, f := range files {
		if err != nil {
			break
		}
		var r record.File
		r, err = hostfile.Put(filepath.Join(temp, path.Base(f.Path)), f.Mode, f.Content)
		r.Path = t.at(f.Path)
		done = append(done, r)
	}
	if err == nil {
		err = rename(temp, t.at(dir))
	}
	if err == nil {
		err = hostfile.SyncDir(filepath.Dir(temp))
	}
	if err != nil {
		os.RemoveAll(temp)
		done = []record.File{{Path: t.at(dir), Status: record.StatusFailed, Error: err.Error()}}
	}
	for _, r := range done {
		err = errors.Join(err, t.results.file(r))
	}
	return err
}

// rename renames a directory to a name that is free or an empty directory,
// which os.Rename refuses to replace.
func rename(from, to string) error {
	if err := syscall.Rename(from, to); err != nil {
		return &os.PathError{Op: "rename", Path: to, Err: err}
	}
	return nil
}

// removeDirectory removes a registry's directory, atomically for the same
// reason. It keeps files of others in it.
func (t *tool) removeDirectory(host string) error {
	dir := t.at(path.Join(k0s.CertsDir, host))
	names, err := listNames(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, func(name string) bool { return !isOurName(name) }) {
		for _, name := range names {
			if isOurName(name) {
				_, e := t.removeFile(path.Join(k0s.CertsDir, host, name))
				err = errors.Join(err, e)
			}
		}
		return err
	}
	status := record.StatusPlanned
	if !t.cfg.plan {
		status = record.StatusRemoved
		old := sibling(dir, oldSuffix)
		if err = os.Rename(dir, old); err == nil {
			err = errors.Join(os.RemoveAll(old), hostfile.SyncDir(filepath.Dir(dir)))
		}
	}
	for _, name := range names {
		if isLeftover(name) {
			continue
		}
		r := record.File{Path: filepath.Join(dir, name), Status: status}
		if err != nil {
			r.Status, r.Error = record.StatusFailed, err.Error()
		}
		err = errors.Join(err, t.results.file(r))
	}
	return err
}

// removeFile removes one file or plans to, and writes its record.
func (t *tool) removeFile(name string) (changed bool, err error) {
	r := record.File{Path: t.at(name), Status: record.StatusPlanned}
	if !t.cfg.plan {
		r, err = hostfile.Remove(t.at(name))
	}
	return r.Status != record.StatusUnchanged && err == nil, errors.Join(err, t.results.file(r))
}

// sweep removes directories that a killed run has left half created or half
// removed. Nothing reads them.
func (t *tool) sweep() error {
	if t.cfg.plan {
		return nil
	}
	names, err := listNames(t.at(k0s.CertsDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if isLeftover(name) || strings.HasPrefix(name, ".") && strings.HasSuffix(name, oldSuffix) {
			if err := os.RemoveAll(filepath.Join(t.at(k0s.CertsDir), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// isOurName reports whether a file in a directory of ours is one that we write.
func isOurName(name string) bool {
	return name == k0s.HostsName || isCertificate(name) || isLeftover(name)
}

// isLeftover reports whether a file is an incomplete one of a killed run.
func isLeftover(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, newSuffix)
}

// isCertificate reports whether a file in a directory of ours is one of our
// certificates.
func isCertificate(name string) bool {
	number, found := strings.CutPrefix(strings.TrimSuffix(name, ".crt"), "ca")
	return found && strings.HasSuffix(name, ".crt") && strings.Trim(number, "-0123456789") == ""
}

// listNames lists a directory. A missing one counts as empty.
func listNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// isEmpty reports whether a directory is empty or missing.
func isEmpty(dir string) bool {
	names, err := listNames(dir)
	return err == nil && len(names) == 0
}
