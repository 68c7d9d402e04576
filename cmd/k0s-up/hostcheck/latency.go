package hostcheck

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// etcd's documentation requires a disk that writes 99 % of log entries within 10 ms,
// and recommends fio with entries of about this size.
const (
	slow      = 10 * time.Millisecond
	entrySize = 2300
)

// latency finds a disk that is too slow for etcd, which would keep electing new
// leaders. It writes to an unnamed file, so nothing is left behind.
func (f *findings) latency(ctx context.Context) {
	if f.Measure == 0 {
		return
	}
	dir := existing(f.Root + f.Data + "/etcd")
	took, err := measure(ctx, dir, f.Measure)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.unknown(dir, err)
	case percentile(took) > slow:
		f.warn(f.Data, "put "+f.Data+" on a faster disk, such as a local SSD", "1%% of small writes to the disk of %s took %v or more (%d measured); etcd requires 99%% within %v",
			dir, percentile(took).Round(time.Millisecond/10), len(took), slow)
	}
}

// existing returns dir, or its nearest parent that exists.
func existing(dir string) string {
	for dir != "/" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// measure writes entries to an unnamed file for a while, and returns how long each
// took to reach the disk.
func measure(ctx context.Context, dir string, during time.Duration) (took []time.Duration, err error) {
	file, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entry := make([]byte, entrySize)
	for end := time.Now().Add(during); len(took) == 0 || time.Now().Before(end) && ctx.Err() == nil; {
		start := time.Now()
		if _, err := file.Write(entry); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(file.Fd())); err != nil {
			return nil, &os.PathError{Op: "fdatasync", Path: dir, Err: err}
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// percentile returns the 99th percentile.
func percentile(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[(len(sorted)*99-1)/100]
}
