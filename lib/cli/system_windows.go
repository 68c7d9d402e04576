package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var setConsoleMode = syscall.NewLazyDLL("kernel32.dll").NewProc("SetConsoleMode")

// hasSequences makes a console interpret the control sequences of terminals,
// which it does for no program by itself, and reports whether it does.
func hasSequences(console *os.File) bool {
	const processing = 4 // ENABLE_VIRTUAL_TERMINAL_PROCESSING
	h := syscall.Handle(console.Fd())
	var mode uint32
	if err := syscall.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	if mode&processing != 0 {
		return true
	}
	ok, _, _ := setConsoleMode.Call(uintptr(h), uintptr(mode|processing))
	return ok != 0
}

// readerGone reports whether an error means that the program which read stdout
// has exited. Elsewhere SIGPIPE ends this one then, without a message.
func readerGone(err error) bool {
	const noData, notConnected = syscall.Errno(232), syscall.Errno(233)
	at, ok := errors.AsType[*fs.PathError](err)
	return ok && at.Op == "write" && at.Path == os.Stdout.Name() &&
		(at.Err == syscall.ERROR_BROKEN_PIPE || at.Err == noData || at.Err == notConnected)
}
