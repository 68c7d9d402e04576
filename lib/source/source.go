// Package source tells a tool which bundles it is to read: its operand, or
// the bundle records on stdin, with all other records passed on.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// Bundles yields the path of each bundle to read, for bundle.Open: absolute,
// or "-" for the bytes on stdin. Without an operand it reads records and
// copies every one of them to out; each bundle record among them is yielded
// after it was copied, so that what a tool writes about it follows it.
//
// The iteration ends with the first error: stdin is a terminal or holds no
// records or no bundle record, a bundle's signature is bad, or ctx is done. The
// record of a bad signature is copied like all others, so that it stops the
// tools behind this one as well.
func Bundles(ctx context.Context, operand string, stdin io.Reader, out *record.Writer) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if operand == "" || operand == "-" {
			if err := cli.CheckStdin(stdin); err != nil {
				yield("", err)
				return
			}
		}
		switch operand {
		case "":
			if err := fromRecords(ctx, stdin, out, func(path string) bool { return yield(path, nil) }); err != nil {
				yield("", err)
			}
		case "-":
			yield("-", nil)
		default:
			yield(filepath.Abs(operand))
		}
	}
}

// Records yields the records on stdin, each after it was copied to out. The
// iteration ends with the first error: stdin holds something else, a bundle's
// signature is bad, or ctx is done. The record of a bad signature is copied
// and not yielded.
func Records(ctx context.Context, stdin io.Reader, out *record.Writer) iter.Seq2[record.Line, error] {
	return func(yield func(record.Line, error) bool) {
		for line, err := range record.Read(interruptible{ctx, stdin}) {
			if ctx.Err() != nil {
				yield(record.Line{}, context.Cause(ctx))
				return
			}
			if err != nil {
				err = fmt.Errorf("stdin: %w", err)
				if errors.Is(err, record.ErrNotRecord) {
					err = cli.Hint(err, "to read a bundle's bytes from stdin, give - as the operand")
				}
				yield(record.Line{}, err)
				return
			}
			if err = out.Pass(line); err == nil {
				err = good(line)
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// good tells whether the tools may go on after a record.
func good(line record.Line) error {
	if line.Kind != (record.Bundle{}).Kind() {
		return nil
	}
	var b record.Bundle
	if err := line.Decode(&b); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	if b.Signature == record.SignatureBad {
		return fmt.Errorf("bundle %s: its signature is bad", b.Path)
	}
	return nil
}

// CheckPath tells whether the bundle that a record names can be read.
func CheckPath(line record.Line, path string) error {
	switch path {
	case "-":
		return cli.Hint(fmt.Errorf("stdin: line %d: the bundle was on another tool's stdin and cannot be read again", line.Number), "name the file")
	case "":
		return fmt.Errorf("stdin: line %d: %s record without a path", line.Number, line.Kind)
	}
	return nil
}

func fromRecords(ctx context.Context, stdin io.Reader, out *record.Writer, yield func(string) bool) error {
	found := false
	for line, err := range Records(ctx, stdin, out) {
		if err != nil {
			return err
		}
		if line.Kind != (record.Bundle{}).Kind() {
			continue
		}
		var b record.Bundle
		if err := line.Decode(&b); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		if err := CheckPath(line, b.Path); err != nil {
			return err
		}
		found = true
		if !yield(b.Path) {
			return nil
		}
	}
	if !found {
		return errors.New("stdin: no bundle record")
	}
	return nil
}

// interruptible ends a Read when ctx is done, though the reader below may
// still wait. What that Read gets is lost.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends with the Read or with the program
		b := make([]byte, len(p)) // p is the caller's again once we return
		n, err := i.r.Read(b)
		done <- result{b[:n], err}
	}()
	select {
	case got := <-done:
		return copy(p, got.data), got.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}

// Piped tells whether a tool's records go to another program. That one shows
// progress then, and the two would draw over each other on one terminal.
func Piped(stdout io.Writer) bool {
	f, ok := stdout.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}
