package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ports"
	"k0rdent-airgap/lib/registry"
)

// storageError adds the storage's name, the exit code and the remedy to what
// OpenDisk returned. If alone is true, nothing else may use the storage.
func storageError(dir string, err error, alone bool) error {
	if !strings.Contains(err.Error(), dir) {
		err = fmt.Errorf("storage %s: %w", dir, err)
	}
	_, inUse := errors.AsType[*registry.InUseError](err)
	_, link := errors.AsType[*os.LinkError](err)
	switch {
	case inUse && alone:
		return cli.Hint(cli.TryAgain(err), "stop the registry meanwhile")
	case inUse:
		return cli.Hint(cli.TryAgain(err), "stop that process, or name another directory with --storage")
	case errors.Is(err, syscall.EROFS):
		return cli.Hint(err, "mount the file system read-write, or name another directory with --storage")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST):
		return cli.Hint(err, "--storage names a directory")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, registry.ErrNoSpace), errors.Is(err, registry.ErrQuota):
		return cli.Hint(err, "make room there, or name another directory with --storage")
	case link:
		return cli.Hint(err, "use a local file system such as ext4 or xfs for the storage; SMB, FAT and some others have no hard links")
	case errors.Is(err, fs.ErrPermission):
		return cli.Hint(err, "run as root, or name a directory that you own with --storage")
	}
	return err
}

// listenError adds the exit code and the remedy to an error of listen(2).
func listenError(err error, port int) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.Hint(cli.TryAgain(fmt.Errorf("port %d is in use by %s: %w", port, ports.Holder(ports.Proc, port), err)),
			"stop that program, or choose another port with --port (OCI_SERVE_PORT)")
	case errors.Is(err, syscall.EACCES):
		return cli.Hint(err, "ports below 1024 require root; choose another with --port")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		addresses, _ := hostAddresses() // none if they are unknown
		return cli.Hint(err, "the addresses of this host are: %s", strings.Join(addresses, ", "))
	}
	return err
}
