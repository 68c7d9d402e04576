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

// Stop has Read and its like return err instead of waiting for a pipe or a
// terminal, from now on. What is in regular files is read as before.
func Stop(err error) {
	stopping.once.Do(func() {
		stopping.cause = err
		close(stopping.done)
	})
}

// patient calls read, and at Stop returns without it unless path is a regular
// file. The wait is then abandoned to the program's end.
func patient(path string, read func() ([]byte, error)) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return read()
	}
	var content []byte
	var err error
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		content, err = read()
	}()
	select {
	case <-finished:
		return content, err
	case <-stopping.done:
		return nil, stopping.cause
	}
}
