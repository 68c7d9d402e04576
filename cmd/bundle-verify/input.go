package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/textfile"
)

// An input is the file to verify.
type input struct {
	io.Reader
	name string // as given
	path string // absolute, or "-"
	at   atomic.Int64
	head []byte

	parts  *bundle.Parts // of a series
	file   *os.File      // nil unless opened here
	before os.FileInfo   // nil unless a regular file
}

// openInput opens the file; "-" means stdin.
func openInput(operand string, stdin io.Reader) (*input, error) {
	if operand == "-" {
		if err := cli.CheckStdin(stdin); err != nil {
			return nil, err
		}
		return &input{Reader: stdin, name: operand, path: operand}, nil
	}
	path, err := filepath.Abs(operand)
	if err != nil {
		return nil, err
	}
	if s, err := bundle.FindSeries(operand); s != nil || err != nil {
		return openParts(operand, path, s, err)
	}
	f, err := textfile.Open(operand)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = cli.Hint(fmt.Errorf("%s: a directory; the vendor signs a single file", operand), "verify the archive that it was unpacked from, then list and push the archive itself: it need not be unpacked")
	case err == nil && !info.Mode().IsRegular():
		info = nil
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &input{Reader: f, name: operand, path: path, file: f, before: info}, nil
}

// openParts opens a file that is in parts, which check themselves that they are
// unchanged.
func openParts(operand, path string, s *bundle.Series, err error) (*input, error) {
	if err != nil {
		return nil, err
	}
	parts, err := s.Open()
	if err != nil {
		return nil, err
	}
	return &input{Reader: parts, name: operand, path: path, parts: parts}, nil
}

func (in *input) close() {
	if in.parts != nil {
		in.parts.Close()
	}
	if in.file != nil {
		in.file.Close()
	}
}

// size returns the file's size, or 0 if it is unknown.
func (in *input) size() int64 {
	switch {
	case in.parts != nil:
		return in.parts.Size()
	case in.before == nil:
		return 0
	}
	return in.before.Size()
}

// unchanged returns an error if the file was modified while it was read, since
// it may then never have had the content that was hashed.
func (in *input) unchanged() error {
	if in.before == nil {
		return nil
	}
	after, err := in.file.Stat()
	if err != nil {
		return err
	}
	if after.Size() != in.before.Size() || in.at.Load() != after.Size() || !after.ModTime().Equal(in.before.ModTime()) {
		return cli.Hint(errors.New("changed while it was read"), "wait until it is complete")
	}
	return nil
}
