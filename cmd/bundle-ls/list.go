package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
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

	start  time.Time
	counts map[string]int // images by type, skipped, failed
	bytes  int64

	path  string                   // of the bundle at hand
	named map[ref.Reference]origin // references given out of it
	used  map[string]bool          // overrides that met their entry, of any bundle
}

// origin is where a reference came from.
type origin struct{ entry, digest string }

func newLister(out *record.Writer, progress *cli.Progress, overrides ref.Overrides, blobs bool) *lister {
	return &lister{
		out: out, progress: progress, overrides: overrides, blobs: blobs,
		start: time.Now(), counts: map[string]int{}, used: map[string]bool{},
	}
}

// bundle lists one bundle. Its error is fatal; what is wrong with an entry
// alone has been told and counted.
func (l *lister) bundle(ctx context.Context, want pipe.Bundle, stdin io.Reader) error {
	path := want.Path
	l.path, l.named = path, map[ref.Reference]origin{}
	b, err := want.Open(ctx, stdin)
	if err != nil {
		return err
	}
	defer b.Close()
	l.log.Debug("bundle opened", "path", path, "format", b.Format, "bytes", b.Size)
	l.progress.Start("listing", b.Size, b.Offset)
	defer l.progress.Close()
	defer func() { l.bytes += b.Offset() }()
	images := 0
	for e, err := range b.Entries(ctx) {
		switch {
		case errors.Is(err, bundle.ErrEntry):
			if err := l.refused(err); err != nil {
				return err
			}
			continue
		case err != nil:
			return want.Named(err)
		}
		n, err := l.entry(ctx, e)
		if err != nil {
			return err
		}
		images += n
	}
	if err := want.Check(ctx, b); err != nil {
		return err
	}
	if images == 0 {
		return want.Empty()
	}
	return nil
}

// refused records an entry that the bundle rejects, and continues.
func (l *lister) refused(err error) error {
	l.counts["failed"]++
	entry, problem := pipe.Refused(err)
	l.progress.Problem(fmt.Sprintf("%s: entry %q", l.path, entry), problem)
	return l.out.Write(record.Skipped{Bundle: l.path, Entry: entry, Status: record.StatusFailed, Reason: problem.Error()})
}

// entry lists one entry and gives how many images it had. The error ends the
// run.
func (l *lister) entry(ctx context.Context, e *bundle.Entry) (int, error) {
	var images []oci.Named
	archive, err := oci.Load(ctx, e.At, e.Size, e, nil)
	if err == nil {
		images, err = archive.Named(e.Path, l.override(e.Path))
	}
	var damage *bundle.DamageError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case errors.As(err, &damage):
		return 0, nil // of the bundle itself: the walk tells it next
	case oci.Stray(e.Path, err):
		l.counts["skipped"]++
		return 0, l.skip(e, "", err.Error())
	case errors.Is(err, ref.ErrInvalid):
		return 0, l.fail(e, cli.Hint(err, "give it a reference with --map"))
	case err != nil:
		return 0, l.fail(e, err)
	}
	for _, image := range images {
		if err := l.image(e, image); err != nil {
			return 0, err
		}
	}
	if l.blobs {
		return len(images), l.blobRecords(e, archive, images)
	}
	return len(images), nil
}

// skip records that nothing of an entry goes to a registry, with the status
// failed if something should.
func (l *lister) skip(e *bundle.Entry, status, reason string) error {
	l.progress.Item(0, fmt.Sprintf("%s skipped: %s", e.Path, reason))
	return l.out.Write(record.Skipped{Bundle: l.path, Entry: e.Path, Size: e.Size, Status: status, Reason: reason})
}

// fail records that an entry is damaged or has no usable name, and goes on.
func (l *lister) fail(e *bundle.Entry, err error) error {
	if remedy := oci.Remedy(err); remedy != "" {
		err = cli.Hint(err, "%s", remedy)
	}
	l.counts["failed"]++
	l.progress.Problem(e.Path, err)
	return l.skip(e, record.StatusFailed, err.Error())
}

// image writes the record of one image.
func (l *lister) image(e *bundle.Entry, image oci.Named) error {
	if lacks := image.MissingBlobs(); len(lacks) > 0 {
		return l.fail(e, fmt.Errorf("incomplete: the archive lacks %s", oci.Count(lacks, "blob")))
	}
	r := image.Record(l.path, e.Path)
	reference := image.Reference
	warnings := []string{image.Warning, r.Warning}
	if reference.Tag != "" {
		if other, twice := l.named[reference]; twice && other.digest != r.Digest {
			warnings = append(warnings, "entry "+other.entry+" has the same reference and another digest")
		}
		l.named[reference] = origin{e.Path, r.Digest}
	}
	r.Repository, r.Tag = reference.Repository, reference.Tag
	r.Warning = strings.Join(slices.DeleteFunc(warnings, func(w string) bool { return w == "" }), "; ")
	if r.Warning != "" {
		l.progress.Warn("%s: %s", e.Path, r.Warning)
	}
	l.counts[r.Type]++
	l.progress.Item(0, cli.ItemText(r.Name(), r.Type, r.Size))
	return l.out.Write(r)
}

// override returns the reference that --map gives an entry, or nil.
func (l *lister) override(entry string) *ref.Reference {
	r, ok := l.overrides[entry]
	if !ok {
		return nil
	}
	l.used[entry] = true
	return &r
}

// blobRecords writes one record for each blob of an archive: first those that
// its images name, in their order, then those that nothing names.
func (l *lister) blobRecords(e *bundle.Entry, archive *oci.Archive, images []oci.Named) error {
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

// finish tells overrides that met no entry, writes the summary, and gives the
// error that stands for what failed.
func (l *lister) finish() error {
	for entry := range l.overrides {
		if !l.used[entry] {
			l.progress.Warn("--map: no image in an entry %s", entry)
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

// broken ends a run that cannot go on. What was listed until then is summed up,
// unless somebody wants out.
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
