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
	w := &bulkWriter{w: to}
	if offset%bulkAlign == 0 {
		w.direct = setDirect(to.f, true) == nil
	}
	return w
}

// Write implements io.Writer. From the first length that is not a multiple of bulkAlign
// on, it uses the page cache.
func (w *bulkWriter) Write(p []byte) (int, error) {
	if w.direct && len(p)%bulkAlign != 0 {
		if err := w.cached(); err != nil {
			return 0, err
		}
	}
	n, err := w.w.Write(p)
	if w.direct && errors.Is(err, syscall.EINVAL) { // accepted by fcntl, but not by the file system
		if err := w.cached(); err != nil {
			return n, err
		}
		var rest int
		rest, err = w.w.Write(p[n:])
		n += rest
	}
	return n, err
}

func (w *bulkWriter) cached() error {
	w.direct = false
	return setDirect(w.w.f, false)
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
