package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// guard decides whether a k0s may be replaced by another one.
type guard struct {
	ctx     context.Context
	path    string
	version *k0s.Version // of what is to come, nil if that is not known
	named   bool         // the path tells the version: several are kept, none is replaced
}

// refuse returns an error if the file at the path must not be replaced.
func (g guard) refuse() error {
	if pid, err := runs(g.path); err != nil {
		return fmt.Errorf("%s: is it running? %w", g.path, err)
	} else if pid != 0 {
		return cli.Hint(fmt.Errorf("%s: another k0s runs from it, as process %d", g.path, pid),
			"k0s stop ends it, and its pods run on; --replace replaces the file under it, for its next start")
	}
	info, err := os.Lstat(g.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case g.named:
		return cli.Hint(fmt.Errorf("%s: is there with another content", g.path), "--replace replaces it")
	}
	// Asking a program for its version runs it.
	if foreign(info) {
		return cli.Hint(fmt.Errorf("%s: belongs to another user, and is not run to ask for its version", g.path), "--replace replaces it")
	}
	there, err := k0s.Binary{Path: g.path}.Version(g.ctx)
	switch {
	case g.ctx.Err() != nil:
		return context.Cause(g.ctx)
	case err != nil:
		return cli.Hint(fmt.Errorf("%s: exists and is not a k0s that runs: %w", g.path, err), "--replace replaces it")
	case g.version == nil:
		return cli.Hint(fmt.Errorf("%s: is k0s %s, and which version is to replace it is not known", g.path, there), "tell with --k0s-version, or give --replace")
	case there.Compare(*g.version) > 0:
		return cli.Hint(fmt.Errorf("%s: is k0s %s, newer than %s", g.path, there, g.version), "k0s does not support going back; --replace does it all the same")
	}
	return nil
}

// runs returns a process that runs from a file, or 0. It looks at processes
// rather than at k0s's socket, which tells of a k0s, but not of which file it
// is. A process whose file was replaced or removed counts as well: what lies
// at the path is what its service starts next.
//
// In a container, which the pods of hosted control planes are, a path means
// another file, so that by its path alone only a process in the same mount
// namespace is known.
func runs(path string) (pid int, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(real, filepath.Base(path))
	}
	file, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	mine, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if runsFrom("/proc/"+p.Name(), path, file, mine) {
			return pid, nil
		}
	}
	return 0, nil
}

// runsFrom reports whether one process runs from a file. A process that ends
// meanwhile does not.
func runsFrom(proc, path string, file fs.FileInfo, mine string) bool {
	exe, err := os.Readlink(proc + "/exe")
	if errors.Is(err, fs.ErrPermission) { // another user's: its name has to do
		comm, err := os.ReadFile(proc + "/comm")
		return err == nil && strings.TrimSpace(string(comm)) == filepath.Base(path)
	}
	if err != nil {
		return false
	}
	if other, err := os.Stat(proc + "/exe"); err == nil && file != nil && os.SameFile(other, file) {
		return true
	}
	namespace, err := os.Readlink(proc + "/ns/mnt")
	return err == nil && namespace == mine && exe == path+" (deleted)"
}
