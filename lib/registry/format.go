package registry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

const (
	// formatFile holds the version of the storage's format.
	formatFile = "format"
	format     = "2\n"
)

// ErrFormat means that a storage has the format of another version.
var ErrFormat = errors.New("unsupported format")

// checkFormat returns an ErrFormat unless the storage has this version's format, or
// is new. The first format, which no release has used, had no formatFile.
func (d *Disk) checkFormat() error {
	text, err := d.tree.root.ReadFile(formatFile)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte("1")
		var empty bool
		if empty, err = d.tree.isEmpty(reposDir); empty {
			return err
		}
	}
	if err == nil && string(text) != format {
		err = fmt.Errorf("%w: want %s, got %.20q", ErrFormat, strings.TrimSpace(format), strings.TrimSpace(string(text)))
	}
	return err
}

// writeFormat states the format of a new storage.
func (d *Disk) writeFormat() error {
	if there, err := d.tree.exists(formatFile); err != nil || there {
		return err
	}
	f, temp, err := d.tempFile()
	if err != nil {
		return err
	}
	defer d.tree.remove(temp)
	_, err = io.WriteString(d.tree.writer(f, temp), format)
	if err == nil {
		err = d.tree.sync(f, temp)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.tree.rename(temp, formatFile)
	}
	if err == nil {
		err = d.tree.syncDir(".")
	}
	return storageError(err)
}
