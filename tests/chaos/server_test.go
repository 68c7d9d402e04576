package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "oci-serve")
	build := exec.Command("go", "build", "-o", program, "../../cmd/oci-serve")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is the registry through all its lives.
type server struct {
	t       *testing.T
	storage string
	wrapper []string // a program that runs it
	cmd     *exec.Cmd
	pid     int
	stderr  bytes.Buffer
	url     atomic.Value // of this life; "" in between
	life    atomic.Int64
}

func (s *server) start() {
	s.t.Helper()
	words := append(slices.Clip(s.wrapper), program, "--host", "127.0.0.1", "--port", "0", "--storage", s.storage)
	s.cmd = exec.Command(words[0], words[1:]...)
	s.stderr.Reset()
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var record struct {
		URL string
		PID int
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &record)
	}
	if err != nil {
		s.t.Fatalf("oci-serve did not start: %v\n%s", err, &s.stderr)
	}
	s.pid = record.PID
	s.life.Add(1)
	s.url.Store(record.URL)
}

// end ends a life.
func (s *server) end(how syscall.Signal) {
	s.t.Helper()
	s.url.Store("")
	if err := syscall.Kill(s.pid, how); err != nil {
		s.t.Error(err)
	}
	err := s.cmd.Wait()
	if how == syscall.SIGTERM && err != nil {
		s.t.Errorf("after SIGTERM: %v\n%s", err, &s.stderr)
	}
	if strings.Contains(s.stderr.String(), "error") {
		s.t.Errorf("log: %s", &s.stderr)
	}
}

// tool runs oci-serve for another job, which must find nothing wrong.
func (s *server) tool(flags ...string) {
	s.t.Helper()
	out, err := exec.Command(program, append(flags, "--quiet", "--storage", s.storage)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("oci-serve %s: %v\n%s", strings.Join(flags, " "), err, out)
	}
}
