package main

import (
	"context"
	"time"

	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
)

// collect removes blobs and repositories that are unused.
func collect(ctx context.Context, disk *registry.Disk, uploads bool, out *record.Writer) error {
	start := time.Now()
	c, err := disk.Collect(ctx, uploads)
	if err != nil {
		return err
	}
	counts := map[string]int{"removed": c.Removed, "kept": c.Kept}
	for what, n := range map[string]int{"repositories": c.Repositories, "uploads": c.Uploads} {
		if n > 0 {
			counts[what] = n
		}
	}
	return out.Write(record.Summary{Tool: "oci-serve", Counts: counts, Bytes: c.RemovedBytes, Seconds: record.Seconds(time.Since(start))})
}

// renew writes every index.json that is out of date.
func renew(ctx context.Context, disk *registry.Disk, out *record.Writer) error {
	start := time.Now()
	n, err := disk.RenewIndexes(ctx)
	if err != nil {
		return err
	}
	return out.Write(record.Summary{Tool: "oci-serve", Counts: map[string]int{"renewed": n}, Seconds: record.Seconds(time.Since(start))})
}
