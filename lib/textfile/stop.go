package textfile

import (
	"os"
	"sync"
)

// stopping ends the reading of what may never come, such as a password in a pipe.
var stopping = struct {
	once  sync.Once
	done  chan struct{}
	cause error
}{done: make(chan struct{})}

// Stop has Patiently, Read and its like return err instead of waiting for a pipe or a
// terminal, from now on. What is in regular files is read as before.
func Stop(err error) {
	stopping.once.Do(func() {
		stopping.cause = err
		close(stopping.done)
	})
}

// Patiently calls read, which opens and reads the file at path, or an unknown file
// for "". At Stop it returns without it unless that is a regular file; read is then
// abandoned to the program's end, and what it writes to must not be used.
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
