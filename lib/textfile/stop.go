package textfile

import (
	"os"
	"sync"
)

// stopping ends reads that may never finish, such as that of a password from a
// pipe.
var stopping = struct {
	once  sync.Once
	done  chan struct{}
	cause error
}{done: make(chan struct{})}

// Stop makes Patiently, Read and the like return err from now on, instead of
// waiting for a pipe or a terminal. Regular files are read as before.
func Stop(err error) {
	stopping.once.Do(func() {
		stopping.cause = err
		close(stopping.done)
	})
}

// Patiently calls read, which opens and reads the file at path, or an unknown
// file for "". At Stop it returns without waiting for read, unless path is a
// regular file; read is then abandoned until the program exits, and whatever it
// writes to must not be used.
func Patiently(path string, read func() error) error {
	if info, err := os.Stat(path); path != "" && (err != nil || info.Mode().IsRegular()) {
		return read()
	}
	finished := make(chan error, 1)
	go func() { finished <- read() }()
	select {
	case err := <-finished:
		return err
	case <-stopping.done:
		return stopping.cause
	}
}
