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

// refuse returns an error if the file at path must not be replaced by a k0s whose
// version is nil if it is unknown. named means that the path names the version:
// several are kept, and none is replaced.
func refuse(ctx context.Context, path string, version *k0s.Version, named bool) error {
	if pid, err := runs(path); err != nil {
		return fmt.Errorf("%s: cannot find out whether it is running: %w", path, err)
	} else if pid != 0 {
		return cli.Hint(fmt.Errorf("%s: in use by process %d", path, pid),
			"stop it with \"k0s stop\" (its pods keep running), or use --replace; the new file takes effect at its next start")
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case named:
		return cli.Hint(fmt.Errorf("%s: already exists with different content", path), "remove it, or use --replace to overwrite it")
	}
	// Getting the version of a program runs it.
	if foreign(info) {
		return cli.Hint(fmt.Errorf("%s: owned by another user, so it is not run to get its version", path), "remove it, or use --replace to overwrite it")
	}
	there, err := k0s.Binary{Path: path}.Version(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return cli.Hint(fmt.Errorf("%s: exists but is not a working k0s binary: %w", path, err), "remove it, or use --replace to overwrite it")
	case version == nil:
		return cli.Hint(fmt.Errorf("%s: is k0s %s, and the version of the new file is unknown", path, there), "name it with --k0s-version, or use --replace")
	case there.Compare(*version) > 0:
		return cli.Hint(fmt.Errorf("%s: is k0s %s, newer than %s", path, there, version), "k0s does not support downgrades; use --replace to downgrade anyway")
	}
	return nil
}

// runs returns a process that runs from a file, or 0. It looks at processes
// rather than at k0s's socket, which does not reveal the file. A process whose
// file was replaced or removed counts as well: its service would start the new
// file next.
//
// In a container, such as the pod of a hosted control plane, the same path is
// another file, so only processes in the same mount namespace are matched by
// path alone.
func runs(path string) (pid int, err error) {
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

// runsFrom reports whether a process runs from a file. A process that has ended
// does not.
func runsFrom(proc, path string, file fs.FileInfo, mine string) bool {
	exe, err := os.Readlink(proc + "/exe")
	if errors.Is(err, fs.ErrPermission) { // another user's: only its name is known
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
