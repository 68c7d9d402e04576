package main

import (
	"context"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/k0s"
	"k0rdent-airgap/lib/record"
)

// sink returns the sink for a k0s.
func (c *config) sink(ctx context.Context, v *k0s.Version, p v1.Platform) *sink {
	path := c.path(v, p)
	return newSink(path, c.plan, func() error {
		if c.replace {
			return nil
		}
		return refuse(ctx, path, v, c.name)
	})
}

// path returns the path of a k0s. With --name its version is known.
func (c *config) path(v *k0s.Version, p v1.Platform) string {
	if !c.name || v == nil {
		return c.to
	}
	return filepath.Join(c.to, v.FileName(p.Architecture))
}

// place installs what was found.
func (c *config) place(have []found, out *record.Writer, progress *cli.Progress) error {
	var failed error
	failures := 0
	for _, f := range have {
		r, err := record.File{}, f.err
		if err == nil {
			r, err = f.sink.commit()
		} else {
			r.Status, r.Error = record.StatusFailed, err.Error()
		}
		r.Path, r.Platform, r.Source = c.path(f.version, f.platform), f.platform.String(), f.source
		if f.version != nil {
			r.Version = f.version.String()
		}
		if err != nil {
			failures++
			failed = err
			if len(have) > 1 {
				progress.Warn("%s: %v", r.Path, err)
			}
		}
		if err := out.Write(r); err != nil {
			return err
		}
	}
	if failures > 0 && len(have) > 1 {
		return fmt.Errorf("%d of %d failed", failures, len(have))
	}
	return failed
}
