package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"k0rdent-airgap/lib/ref"
)

// maxListed bounds the files of one source that are listed, and so the memory for
// that.
const maxListed = 1000

// folder is a directory whose files are served, as they are at the time of each
// request. It need not exist.
type folder struct {
	dir   string
	below string // what the names of its files begin with
	// spellings returns the paths in the directory at which a file may be, below
	// which its name is given; none if no such file is served.
	spellings func(name string) []string

	mu   sync.Mutex
	sums map[string]checksum // by name; each file is read once until it changes
}

type checksum struct {
	of  fs.FileInfo
	hex string
}

// filesFolder returns the directory of --files, "" for none.
func filesFolder(dir string) *folder {
	return &folder{dir: dir, spellings: func(name string) []string {
		if ref.CheckFileName(name) != nil {
			return nil
		}
		return []string{name}
	}}
}

// open opens a file by its name.
func (d *folder) open(name string) (*os.File, fs.FileInfo, error) {
	path, ok := strings.CutPrefix(name, d.below)
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	for _, spelling := range d.spellings(path) {
		f, info, err := openRegular(root, spelling)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, info, err
		}
	}
	return nil, nil, fs.ErrNotExist
}

// openRegular opens a file below root, out of which no link leads. What is no
// regular file does not exist.
func openRegular(root *os.Root, path string) (*os.File, fs.FileInfo, error) {
	// Not to wait for the other end, should it be a pipe.
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// each calls do with the name and content of each file in the order of their names,
// but at most maxListed. It omits those that cannot be opened, since they cannot be
// served either.
func (d *folder) each(ctx context.Context, do func(name string, f *os.File, info fs.FileInfo) error) error {
	root, err := os.OpenRoot(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	listed := 0
	return fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		served := path == "." || d.spellings(path) != nil
		switch {
		case e == nil || ctx.Err() != nil:
			return errors.Join(err, context.Cause(ctx))
		case e.IsDir() && (err != nil || !served): // nobody can read it, or no name leads below it
			return fs.SkipDir
		case e.IsDir() || !served:
			return nil
		case listed == maxListed:
			return fs.SkipAll
		}
		f, info, err := openRegular(root, path)
		if err != nil {
			return nil
		}
		defer f.Close()
		listed++
		return do(d.below+path, f, info)
	})
}

// list returns the files with their checksums.
func (d *folder) list(ctx context.Context) (all []file, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sums := make(map[string]checksum)
	err = d.each(ctx, func(name string, f *os.File, info fs.FileInfo) error {
		sum := d.sums[name]
		if !sameFile(sum.of, info) {
			h := sha256.New()
			defer context.AfterFunc(ctx, func() { f.Close() })() // a client that has left waits for no checksum
			if _, err := io.Copy(h, f); err != nil {
				return err
			}
			sum = checksum{info, fmt.Sprintf("%x", h.Sum(nil))}
		}
		sums[name] = sum
		all = append(all, file{name, info.Size(), sum.hex})
		return nil
	})
	if err == nil {
		d.sums = sums
	}
	return all, err
}
