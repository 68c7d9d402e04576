package record

import (
	"io"
	"os"
	"syscall"
)

// bundle-ls and oci-push would both inflate a bundle, which takes most of their
// time. So a reader that can list entries itself marks the pipe at its stdin, and
// bundle-ls leaves the rest of the bundle to it. The mark belongs to one process
// and one pipe: behind tee or grep bundle-ls does not see it.

// Rest says that the records of the entries after the first Listed ones of a
// bundle do not come: the reader, which has accepted that, makes them itself.
type Rest struct {
	Bundle string `json:"bundle,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Listed int    `json:"listed,omitempty"`
}

func (Rest) Kind() string { return "rest" }

// AcceptRest marks in, if it is a pipe, as one whose reader accepts a Rest. The
// mark ends with the process, whoever else holds the pipe.
func AcceptRest(in io.Reader) {
	if pipe, ok := in.(*os.File); ok && isPipe(pipe) {
		// A system that does not lock pipes has no mark, and bundle-ls lists all.
		_, _ = lock(pipe, syscall.F_SETLK, syscall.F_RDLCK)
	}
}

// RestAccepted reports whether the reader of the records accepts a Rest.
func (w *Writer) RestAccepted() bool {
	if w.pipe == nil || !isPipe(w.pipe) {
		return false
	}
	found, err := lock(w.pipe, getOFDLock, syscall.F_WRLCK)
	return err == nil && found == syscall.F_RDLCK
}

// getOFDLock asks for locks of every process, this one included (F_OFD_GETLK of
// fcntl(2)).
const getOFDLock = 36

// lock calls fcntl with a lock of the first byte, and returns the kind of the lock
// that it found.
func lock(f *os.File, command int, kind int16) (found int16, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	at := syscall.Flock_t{Type: kind, Whence: io.SeekStart, Len: 1}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.FcntlFlock(fd, command, &at) }); err != nil {
		return 0, err
	}
	return at.Type, failed
}
