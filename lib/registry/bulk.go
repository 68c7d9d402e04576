package registry

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Large bodies bypass the page cache: a bundle can exceed the host's memory, and
// would cost a copy of each byte and evict everything else. The runtime aligns
// buffers of bulkBuffer bytes to pages.
const (
	bulkBuffer = 512 << 10
	bulkBody   = 2 * bulkBuffer // the smallest body that benefits
	bulkAlign  = 4096           // of offset, length and memory; see open(2) on O_DIRECT
)

// bulkWriter writes to a file and bypasses the page cache, except for the tail of a
// body and where the file system does not support that.
type bulkWriter struct {
	w      *treeWriter
	direct bool
}

// maxBulk bounds how many bodies have a buffer of bulkBuffer bytes.
const maxBulk = 16

// newBulkWriter returns a writer at offset, the current one of the file.
func newBulkWriter(to *treeWriter, offset int64) *bulkWriter {
	return &bulkWriter{to, offset%bulkAlign == 0 && setDirect(to.f, true) == nil}
}

// Write implements io.Writer. From the first length that is not a multiple of bulkAlign
// on, it uses the page cache.
func (w *bulkWriter) Write(p []byte) (n int, err error) {
	if w.direct && len(p)%bulkAlign == 0 {
		n, err = w.w.Write(p)
		if !errors.Is(err, syscall.EINVAL) { // fcntl accepted it, but the file system does not
			return n, err
		}
	}
	if w.direct {
		w.direct = false
		if err := setDirect(w.w.f, false); err != nil {
			return n, err
		}
	}
	rest, err := w.w.Write(p[n:])
	return n + rest, err
}

func setDirect(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_DIRECT
	if on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	return err
}
