package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
)

// fromFile takes a k0s that is a file, such as the vendor offers for download.
func (w *wish) fromFile(ctx context.Context, path string) ([]found, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Hint(err, "--from takes a file, or HOST[:PORT]/.../k0sproject/k0s:TAG for a registry")
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe may wait for ever
		return nil, cli.Hint(fmt.Errorf("%s: not a regular file", path), "a bundle is the operand: k0s-extract BUNDLE")
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
	return w.fromReader(ctx, f, info.Size(), v, "file "+path)
}

// versionOf finds out which version a file is: by its name, or by running it
// if it is meant to run here.
func (w *wish) versionOf(ctx context.Context, path string) (*k0s.Version, error) {
	v := fileVersion(path)
	switch {
	case v != nil && w.version != nil && v.Compare(*w.version) != 0:
		return nil, cli.Misuse("%s: by its name it is k0s %s, not %s", path, v, w.version)
	case w.version != nil:
		return w.version, nil
	case v != nil:
		return v, nil
	}
	if !strings.Contains(path, "/") {
		path = "./" + path // what is named so is not looked for elsewhere
	}
	if w.platforms[0].Architecture != here().Architecture {
		return nil, nil
	}
	told, err := k0s.Binary{Path: path}.Version(ctx)
	if err != nil { // most often: not executable, as a download is
		w.log.Debug("asked for its version", "path", path, "error", err)
		return nil, interrupted(ctx, nil)
	}
	return &told, nil
}

// fromReader takes a k0s for which no digest vouches.
func (w *wish) fromReader(ctx context.Context, r io.ReaderAt, size int64, v *k0s.Version, source string) ([]found, error) {
	want := w.platforms[0]
	_, what, _ := strings.Cut(source, " ")
	if err := checkWhole(r, size, want); err != nil {
		err = fmt.Errorf("%s: %w", what, err)
		if errors.Is(err, errMachine) {
			err = cli.Hint(err, "--platform names what it is for")
		}
		return nil, err
	}
	out := w.sink(v, want)
	if err := copyFrom(ctx, out, io.NewSectionReader(r, 0, size)); err != nil {
		out.drop()
		return nil, err
	}
	return []found{{version: v, platform: want, source: source, sink: out}}, nil
}
