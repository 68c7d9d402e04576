package main

import (
	"context"
	"fmt"
	"io"

	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// input is what the records on stdin say.
type input struct {
	registry *record.Registry // the last one
	version  *record.Version  // the last one
	at       ref.Site         // where oci-push has sent images
	failed   int              // images that it could not send
	images   []record.Image   // whose tag and digest are known
	files    []record.File    // that other tools have written
}

// readRecords reads stdin to its end, and passes on every record.
func (i *installer) readRecords(ctx context.Context, stdin io.Reader) error {
	if pipe.None(stdin) {
		return nil
	}
	in := pipe.Reader{Out: i.out, Wait: func() {
		i.progress.Warn("waiting for records on stdin; use </dev/null if there are none")
	}}
	for line, err := range in.Records(ctx, stdin) {
		if err != nil {
			return err
		}
		if err := i.takeRecord(line); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
	}
	return nil
}

// takeRecord keeps what a record says.
func (i *installer) takeRecord(line record.Line) error {
	in := &i.in
	switch line.Kind {
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
		} else if r.Tag != "" && r.Digest != "" {
			in.images = append(in.images, record.Image{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Reference: r.Reference})
		}
		if at := pipe.At(r); at.Host != "" {
			in.at = at
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
