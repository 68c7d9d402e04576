package oci

import (
	"fmt"
	"slices"
	"strings"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// A Listing makes the records of a bundle's entries, in the bundle's order.
type Listing struct {
	Bundle    string        // the bundle's path
	Overrides ref.Overrides // references in place of those of the naming rule

	named map[ref.Reference]origin
}

// origin is where a reference came from.
type origin struct{ entry, digest string }

// Listed is an image of an entry or, if Skipped is not nil, something that
// cannot be pushed.
type Listed struct {
	Image   *Image // nil for an entry without one
	Record  record.Image
	Skipped *record.Skipped
	Err     error // why Skipped failed; nil if nothing is missing
}

// Entry returns the contents of an entry, given the archive loaded from it or
// the error of loading it.
func (l *Listing) Entry(entry string, size int64, archive *Archive, err error) []Listed {
	var images []Named
	if err == nil {
		var given *ref.Reference
		if r, ok := l.Overrides[entry]; ok {
			given = &r
		}
		images, err = archive.Named(ref.Plain(l.Bundle, entry), given)
	}
	switch {
	case Stray(entry, err):
		return []Listed{{Skipped: &record.Skipped{Bundle: l.Bundle, Entry: entry, Size: size, Reason: err.Error()}}}
	case err != nil:
		return []Listed{l.failed(entry, size, nil, err)}
	}
	var all []Listed
	for _, image := range images {
		if lacks := image.MissingBlobs(); len(lacks) > 0 {
			all = append(all, l.failed(entry, size, image.Image, fmt.Errorf("incomplete: the archive lacks %s", Count(lacks, "blob"))))
			continue
		}
		all = append(all, l.image(entry, image))
	}
	return all
}

func (l *Listing) failed(entry string, size int64, image *Image, err error) Listed {
	return Listed{Image: image, Err: err, Skipped: &record.Skipped{
		Bundle: l.Bundle, Entry: entry, Size: size, Status: record.StatusFailed, Reason: err.Error(),
	}}
}

func (l *Listing) image(entry string, image Named) Listed {
	r := image.Record(l.Bundle, entry)
	r.Repository, r.Tag = image.Reference.Repository, image.Reference.Tag
	warnings := []string{image.Warning, r.Warning}
	if r.Tag != "" {
		if other, twice := l.named[image.Reference]; twice && other.digest != r.Digest {
			warnings = append(warnings, "entry "+other.entry+" has the same reference and another digest")
		}
		l.Note(r)
	}
	r.Warning = strings.Join(slices.DeleteFunc(warnings, func(w string) bool { return w == "" }), "; ")
	return Listed{Image: image.Image, Record: r}
}

// Note adds a record made elsewhere, for the warning about duplicate
// references.
func (l *Listing) Note(r record.Image) {
	if l.named == nil {
		l.named = make(map[ref.Reference]origin)
	}
	l.named[ref.Reference{Repository: r.Repository, Tag: r.Tag}] = origin{r.Entry, r.Digest}
}
