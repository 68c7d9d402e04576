package record

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Verifying a bundle of 22 GB takes minutes, during which its pipe is as silent
// as one that never carries anything. So a Writer locks the pipe that it writes
// to, which announces that records will come, sends no bytes, and ends with the
// last process that can write to the pipe. Nobody waits for these locks.

// announce marks a pipe as one that records are written to. Another process may
// be testing the lock at the same moment, so one attempt is not enough.
func announce(pipe *os.File) {
	for range 5 {
		if err := flock(pipe, syscall.LOCK_EX); !errors.Is(err, syscall.EWOULDBLOCK) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Announced reports whether a process that writes records holds the other end
// of a pipe, even if nothing has arrived yet.
func Announced(pipe *os.File) bool {
	err := flock(pipe, syscall.LOCK_SH)
	if err == nil {
		flock(pipe, syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// AcceptRest marks in, if it is a pipe, as one whose reader accepts a Rest. The
// mark ends with the process, even if others hold the pipe.
func AcceptRest(in io.Reader) {
	if pipe, ok := in.(*os.File); ok {
		// A system that cannot lock pipes has no mark, and bundle-ls
		// lists everything.
		_, _ = lock(pipe, syscall.F_SETLK, syscall.F_RDLCK)
	}
}

// RestAccepted reports whether the reader of the records accepts a Rest.
func (w *Writer) RestAccepted() bool {
	if w.pipe == nil {
		return false
	}
	found, err := lock(w.pipe, getOFDLock, syscall.F_WRLCK)
	return err == nil && found == syscall.F_RDLCK
}

// getOFDLock queries the locks of all processes, including this one
// (F_OFD_GETLK of fcntl(2)).
const getOFDLock = 36

func flock(pipe *os.File, how int) error {
	return control(pipe, func(fd uintptr) error { return syscall.Flock(int(fd), how|syscall.LOCK_NB) })
}

// lock calls fcntl with a lock on the first byte, and returns the type of the
// lock that it found.
func lock(pipe *os.File, command int, kind int16) (found int16, err error) {
	at := syscall.Flock_t{Type: kind, Whence: io.SeekStart, Len: 1}
	err = control(pipe, func(fd uintptr) error { return syscall.FcntlFlock(fd, command, &at) })
	return at.Type, err
}

var errNotPipe = errors.New("not a pipe")

// control calls do with the descriptor of a pipe.
func control(pipe *os.File, do func(fd uintptr) error) error {
	if info, err := pipe.Stat(); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return errNotPipe
	}
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = do(fd) })
	return errors.Join(err, failed)
}
