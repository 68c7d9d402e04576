package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"

	"k0rdent-airgap/lib/bundle"
	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/oci"
	"k0rdent-airgap/lib/pipe"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/ref"
)

// The product's chart, whose version is the release, and the image whose tags
// are the k0s versions.
const (
	chartName       = "k0rdent-enterprise"
	chartRepository = "charts/" + chartName
	k0sRepository   = "k0sproject/k0s"
)

// A finder finds the versions of bundles.
type finder struct {
	all      bool // read streams to their end
	unread   int  // entries that the system could not read
	further  further
	progress *cli.Progress
	log      *slog.Logger
}

// find reads a bundle until its version is known. A seekable one is walked
// completely, since that costs next to nothing.
func (f *finder) find(ctx context.Context, want pipe.Bundle, stdin io.Reader) (record.Version, error) {
	path := want.Path
	b, err := want.Open(ctx, stdin)
	if err != nil {
		return record.Version{}, err
	}
	defer b.Close()
	f.further = further{}
	f.log.Debug("bundle opened", "path", path, "format", b.Format, "bytes", b.Size)
	f.progress.Start("looking for the chart", b.Size, b.Offset)
	defer f.progress.Close()
	found, err := f.search(ctx, b)
	if err != nil {
		return record.Version{}, want.Named(err)
	}
	if err := want.Check(ctx, b); err != nil {
		return record.Version{}, err
	}
	if found.Entry == "" {
		found = f.further.version(bundle.Whole(path))
	}
	if found.Version == "" && found.Type != "" {
		err := fmt.Errorf("%s: a %s bundle, but neither its charts nor its file name show which version", path, found.Type)
		return record.Version{}, cli.Hint(err, "name it airgap-bundle-VERSION.tar.gz, as the vendor does")
	}
	if found.Version == "" {
		err := fmt.Errorf("%s: no chart %s_*.tar found", path, chartRepository)
		return record.Version{}, cli.Hint(err, "bundle-ls lists its contents")
	}
	found.Bundle = path
	if named := fileVersion(bundle.Whole(path)); named != "" && named != found.Version {
		f.progress.Warn("%s: the file name says %s, but its chart says %s", path, named, found.Version)
	}
	return found, nil
}

// incomplete returns an error if not everything could be read: an unread entry
// may be the chart of another release.
func (f *finder) incomplete() error {
	if f.unread == 0 {
		return nil
	}
	return fmt.Errorf("%d of the bundle's entries could not be read", f.unread)
}

// search walks a bundle's entries.
func (f *finder) search(ctx context.Context, b *bundle.Bundle) (found record.Version, err error) {
	var tags []string // of k0s
	for e, err := range b.Entries(ctx) {
		if errors.Is(err, bundle.ErrEntry) {
			if at, ok := errors.AsType[*bundle.EntryError](err); ok && at.Err != nil {
				f.unread++
			}
			entry, problem := pipe.Refused(err)
			f.progress.Problem(fmt.Sprintf("entry %q", entry), problem)
			continue
		}
		if err != nil {
			return found, err
		}
		f.further.note(e.Path)
		name, _, err := ref.Predict(e.Path, strings.HasPrefix(e.Path, chartRepository))
		kind := ofFurther(e.Path, name)
		switch {
		case err != nil:
			continue
		case name.Repository == k0sRepository:
			tags = append(tags, name.Tag)
			continue
		case kind == "" && (name.Repository != chartRepository || !ref.IsImage(e.Path)):
			continue
		case found.Entry != "":
			f.progress.Warn("entry %s: another chart of the product; the first one is used", e.Path)
			continue
		}
		if found, err = f.chart(ctx, e, name.Repository, name.Tag); err != nil {
			if _, named := errors.AsType[*bundle.DamageError](err); named {
				return found, err
			}
			return found, fmt.Errorf("entry %s: %w", e.Path, err)
		}
		found.Type = kind
		if e.At == nil && !f.all {
			return found, nil
		}
	}
	found.K0s = newestFirst(tags)
	return found, nil
}

// chart reads the chart's own name and version.
func (f *finder) chart(ctx context.Context, e *bundle.Entry, repository, tag string) (record.Version, error) {
	archive, err := oci.Load(ctx, e.At, e.Size, e, nil)
	if err != nil {
		return record.Version{}, err
	}
	image, err := archive.Main(e.Path)
	if err != nil {
		return record.Version{}, err
	}
	c := image.Chart
	if c == nil || c.Version == "" {
		return record.Version{}, errors.New("no chart with a version in it")
	}
	if ref.ChartTag(c.Version) != tag || c.Name != path.Base(repository) {
		f.progress.Warn("entry %s: the chart calls itself %s %s", e.Path, c.Name, c.Version)
	}
	return record.Version{Entry: e.Path, Name: c.Name, Version: c.Version, AppVersion: c.AppVersion}, nil
}
