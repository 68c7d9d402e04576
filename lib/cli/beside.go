package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// beside returns the writer for a tool's records, which go to stdout while the
// bar is on the terminal. If stdout is the terminal too, the bar is cleared for
// each record. If it is a pipe whose reader has exited, the bar is cleared
// before SIGPIPE ends the program.
func (p *Progress) beside(stdout io.Writer) io.Writer {
	switch {
	case isTerminal(stdout):
		return besides{p, stdout}
	case !p.quiet && p.terminal() && IsPipe(stdout):
		// From now on a write returns EPIPE instead of killing the
		// program.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		return piped{p, stdout}
	}
	return stdout
}

type besides struct {
	p      *Progress
	stdout io.Writer
}

func (b besides) Write(line []byte) (int, error) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	b.p.clear()
	return b.stdout.Write(line)
}

type piped struct {
	p      *Progress
	stdout io.Writer
}

// Unwrap returns the pipe itself.
func (b piped) Unwrap() io.Writer { return b.stdout }

func (b piped) Write(line []byte) (int, error) {
	n, err := b.stdout.Write(line)
	if !errors.Is(err, syscall.EPIPE) {
		return n, err
	}
	// Ctrl-C ends both the reader and this program; the reader may be
	// faster.
	for range 10 {
		if signal.Ignored(syscall.SIGPIPE) {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.p.mu.Lock() // the bar is not drawn again
	defer b.p.mu.Unlock()
	b.p.clear()
	signal.Reset(syscall.SIGPIPE)
	return b.stdout.Write(line) // dies here, as any program does
}

// IsPipe reports whether a stream is a pipe or a socket.
func IsPipe(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}
