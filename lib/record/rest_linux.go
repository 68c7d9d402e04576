package record

import (
	"io"
	"os"
	"syscall"
)

// AcceptRest marks in, if it is a pipe, as one whose reader accepts a Rest. The
// mark ends with the process, even if others hold the pipe.
func AcceptRest(in io.Reader) {
	if pipe, ok := in.(*os.File); ok && isPipe(pipe) {
		// A system that cannot lock pipes has no mark, and bundle-ls
		// lists everything.
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

// getOFDLock queries the locks of all processes, including this one
// (F_OFD_GETLK of fcntl(2)).
const getOFDLock = 36

// lock calls fcntl with a lock on the first byte, and returns the type of the
// lock that it found.
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
