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
	size int64  // or 0 if it is unknown
	at   atomic.Int64
	head []byte

	close  func() error
	parts  *bundle.Parts // of a series, which checks itself that it is unchanged
	file   *os.File      // nil unless opened here
	before os.FileInfo   // nil unless a regular file
}

// openInput opens the file; "-" means stdin.
func openInput(operand string, stdin io.Reader) (*input, error) {
	if operand == "-" {
		if err := cli.CheckStdin(stdin); err != nil {
			return nil, err
		}
		return &input{Reader: stdin, name: operand, path: operand, close: func() error { return nil }}, nil
	}
	path, err := filepath.Abs(operand)
	if err != nil {
		return nil, err
	}
	if s, err := bundle.FindSeries(operand); err != nil {
		return nil, err
	} else if s != nil {
		parts, err := s.Open()
		if err != nil {
			return nil, err
		}
		return &input{Reader: parts, name: operand, path: path, size: parts.Size(), close: parts.Close, parts: parts}, nil
	}
	f, err := textfile.Open(operand)
	if err != nil {
		return nil, err
	}
	in := &input{Reader: f, name: operand, path: path, close: f.Close, file: f}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = cli.Hint(fmt.Errorf("%s: a directory; the vendor signs a single file", operand), "verify the archive that it was unpacked from, then list and push the archive itself: it need not be unpacked")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.Mode().IsRegular() {
		in.before, in.size = info, info.Size()
	}
	return in, nil
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
