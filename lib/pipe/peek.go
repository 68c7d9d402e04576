package pipe

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// peekSize is how much is examined: the capacity of a pipe on Linux.
const peekSize = 64 << 10

// peek returns the content of stdin without consuming it, since it may be for
// another program, such as the shell whose loop reads it. It reports whether
// nothing more can arrive. The error is errors.ErrUnsupported if the system
// cannot do that.
func peek(f *os.File) (data []byte, ended bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, true, err
	}
	if !info.Mode().IsRegular() {
		return peekStream(f, info.Mode()&fs.ModeNamedPipe != 0)
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, true, err
	}
	data = make([]byte, peekSize)
	n, err := f.ReadAt(data, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], true, err
}
