package textfile

import (
	"context"
	"os"
)

// stopping ends reads that may never finish, such as that of a password from a
// pipe.
var stopping, stop = context.WithCancelCause(context.Background())

// Stop makes Patiently, Read and the like return err from now on, instead of
// waiting for a pipe or a terminal. Regular files are read as before.
func Stop(err error) { stop(err) }

// Patiently returns what read returns, which opens and reads the file at path, or
// an unknown file for "". At Stop it returns without waiting for read, unless path
// is a regular file; see Until.
func Patiently[T any](path string, read func() (T, error)) (T, error) {
	if info, err := os.Stat(path); path != "" && (err != nil || info.Mode().IsRegular()) {
		return read()
	}
	return Until(stopping, read)
}

// Until returns what read returns, or the cause of the end of ctx. read is then
// abandoned until it returns or the program exits, so it must not write to
// variables of its caller.
func Until[T any](ctx context.Context, read func() (T, error)) (T, error) {
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
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
