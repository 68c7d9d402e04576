//go:build unix

package textfile

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// errStop is what every run of the test stops with: the first Stop is for good.
var errStop = errors.New("stopped")

func TestStopEndsTheWaitForAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		_, err := Password(pipe)
		waited <- err
	}()
	Stop(errStop)
	if err := <-waited; !errors.Is(err, errStop) {
		t.Errorf("%v, want %v", err, errStop)
	}
	if f, err := Open(pipe); !errors.Is(err, errStop) {
		t.Errorf("Open: %v, %v, want %v", f, err, errStop)
	}
	if text, err := Read(file(t, "regular")); string(text) != "regular" || err != nil {
		t.Errorf("after Stop: %q and %v of a regular file", text, err)
	}
}
