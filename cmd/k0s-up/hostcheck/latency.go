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

// etcd's documentation asks for a disk that writes 99 of 100 entries of its log
// within 10 ms; an entry is of about the size that its advice for fio has.
const (
	slow      = 10 * time.Millisecond
	entrySize = 2300
)

// latency finds a disk that is too slow for etcd, whose leader changes then. It
// writes to a file that has no name, so nothing is left of it.
func (f *findings) latency(ctx context.Context) {
	const check = "latency"
	dir := existing(f.Root + f.Data + "/etcd")
	took, err := measure(ctx, dir, f.Measure)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.unknown(check, dir, err)
	case percentile(took) > slow:
		f.warn(check, f.Data, "put "+f.Data+" on a faster disk, such as a local SSD", "1 of 100 small writes to the disk of %s takes %v or more, of %d that were tried: etcd needs it within %v",
			dir, percentile(took).Round(time.Millisecond/10), len(took), slow)
	}
}

// existing returns a directory or the nearest above it that exists.
func existing(dir string) string {
	for dir != "/" {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// measure appends entries to a file without a name for a time, and returns how
// long each took until it was on the disk.
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

// percentile returns the 99th.
func percentile(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[(len(sorted)*99-1)/100]
}
