package main

import (
	"context"
	"errors"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
)

// file lists an entry that is a file for an HTTP server. It is read to its end
// for its digest. The error ends the run.
func (l *lister) file(ctx context.Context, e *bundle.Entry) error {
	r, err := oci.FileRecord(l.path, e.Path, e.Size)
	if err != nil {
		return l.fail(e.Path, record.Skipped{Bundle: l.path, Entry: e.Path, Size: e.Size}, err)
	}
	digest, err := oci.Sum(ctx, e)
	if _, damaged := errors.AsType[*bundle.DamageError](err); damaged && ctx.Err() == nil {
		return nil // the walk reports it next
	}
	if err != nil {
		return err
	}
	r.Digest = digest.String()
	l.counts[r.Kind()]++
	l.progress.Item(0, cli.ItemText(r.Name, r.Kind(), r.Size))
	return l.out.Write(r)
}
