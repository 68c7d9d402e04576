// Package pipe reads every tool's input: the records on stdin, the bundle that
// the operand or those records name, and the verdict on that bundle.
//
// It is the only place where records are read, so these rules hold for all
// tools. A record is copied to stdout, unchanged and in order, unless the tool
// replaces it with one of its own. A bundle record whose signature is bad or
// unknown ends the run, after it was copied, so that it also ends the tools
// later in the pipeline. An empty pipe ends a run that needs records. A record
// with a digest binds the bundle. The end of the context ends a wait for stdin.
// A run that does not read stdin has a Guard, so that no piped verdict is
// ignored.
package pipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// ErrBadSignature is wrapped by the error for a bundle whose signature is bad.
var ErrBadSignature = errors.New("its signature is bad")

// ErrUnverified is wrapped by the error for a bundle whose verification had no
// result.
var ErrUnverified = errors.New("it could not be verified")

// ErrNoRecords is wrapped by the error for a pipe that ends without a record.
var ErrNoRecords = errors.New("no records")

// silence is how long stdin may be silent before the wait is reported.
const silence = 5 * time.Second

// A Reader reads the records on a tool's input.
type Reader struct {
	Name string         // of the input, for errors; "stdin" if empty
	Out  *record.Writer // receives every record before it is yielded; may be nil
	Own  []string       // kinds that the tool replaces, which are not written to Out
	Text string         // the remedy for lines of text instead of records; may be empty
	Wait func()         // called once if nothing arrives for a while; may be nil

	// Optional means that the run continues without records. The stdin of a
	// command that ssh or a job runner starts is often an empty pipe.
	Optional bool
}

// Records yields the records of in. The iteration ends with the first error: in
// holds something else, a bundle's signature is bad or unknown, in is an empty
// pipe although records are not optional, or ctx is done. The record of such a
// bundle is copied but not yielded.
func (r Reader) Records(ctx context.Context, in io.Reader) iter.Seq2[record.Line, error] {
	return func(yield func(record.Line, error) bool) {
		pipeline, any := r.Name == "" && !r.Optional && cli.IsPipe(in), false
		if r.Wait != nil {
			first := time.AfterFunc(silence, r.Wait)
			defer first.Stop()
			in = &onRead{in, func() { first.Stop() }}
		}
		for line, err := range record.Read(Interruptible(ctx, in)) {
			switch {
			case ctx.Err() != nil:
				err = context.Cause(ctx)
			case err != nil:
				err = r.explain(line, err)
			default:
				err = r.take(line)
			}
			any = true
			if !yield(line, err) || err != nil {
				return
			}
		}
		// The program that was to write has failed before it could
		// write a record.
		if !any && pipeline && ctx.Err() == nil {
			yield(record.Line{}, cli.Hint(r.named(ErrNoRecords), "the program that writes them has failed and printed the reason; use "+noInput+" if there is none"))
		}
	}
}

// take copies a record and returns an error if the tools must stop after it.
func (r Reader) take(line record.Line) error {
	var b record.Bundle
	if line.Kind == b.Kind() {
		if err := line.Decode(&b); err != nil {
			return r.named(err)
		}
	}
	bad := b.Signature == record.SignatureBad || b.Signature == record.SignatureUnknown
	if r.Out != nil && (!slices.Contains(r.Own, line.Kind) || bad) {
		if err := r.Out.Pass(line); err != nil {
			return err
		}
	}
	// bundle-verify has printed the reason and a hint; each tool that its record
	// ends would repeat one.
	about := strings.TrimSpace("bundle " + b.Path)
	switch {
	case b.Signature == record.SignatureUnknown && b.Error != "":
		return fmt.Errorf("%s: %w: %s", about, ErrUnverified, b.Error)
	case b.Signature == record.SignatureUnknown:
		return fmt.Errorf("%s: %w", about, ErrUnverified)
	case bad:
		return fmt.Errorf("%s: %w", about, ErrBadSignature)
	}
	return nil
}

// named adds the input's name to an error.
func (r Reader) named(err error) error {
	if r.Name == "" {
		return fmt.Errorf("stdin: %w", err)
	}
	return fmt.Errorf("%s: %w", r.Name, err)
}

// explain adds to an error a hint about what arrived instead of a record.
func (r Reader) explain(line record.Line, err error) error {
	err = r.named(err)
	switch what := line.Raw; {
	case len(what) == 0:
		return err
	case isText(what) && bytes.HasPrefix(what, []byte(`{"kind"`)) && what[len(what)-1] != '}':
		return cli.Hint(err, "the record is truncated: the program that writes the records was stopped")
	case isText(what) && (what[0] == '{' || what[0] == '['):
		return cli.Hint(err, "a record is one JSON object on one line; a filter must use jq -c")
	case isText(what) && r.Text != "":
		return cli.Hint(err, "%s", r.Text)
	case isText(what):
		return cli.Hint(err, "records are what the tools write with --format json, which is the default")
	}
	return cli.Hint(err, "to read a bundle's bytes from stdin, give - as the operand")
}

func isText(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// Take reads stdin to its end for a tool that can do without it, passes on every
// record, and has take keep what each says.
func Take(ctx context.Context, stdin io.Reader, out *record.Writer, warn func(format string, args ...any), take func(record.Line) error) error {
	if None(stdin) {
		return nil
	}
	in := Reader{Out: out, Optional: true, Wait: func() { warn(waiting) }}
	for line, err := range in.Records(ctx, stdin) {
		if err == nil {
			err = take(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const waiting = "waiting for records on stdin; use " + noInput + " if there are none"

// Waiting returns a function that warns that nothing has arrived on stdin yet,
// or nil for a tool in the middle of a pipeline, whose last tool warns.
func Waiting(warn func(format string, args ...any), stdout io.Writer) func() {
	if cli.IsPipe(stdout) {
		return nil
	}
	return func() { warn(waiting) }
}

// None reports whether stdin holds nothing for a tool whose input is optional:
// it is closed, a terminal, or another device such as /dev/null.
func None(stdin io.Reader) bool {
	f, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&fs.ModeCharDevice != 0
}

// At returns the site that an image was pushed to, or none if its record does
// not name it.
func At(i record.Image) ref.Site { return ref.Site{Host: i.Registry, Prefix: i.Prefix} }
