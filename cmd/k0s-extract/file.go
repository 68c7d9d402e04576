package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// fromFile reads k0s from a file, such as one downloaded from the vendor.
func (w *request) fromFile(ctx context.Context, path string) ([]found, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Hint(err, "--from takes a file, or HOST[:PORT]/.../k0sproject/k0s:TAG for a registry")
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe may block forever
		return nil, cli.Hint(fmt.Errorf("%s: not a regular file", path), "name a bundle without --from: k0s-extract BUNDLE")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := w.versionOf(ctx, path)
	if err == nil {
		err = w.known(v, path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkWhole(f, info.Size(), w.platforms[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", path, remedied(f, err))
	}
	return w.copied(ctx, io.NewSectionReader(f, 0, info.Size()), v, "file "+path)
}

// remedied adds a hint to the error of a file that is not the requested k0s.
func remedied(f io.ReaderAt, err error) error {
	head := make([]byte, 512)
	n, _ := f.ReadAt(head, 0)
	switch {
	case errors.Is(err, errMachine):
		return cli.Hint(err, "use --platform OS/ARCH if it is for another machine")
	case bundle.FormatOf(head[:n]) != "":
		return cli.Hint(err, "name a bundle without --from: k0s-extract BUNDLE")
	case errors.Is(err, errNotProgram):
		return err
	}
	return cli.Hint(err, "copy it again, and compare it with the vendor's: sha256sum FILE")
}

// versionOf determines the version of a file: from its name, or by running it
// if it is for this machine.
func (w *request) versionOf(ctx context.Context, path string) (*k0s.Version, error) {
	v := fileVersion(path)
	switch {
	case v != nil && w.version != nil && v.Compare(*w.version) != 0:
		return nil, cli.Misuse("%s: file name says k0s %s, not %s", path, v, w.version)
	case w.version != nil:
		return w.version, nil
	case v != nil:
		return v, nil
	}
	if !strings.Contains(path, "/") {
		path = "./" + path // keep exec from searching PATH
	}
	if w.platforms[0].Architecture != here().Architecture {
		return nil, nil
	}
	own, err := k0s.Binary{Path: path}.Version(ctx)
	if err != nil { // usually not executable, like a fresh download
		w.log.Debug("asked for its version", "path", path, "error", err)
		return nil, interrupted(ctx, nil)
	}
	return &own, nil
}

// copied returns the k0s in r, which needs no unpacking.
func (w *request) copied(ctx context.Context, r io.Reader, v *k0s.Version, source string) ([]found, error) {
	f := found{version: v, platform: w.platforms[0], source: source}
	f.sink = w.sink(ctx, v, f.platform)
	if _, err := io.CopyBuffer(f.sink, &interruptible{ctx, r}, make([]byte, 256<<10)); err != nil {
		f.sink.drop()
		return nil, err
	}
	return []found{f}, nil
}
