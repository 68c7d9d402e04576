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

// Patiently returns what read returns, which opens and reads the file at path, or
// an unknown file for "". At Stop it returns without waiting for read, unless path
// is a regular file; read is then abandoned until the program exits, so it must
// not write to variables of its caller.
func Patiently[T any](path string, read func() (T, error)) (T, error) {
	if info, err := os.Stat(path); path != "" && (err != nil || info.Mode().IsRegular()) {
		return read()
	}
	type result struct {
		value T
		err   error
	}
	finished := make(chan result, 1)
	go func() {
		value, err := read()
		finished <- result{value, err}
	}()
	select {
	case r := <-finished:
		return r.value, r.err
	case <-stopping.done:
		var none T
		return none, stopping.cause
	}
}
