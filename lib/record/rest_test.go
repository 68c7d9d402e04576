package record

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asReader is the variable that makes the test program mark its stdin and wait.
const asReader = "TEST_RECORD_AS_READER"

func TestMain(m *testing.M) {
	if os.Getenv(asReader) != "" {
		AcceptRest(os.Stdin)
		os.Stdout.WriteString("marked\n")
		time.Sleep(time.Hour) // until it is killed; the runtime ends a program that waits for nothing
	}
	os.Exit(m.Run())
}

func pipeOf(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestRestIsAcceptedByALivingReader: the mark is of the process, not of the pipe,
// which a shell may hold longer.
func TestRestIsAcceptedByALivingReader(t *testing.T) {
	r, w := pipeOf(t)
	out := NewWriter(w, nil)
	if out.RestAccepted() {
		t.Error("accepted before there is a reader")
	}
	reader := exec.Command(os.Args[0])
	reader.Env = append(os.Environ(), asReader+"=1")
	reader.Stdin = r
	ready, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ready, make([]byte, len("marked\n"))); err != nil {
		t.Fatal(err)
	}
	if !out.RestAccepted() {
		t.Error("not accepted by a reader that does")
	}
	reader.Process.Kill()
	reader.Wait()
	if out.RestAccepted() {
		t.Error("still accepted, by a reader that was killed")
	}
}

// TestRestIsForJSONInAPipe: nothing else is marked, or harmed by the attempt.
func TestRestIsForJSONInAPipe(t *testing.T) {
	table := NewFormat(Image{})
	if err := table.Set("table"); err != nil {
		t.Fatal(err)
	}
	r, w := pipeOf(t)
	AcceptRest(r)
	if NewWriter(w, table).RestAccepted() {
		t.Error("accepted for a table")
	}
	if !NewWriter(wrapped{w}, nil).RestAccepted() {
		t.Error("not accepted below a progress bar")
	}
	path := filepath.Join(t.TempDir(), "file")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	socket, err := net.Listen("unix", path+".sock")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	listener, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	closed, gone := pipeOf(t)
	closed.Close()
	gone.Close()
	for name, f := range map[string]*os.File{"file": file, "/dev/null": null, "terminal": terminal, "socket": listener, "closed": closed} {
		AcceptRest(f)
		if NewWriter(f, nil).RestAccepted() {
			t.Errorf("accepted by a %s", name)
		}
	}
	AcceptRest(strings.NewReader(""))
	if NewWriter(new(bytes.Buffer), nil).RestAccepted() {
		t.Error("accepted by memory")
	}
}

type wrapped struct{ io.Writer }

func (w wrapped) Unwrap() io.Writer { return w.Writer }

// TestRestOfAPipeOpenedTwice: the mark is on the pipe and not on one descriptor.
func TestRestOfAPipeOpenedTwice(t *testing.T) {
	r, w := pipeOf(t)
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	AcceptRest(r)
	if !NewWriter(again, nil).RestAccepted() {
		t.Error("not seen through a second opening of the pipe")
	}
}
