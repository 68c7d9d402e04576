package pipe

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const noInput = "<NUL"

var peekNamedPipe = syscall.NewLazyDLL("kernel32.dll").NewProc("PeekNamedPipe")

// peekStream returns what waits in a pipe. It returns errors.ErrUnsupported for
// a pipe that stays silent: a program that will write records cannot announce
// that here.
func peekStream(f *os.File, _ bool) (data []byte, ended bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, true, err
	}
	for start := time.Now(); ; time.Sleep(guardLook) {
		var failed error
		err := raw.Control(func(fd uintptr) { data, ended, failed = peekPipe(syscall.Handle(fd)) })
		if err = errors.Join(err, failed); err != nil || ended || len(data) > 0 {
			return data, ended, err
		}
		if time.Since(start) > guardBegin {
			return nil, false, errors.ErrUnsupported
		}
	}
}

func peekPipe(h syscall.Handle) (data []byte, ended bool, err error) {
	data = make([]byte, peekSize)
	var read, available uint32
	ok, _, err := peekNamedPipe.Call(uintptr(h), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
		uintptr(unsafe.Pointer(&read)), uintptr(unsafe.Pointer(&available)), 0)
	switch {
	case ok == 0 && errors.Is(err, syscall.ERROR_BROKEN_PIPE):
		return nil, true, nil
	case ok == 0:
		return nil, true, err
	case read == 0 && available > 0:
		return nil, false, errors.ErrUnsupported
	}
	return data[:read], false, nil
}

func fed(*os.File) bool { return true }
