package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/ref"
)

// filesDir returns the value of --files as an absolute path. It must be a
// directory: a mistyped one would serve nothing.
func filesDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", cli.Misuse("--files: %w", err)
	}
	return dir, root.Close()
}

// dirFiles are the files below the directory of --files, as they are at the time
// of each request. Without a directory there are none.
type dirFiles struct {
	dir  string
	sums fileSums
}

// open opens a file by its name, which is a path below the directory.
func (d *dirFiles) open(name string) (*os.File, fs.FileInfo, error) {
	if d.dir == "" {
		return nil, nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	return openRegular(root, name)
}

// list returns the files with their checksums, of which there are at most
// maxListed.
func (d *dirFiles) list(ctx context.Context) ([]stored, error) {
	if d.dir == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		hidden := name != "." && strings.HasPrefix(path.Base(name), ".")
		switch {
		case e == nil || ctx.Err() != nil:
			return errors.Join(err, context.Cause(ctx))
		case e.IsDir() && (hidden || err != nil): // unreadable ones have no files for anybody
			return fs.SkipDir
		case e.IsDir() || hidden || ref.CheckFileName(name) != nil:
			return nil
		case len(names) == maxListed:
			return fs.SkipAll
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.sums.list(ctx, names, func(name string) (*os.File, fs.FileInfo, error) { return openRegular(root, name) })
}
