package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

const (
	// waiting is how many images may wait for their blobs while reading
	// continues, unless all of them wait for the bundle to be verified.
	waiting = 32
	// maxImages is how many may wait then; lib/bundle takes as many entries.
	maxImages = 1 << 17
	// waitingJSON is how many bytes of manifests and configs those may hold.
	waitingJSON = 8 << 20
)

// item is one image being pushed, or an entry without one; done is closed when
// record is final.
type item struct {
	record  record.Image
	skipped *record.Skipped // instead of record
	image   *oci.Image
	blobs   map[v1.Hash]*transfer
	done    chan struct{}
	err     error        // of record, with its hint
	quiet   bool         // the run's error covers it
	written *record.File // below --files
}

// results writes one record per image in the order in which the images were
// found, however long each of them takes.
type results struct {
	out      *record.Writer
	progress *cli.Progress
	sel      *selection
	sources  map[ref.Reference]*item // sources of aliases that this run has pushed

	queue  chan *item
	ended  chan struct{}
	json   *semaphore.Weighted
	counts map[string]int
	bytes  int64
	err    error // of writing
	later  int   // of the failed ones, may succeed in another run
	start  time.Time
}

func newResults(out *record.Writer, progress *cli.Progress, sel *selection) *results {
	r := &results{
		out: out, progress: progress, sel: sel, sources: make(map[ref.Reference]*item),
		queue: make(chan *item, maxImages), ended: make(chan struct{}),
		json: semaphore.NewWeighted(waitingJSON), counts: make(map[string]int), start: time.Now(),
	}
	go r.write()
	return r
}

// write ends when the queue is closed.
func (r *results) write() {
	defer close(r.ended)
	for it := range r.queue {
		<-it.done
		if it.skipped != nil {
			r.writeSkipped(it)
			continue
		}
		rec := it.record
		r.counts[rec.Status]++
		r.bytes += rec.PushedBytes
		if rec.Status == record.StatusFailed {
			if cli.Code(it.err) == cli.CodeTryAgain {
				r.later++
			}
			if !it.quiet {
				r.progress.Problem(label(rec), it.err)
			}
		}
		if rec.Replaces != "" && !ref.IsFallback(rec.Tag) { // clients keep adding to those
			moved := "moved"
			if rec.Status == record.StatusPlanned {
				moved = "would move"
			}
			r.progress.Warn("%s: the tag %s from %s to %s", label(rec), moved, rec.Replaces, rec.Digest)
		}
		if !it.quiet {
			r.progress.Item(r.sel.total(), cli.ItemText(strings.TrimPrefix(label(rec), rec.Registry+"/"), rec.Status, rec.Size))
		}
		if rec.Type == typeFile {
			r.put(fileRecord(rec, it.written))
			continue
		}
		r.put(rec)
	}
}

// writeSkipped writes the record of an entry that holds nothing for a registry.
func (r *results) writeSkipped(it *item) {
	r.counts[statusOf(*it.skipped)]++
	if it.err != nil {
		r.progress.Problem("entry "+it.skipped.Entry, it.err)
	}
	r.put(*it.skipped)
}

// put writes a record and keeps the first error, so that running uploads are
// finished even if the reader is gone.
func (r *results) put(rec record.Record) {
	if err := r.out.Write(rec); err != nil && r.err == nil {
		r.err = err
	}
}

// label returns a name for an image.
func label(r record.Image) string {
	switch {
	case r.Reference != "":
		return r.Reference
	case r.Entry != "":
		return "entry " + r.Entry
	case r.Repository != "":
		return r.Repository
	default:
		return r.Bundle
	}
}

// add queues an image for the output, and keeps it if it is the source of an
// alias.
func (r *results) add(it *item) {
	if name := (ref.Reference{Repository: it.record.Repository, Tag: it.record.Tag}); r.sel.aliases.about(name) {
		r.sources[name] = it
	}
	r.queue <- it
}

// fail makes the result of an item a failure. The run's error covers it if the
// run has ended, or if the bundle is at fault for that of all items.
func (it *item) fail(ctx context.Context, err error) {
	it.record.Status, it.record.Error, it.err = record.StatusFailed, err.Error(), err
	_, damaged := errors.AsType[*bundle.DamageError](err)
	it.quiet = damaged || errors.Is(err, errUntrusted) || errors.Is(err, errUnread) || ctx.Err() != nil
}

// fail adds an image that failed.
func (r *results) fail(rec record.Image, err error) {
	it := &item{record: rec}
	it.fail(context.Background(), err)
	r.settled(it)
}

// interrupted returns the error of a run that a signal has ended.
func (r *results) interrupted() error {
	there, of := r.counts[record.StatusPushed]+r.counts[record.StatusExists], ""
	if total := r.sel.total(); total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	images, are := "images", "are"
	if there == 1 {
		are = "is"
	}
	if there == 1 && of == "" {
		images = "image"
	}
	return cli.Interrupted("%d%s %s %s in the registry; the same command sends the rest", there, of, images, are)
}

// skip adds an entry that holds nothing for a registry; err is its failure, if
// any.
func (r *results) skip(rec record.Skipped, err error) { r.settled(&item{skipped: &rec, err: err}) }

func (r *results) settled(it *item) {
	it.done = make(chan struct{})
	close(it.done)
	r.add(it)
}

// close waits for the last image, writes the summary and returns the run's
// error.
func (r *results) close(ctx context.Context, err error) error {
	close(r.queue)
	<-r.ended
	for status, n := range r.sel.unlisted() {
		r.counts[status] += n
	}
	r.progress.Close()
	if errors.Is(context.Cause(ctx), cli.ErrInterrupted) {
		err = r.interrupted()
	}
	if r.err != nil {
		return cmp.Or(err, r.err)
	}
	summary := record.Summary{Tool: "oci-push", Counts: r.counts, Bytes: r.bytes, Seconds: record.Seconds(time.Since(r.start))}
	var shown any = summary
	if errors.Is(err, cli.ErrInterrupted) {
		shown = nil // "30 failed" would be misleading, and err has the number of images
	}
	if werr := r.out.WriteAs(summary, shown); werr != nil {
		return cmp.Or(err, werr)
	}
	switch {
	case errors.Is(err, cli.ErrInterrupted):
		return err
	case context.Cause(ctx) != nil: // the cause matters more than its consequences
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	return r.verdict()
}

// verdict returns the error of a run in which images failed. It suggests
// another run only if that can help.
func (r *results) verdict() error {
	failed, all := r.counts[record.StatusFailed], -r.counts[record.StatusSkipped]
	for _, n := range r.counts {
		all += n
	}
	err := fmt.Errorf("%d of %d images failed", failed, all)
	switch {
	case failed == 0:
		return nil
	case r.later == 0:
		return err
	case r.later == failed:
		return cli.TryAgain(cli.Hint(err, "run the same command again to push what is missing"))
	}
	return cli.Hint(err, "run the same command again to push %d of them; the others fail for good, for the reasons above", r.later)
}
