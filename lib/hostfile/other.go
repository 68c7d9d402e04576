//go:build !linux

package hostfile

import (
	"errors"
	"fmt"
	"io/fs"

	"k0rdent-airgap/lib/record"
)

// Supported reports whether files can be written on this system.
const Supported = false

// File is a file that cannot be written on this system.
type File struct{}

// Create returns an error: what protects a file from other users of a host is
// written for Linux.
func Create(path string, _ fs.FileMode) (*File, error) {
	return nil, fmt.Errorf("%s: files are written on Linux only: %w", path, errors.ErrUnsupported)
}

// Write returns an error.
func (*File) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Commit returns an error.
func (*File) Commit() (record.File, error) { return record.File{}, errors.ErrUnsupported }

// Abort does nothing.
func (*File) Abort() {}
