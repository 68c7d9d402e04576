package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/textfile"
)

// A Bundle is a bundle to read: its absolute path, or "-" for the bytes on
// stdin, and the digest that its bytes must have, or "".
type Bundle struct {
	Path, Digest string
	Hash         bool // compute the digest, which may be announced while the bundle is read
}

// Bundles yields each bundle to read: the operand or, without one, those of the
// bundle records on stdin, each after its record was copied, so that a tool's
// own records follow it.
//
// The iteration ends with the first error: one of Records, or that stdin is a
// terminal or has no bundle record.
func (r Reader) Bundles(ctx context.Context, operand string, stdin io.Reader) iter.Seq2[Bundle, error] {
	return func(yield func(Bundle, error) bool) {
		if operand == "" || operand == "-" {
			if err := cli.CheckStdin(stdin); err != nil {
				yield(Bundle{}, err)
				return
			}
		}
		switch operand {
		case "":
			if err := r.bundleRecords(ctx, stdin, func(b Bundle) bool { return yield(b, nil) }); err != nil {
				yield(Bundle{}, err)
			}
		case "-":
			yield(Bundle{Path: "-"}, nil)
		default:
			path, err := filepath.Abs(operand)
			yield(Bundle{Path: path}, err)
		}
	}
}

func (r Reader) bundleRecords(ctx context.Context, stdin io.Reader, yield func(Bundle) bool) error {
	records, found := 0, false
	for line, err := range r.Records(ctx, stdin) {
		if err != nil {
			return err
		}
		records++
		var b record.Bundle
		if line.Kind != b.Kind() {
			continue
		}
		if err := line.Decode(&b); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if err := CheckPath(line, b.Path); err != nil {
			return err
		}
		found = true
		if !yield(Bundle{Path: b.Path, Digest: b.Digest}) {
			return nil
		}
	}
	switch {
	case found:
		return nil
	case records == 0:
		return cli.Hint(errors.New("stdin: no records"), "name the bundle, or pipe in the output of bundle-verify; if it wrote nothing, it failed")
	}
	return cli.Hint(errors.New("stdin: no bundle record"), "bundle-verify writes it and must come first: bundle-verify … | bundle-version | bundle-ls | oci-push …; or name the bundle")
}

// CheckPath returns an error if the bundle that a record names cannot be read.
func CheckPath(line record.Line, path string) error {
	switch path {
	case "-":
		return cli.Hint(fmt.Errorf("stdin: line %d: the bundle was on another tool's stdin and cannot be read again", line.Number), "name the file")
	case "":
		return fmt.Errorf("stdin: line %d: %s record without a path", line.Number, line.Kind)
	}
	if foreign(path, runtime.GOOS == "windows") {
		return cli.Hint(fmt.Errorf("stdin: line %d: %s is a path of another system", line.Number, path), "name the file, as it is called on this host")
	}
	return nil
}

// foreign reports whether a path that is absolute where a record was written is
// relative on this system: C:\bundle.tgz names a file in the current directory
// except on Windows, and /bundle.tgz there a file on the current drive.
func foreign(path string, windows bool) bool {
	if windows {
		return strings.HasPrefix(path, "/")
	}
	drive := len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
	return drive || strings.HasPrefix(path, `\\`)
}

// Open opens the bundle, and hashes its bytes as they are read if a digest is
// expected. Its error names the bundle.
func (b Bundle) Open(ctx context.Context, stdin io.Reader) (*bundle.Bundle, error) {
	var options []bundle.Option
	if b.Digest != "" || b.Hash {
		if info, err := os.Stat(b.Path); err == nil && info.IsDir() {
			return nil, b.Named(cli.Hint(errors.New("is a directory, but a file was verified"), "name the file that bundle-verify read"))
		}
		options = append(options, bundle.WithDigest())
	}
	// Opening a named pipe waits for its writer.
	return textfile.Until(ctx, func() (*bundle.Bundle, error) {
		open, err := bundle.Open(ctx, b.Path, stdin, options...)
		if b.Path == "-" && errors.Is(err, bundle.ErrFormat) {
			err = cli.Hint(err, "- means the bytes of a bundle; leave it out to read records")
		}
		return open, b.Named(err)
	})
}

// Check reads the rest of a bundle whose digest is expected, and compares it.
func (b Bundle) Check(ctx context.Context, open *bundle.Bundle) error {
	if b.Digest == "" {
		return nil
	}
	if err := open.Drain(ctx); err != nil {
		return b.Named(err)
	}
	if got := open.Digest(); got != b.Digest {
		return b.Named(Differs(got, b.Digest))
	}
	return nil
}

// Differs returns the error for a bundle whose digest differs from that in a
// record.
func Differs(got, want string) error {
	return cli.Hint(fmt.Errorf("not the bundle that was verified: want %s, got %s", want, got), "it has changed since then; verify it again")
}

// Named adds the bundle's path to an error that does not name it yet.
func (b Bundle) Named(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*bundle.PartError](err); ok {
		return err
	}
	err = b.remedied(err)
	if at, ok := errors.AsType[*fs.PathError](err); ok && at.Path == b.Path {
		return err
	}
	if b.Path == "-" {
		return fmt.Errorf("stdin: %w", err)
	}
	return fmt.Errorf("%s: %w", b.Path, err)
}
