package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
)

// input is what the records on stdin say.
type input struct {
	registry *record.Registry // the last one
	version  *record.Version  // the last one
	at       string           // HOST[:PORT][/PREFIX] where oci-push has sent images
	failed   int              // images that it could not send
	files    []record.File    // that other tools have written
}

// patience is after how long a silent stdin is told of.
const patience = 5 * time.Second

// readRecords reads stdin to its end, and passes on every record. A terminal
// has none, and neither has /dev/null.
func (i *installer) readRecords(ctx context.Context, stdin io.Reader) error {
	if cli.CheckStdin(stdin) != nil || isDevice(stdin) {
		return nil
	}
	// A shell on another host keeps stdin open and sends nothing.
	t := time.AfterFunc(patience, func() {
		i.progress.Warn("waiting for the end of the records on standard input; use </dev/null if there are none")
	})
	defer t.Stop()
	for line, err := range record.Read(stdin) {
		t.Stop()
		if err == nil {
			err = i.takeRecord(line)
		}
		if err == nil {
			err = i.out.Pass(line)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func isDevice(stdin io.Reader) bool {
	f, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// errBadSignature ends a run whose bundle is not what its vendor signed.
var errBadSignature = errors.New("the signature does not hold")

// takeRecord keeps what a record says.
func (i *installer) takeRecord(line record.Line) error {
	in := &i.in
	switch line.Kind {
	case "bundle":
		var r record.Bundle
		if err := line.Decode(&r); err != nil {
			return err
		}
		if r.Signature == record.SignatureBad {
			return fmt.Errorf("bundle %s: %w: nothing is touched", r.Path, errBadSignature)
		}
	case "registry":
		in.registry = new(record.Registry)
		return line.Decode(in.registry)
	case "version":
		in.version = new(record.Version)
		return line.Decode(in.version)
	case "image":
		var r record.Image
		if err := line.Decode(&r); err != nil {
			return err
		}
		if r.Status == record.StatusFailed {
			in.failed++
		}
		if r.Registry != "" {
			in.at = r.Registry
		}
	case "file":
		var r record.File
		if err := line.Decode(&r); err != nil {
			return err
		}
		in.files = append(in.files, r)
	}
	return nil
}
