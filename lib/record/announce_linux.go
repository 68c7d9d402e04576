package record

import (
	"errors"
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
	if !isPipe(pipe) {
		return
	}
	for range 5 {
		if flock(pipe, syscall.LOCK_EX) == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Announced reports whether a process that writes records holds the other end
// of a pipe, even if nothing has arrived yet.
func Announced(pipe *os.File) bool {
	if !isPipe(pipe) {
		return false
	}
	err := flock(pipe, syscall.LOCK_SH)
	if err == nil {
		flock(pipe, syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeNamedPipe != 0
}

func flock(f *os.File, how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), how|syscall.LOCK_NB) })
	return errors.Join(err, locked)
}
