package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// maxNamed bounds how many images a message lists.
const maxNamed = 5

// scrub reads the storage and writes a record for each damaged blob, and a
// summary. Without --repair, disk is nil and the storage may be in use.
func scrub(ctx context.Context, cfg config, disk *registry.Disk, out *record.Writer, progress *cli.Progress) error {
	start := time.Now()
	var read atomic.Int64
	aside := 0
	found := func(d registry.Damage) error {
		progress.Warn("%s: %v%s", d.Path, d.Err, in(d.Affected))
		if d.Digest != "" {
			if err := out.Write(record.Blob{Digest: string(d.Digest), Size: d.Size}); err != nil {
				return err
			}
		}
		if disk == nil {
			return nil
		}
		aside++
		return disk.SetAside(ctx, d)
	}
	watcher := registry.Watcher{
		Total: func(bytes int64) { progress.Start("scrub", bytes, read.Load) },
		Read:  &read,
		Found: found,
	}
	var done registry.Scrubbed
	var err error
	if disk == nil {
		done, err = registry.Scrub(ctx, cfg.storage, watcher)
	} else {
		done, err = disk.Scrub(ctx, watcher)
	}
	if err != nil {
		return err
	}
	counts := map[string]int{"good": done.Good, "bad": done.Bad}
	if disk != nil {
		counts["setAside"] = aside
	}
	err = out.Write(record.Summary{Tool: "oci-serve", Counts: counts, Bytes: done.Bytes, Seconds: record.Seconds(time.Since(start))})
	switch {
	case err != nil || done.Bad == 0:
		return err
	case disk == nil:
		return cli.Hint(fmt.Errorf("storage %s: %d damaged", cfg.storage, done.Bad),
			"stop the registry, set them aside with --scrub --repair, start it, and push again")
	}
	return cli.Hint(fmt.Errorf("storage %s: %d damaged, and set aside", cfg.storage, done.Bad),
		"push the affected images again")
}

// in lists images for a message.
func in(names []string) string {
	if len(names) == 0 {
		return ""
	}
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return " (in " + strings.Join(names, ", ") + more + ")"
}
