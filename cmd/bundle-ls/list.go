package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// A lister writes the records of bundles and counts them.
type lister struct {
	out       *record.Writer
	progress  *cli.Progress
	log       *slog.Logger
	overrides ref.Overrides
	blobs     bool
	leaves    bool // leave the rest of a bundle to a reader that accepts it

	start  time.Time
	counts map[string]int // images by type, skipped, failed
	bytes  int64

	path    string          // of the current bundle
	listing *oci.Listing    // of it
	used    map[string]bool // overrides that matched an entry of any bundle
}

func newLister(out *record.Writer, progress *cli.Progress, overrides ref.Overrides, blobs bool) *lister {
	return &lister{
		out: out, progress: progress, overrides: overrides, blobs: blobs,
		start: time.Now(), counts: map[string]int{}, used: map[string]bool{},
	}
}

// bundle lists one bundle. Its error is fatal; errors of single entries have
// been reported and counted.
func (l *lister) bundle(ctx context.Context, want pipe.Bundle, stdin io.Reader) error {
	l.path, l.listing = want.Path, &oci.Listing{Bundle: want.Path, Overrides: l.overrides}
	b, err := want.Open(ctx, stdin)
	if err != nil {
		return err
	}
	defer b.Close()
	l.log.Debug("bundle opened", "path", want.Path, "format", b.Format, "bytes", b.Size)
	l.progress.Start("listing", b.Size, b.Offset)
	defer l.progress.Close()
	defer func() { l.bytes += b.Offset() }()
	walk, stop := l.untilAccepted(ctx, want, b)
	defer stop()
	entries, images, err := l.entries(walk, want, b)
	if ctx.Err() == nil && context.Cause(walk) == errAccepted && errors.Is(err, errAccepted) {
		l.log.Debug("the reader lists the rest", "path", want.Path, "listed", entries)
		return l.out.Write(record.Rest{Bundle: want.Path, Size: b.Size, Listed: entries})
	}
	if err != nil {
		return err
	}
	if err := want.Check(ctx, b); err != nil {
		return err
	}
	if images == 0 {
		return want.Empty()
	}
	return nil
}

// entries lists a bundle's entries, and returns how many are listed, and how many
// images and files they hold.
func (l *lister) entries(ctx context.Context, want pipe.Bundle, b *bundle.Bundle) (entries, images int, err error) {
	for e, err := range b.Entries(ctx) {
		n := 0
		switch {
		case errors.Is(err, bundle.ErrEntry):
			err = l.refused(err)
		case err != nil:
			err = want.Named(err)
		default:
			n, err = l.entry(ctx, e)
		}
		if err != nil {
			return entries, images, err
		}
		entries, images = entries+1, images+n
	}
	return entries, images, nil
}

// refused records an entry that the bundle rejects, and continues.
func (l *lister) refused(err error) error {
	entry, problem := pipe.Refused(err)
	return l.fail(fmt.Sprintf("%s: entry %q", l.path, entry), record.Skipped{Bundle: l.path, Entry: entry}, problem)
}

// fail counts, reports and records something that cannot be listed.
func (l *lister) fail(name string, r record.Skipped, why error) error {
	l.counts["failed"]++
	l.progress.Problem(name, why)
	r.Status, r.Reason = record.StatusFailed, why.Error()
	return l.out.Write(r)
}

// entry lists one entry and returns how many images or files it had. The error ends the
// run.
func (l *lister) entry(ctx context.Context, e *bundle.Entry) (int, error) {
	if _, given := l.overrides[e.Path]; ref.IsFile(e.Path) && !given {
		return 1, l.file(ctx, e)
	}
	l.progress.Doing(e.Path)
	archive, err := oci.Load(ctx, e.At, e.Size, e, nil)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if _, damaged := errors.AsType[*bundle.DamageError](err); damaged {
		return 0, nil // of the bundle itself: the walk reports it next
	}
	if _, given := l.overrides[e.Path]; given && err == nil {
		l.used[e.Path] = true
	}
	var images []*oci.Image
	for _, one := range l.listing.Entry(e.Path, e.Size, archive, err) {
		if one.Image != nil {
			images = append(images, one.Image)
		}
		if err := l.write(one); err != nil {
			return 0, err
		}
	}
	if l.blobs && len(images) > 0 {
		return len(images), l.blobRecords(e, archive, images)
	}
	return len(images), nil
}

// write writes one record about an entry, and reports its problems.
func (l *lister) write(one oci.Listed) error {
	switch skipped := one.Skipped; {
	case one.Err != nil:
		return l.fail(skipped.Entry, *skipped, remedied(one.Err))
	case skipped != nil:
		l.counts["skipped"]++
		return l.out.Write(*skipped)
	}
	r := one.Record
	if r.Warning != "" {
		l.progress.Warn("%s: %s", r.Entry, r.Warning)
	}
	l.counts[r.Type]++
	l.progress.Item(0, "") // the record is the line
	return l.out.Write(r)
}

// remedied adds a hint to the error of an entry that is damaged or has no usable
// name.
func remedied(err error) error {
	if remedy := oci.Remedy(err); remedy != "" {
		return cli.Hint(err, "%s", remedy)
	}
	if errors.Is(err, ref.ErrInvalid) {
		return cli.Hint(err, "give it a reference with --map")
	}
	return err
}

// blobRecords writes one record for each blob of an archive: first those that
// its images refer to, in their order, then the unreferenced ones.
func (l *lister) blobRecords(e *bundle.Entry, archive *oci.Archive, images []*oci.Image) error {
	var all []v1.Descriptor
	for _, image := range images {
		for _, m := range image.Manifests {
			all = append(all, m.Descriptor)
		}
		all = append(all, image.Blobs...)
	}
	var rest []v1.Descriptor
	for digest, size := range archive.Sizes {
		rest = append(rest, v1.Descriptor{Digest: digest, Size: size})
	}
	slices.SortFunc(rest, func(a, b v1.Descriptor) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	seen := map[v1.Hash]bool{}
	for _, d := range append(all, rest...) {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		err := l.out.Write(record.Blob{Bundle: l.path, Entry: e.Path, Digest: d.Digest.String(), MediaType: string(d.MediaType), Size: d.Size})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish warns about unused overrides, writes the summary, and returns an error
// if anything failed.
func (l *lister) finish() error {
	for entry := range l.overrides {
		if !l.used[entry] {
			l.progress.Warn("--map: no entry %s with an image", entry)
		}
	}
	if err := l.summary(); err != nil {
		return err
	}
	switch n := l.counts["failed"]; n {
	case 0:
		return nil
	case 1:
		return errors.New("1 entry failed")
	default:
		return fmt.Errorf("%d entries failed", n)
	}
}

// broken ends a run that cannot continue. It writes the summary, unless the run
// was interrupted.
func (l *lister) broken(ctx context.Context, err error) error {
	if l.path == "" || ctx.Err() != nil {
		return err
	}
	l.counts["failed"]++
	return errors.Join(err, l.summary())
}

func (l *lister) summary() error {
	return l.out.Write(record.Summary{Tool: "bundle-ls", Counts: l.counts, Bytes: l.bytes, Seconds: record.Seconds(time.Since(l.start))})
}
