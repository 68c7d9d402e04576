package registry

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A large body goes around the page cache: a bundle is larger than many a
// host's memory, and pushing it through the cache would cost a copy of each
// byte, and the host everything else that it had cached. Such a body is read
// into pieces of bulkBuffer bytes, which the runtime places on page boundaries.
const (
	bulkBuffer = 512 << 10
	bulkBody   = 2 * bulkBuffer // the least that is worth it
	bulkAlign  = 4096           // of offset, length and memory; see open(2) on O_DIRECT
)

// bulkWriter writes to a file, around the page cache as long as it can: to the
// tail of a body, or to where the file system does not do that.
type bulkWriter struct {
	w      *treeWriter
	direct bool
}

// maxBulk bounds how many bodies have a buffer of bulkBuffer bytes at once.
const maxBulk = 16

// newBulkWriter begins at offset, where the file stands.
func newBulkWriter(to *treeWriter, offset int64) *bulkWriter {
	w := &bulkWriter{w: to}
	if offset%bulkAlign == 0 {
		w.direct = setDirect(to.f, true) == nil
	}
	return w
}

// Write is of io.Writer. Once a piece is not a multiple of bulkAlign long, all
// that follows goes through the page cache.
func (w *bulkWriter) Write(p []byte) (int, error) {
	if w.direct && len(p)%bulkAlign != 0 {
		if err := w.cached(); err != nil {
			return 0, err
		}
	}
	n, err := w.w.Write(p)
	if w.direct && errors.Is(err, syscall.EINVAL) { // accepted by fcntl, yet not by the file system
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
