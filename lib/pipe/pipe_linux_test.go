package pipe

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"k0rdent-airgap/lib/record"
)

// TestPipeWithoutRecords: an empty pipe is an error; an unused stdin is
// /dev/null.
func TestPipeWithoutRecords(t *testing.T) {
	dir := t.TempDir()
	empty, err := os.Create(filepath.Join(dir, "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(ends[0]), "socket")
	defer socket.Close()
	unix.Close(ends[1])
	for _, tt := range []struct {
		name   string
		stdin  io.Reader
		failed bool
	}{
		{"a program that fails", peer(t, "exit 1"), true},
		{"a program that is killed", peer(t, "kill -9 $$"), true},
		{"blank lines", peer(t, "echo; echo"), true},
		{"half a record", peer(t, `printf '{"kind":'`), true},
		{"a socket", socket, true},
		{"a record", peer(t, `echo '{"kind":"note"}'; exit 1`), false},
		{"an empty file", empty, false},
		{"/dev/null", null, false},
	} {
		var failed error
		for _, err := range (Reader{}).Records(t.Context(), tt.stdin) {
			failed = err
		}
		if (failed != nil) != tt.failed || tt.failed && !errors.Is(failed, ErrNoRecords) && !errors.Is(failed, record.ErrNotRecord) {
			t.Errorf("%s: %v", tt.name, failed)
		}
	}
}

// TestInterruptWhileOpening: opening a named pipe waits for its writer, which
// may never come.
func TestInterruptWhileOpening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	if _, err := (Bundle{Path: path}).Open(ctx, nil); !errors.Is(err, cause) {
		t.Errorf("%v, want the context's cause", err)
	}
}
