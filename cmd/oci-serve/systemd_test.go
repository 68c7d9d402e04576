package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notified is the socket on which a service manager hears of its services.
type notified struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenNotify(t *testing.T) *notified {
	t.Helper()
	n := &notified{t: t, path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if n.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.conn.Close() })
	return n
}

// next returns the next message, or "" if none comes in time.
func (n *notified) next(within time.Duration) string {
	n.t.Helper()
	buf := make([]byte, 4096)
	n.conn.SetReadDeadline(time.Now().Add(within))
	size, err := n.conn.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return string(buf[:size])
}

// wait skips messages until one begins so.
func (n *notified) wait(start string) string {
	n.t.Helper()
	for {
		switch got := n.next(10 * time.Second); {
		case strings.HasPrefix(got, start):
			return got
		case got == "":
			n.t.Fatalf("no %s", start)
		}
	}
}

// systemd is notified when the service accepts connections, that it is alive, and
// when it stops.
func TestNotify(t *testing.T) {
	n := listenNotify(t)
	t.Setenv("NOTIFY_SOCKET", n.path)
	t.Setenv("WATCHDOG_USEC", "4000000") // half of it is for each answer, which takes long on a busy machine
	for _, args := range [][]string{nil, {"--tls", "auto"}} {
		c := startChild(t, t.TempDir(), args...)
		ready := n.wait("READY=1\n")
		if want := "READY=1\nSTATUS=Serving on " + c.url; ready != want {
			t.Errorf("notified %q, want %q", ready, want)
		}
		conn, err := net.DialTimeout("tcp", c.record.Address, time.Second)
		if err != nil {
			t.Errorf("ready, but: %v", err)
		} else {
			conn.Close()
		}
		for range 2 {
			n.wait("WATCHDOG=1")
		}
		c.cmd.Process.Signal(syscall.SIGTERM)
		n.wait("STOPPING=1\n")
		if err := c.cmd.Wait(); err != nil || c.stderr.Len() > 0 {
			t.Errorf("after SIGTERM: %v\n%s", err, c.stderr.String())
		}
	}
}

// A server that hangs is not called alive; once it answers again, it is.
func TestWatchdogWantsAnAnswer(t *testing.T) {
	n := listenNotify(t)
	t.Setenv("NOTIFY_SOCKET", n.path)
	t.Setenv("WATCHDOG_USEC", "100000")
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // else it could answer who is about to hang up
		}
		w.WriteHeader(http.StatusServiceUnavailable) // still an answer
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var faults strings.Builder
	done := make(chan struct{})
	go func() {
		(&manager{slog.New(&faultHandler{&faults})}).watch(ctx, selfAsker(func() (net.Conn, error) { return net.Dial("tcp", s.Listener.Addr().String()) }))
		close(done)
	}()
	if got := n.next(300 * time.Millisecond); got != "" {
		t.Errorf("notified %q by a server that hangs", got)
	}
	close(hang)
	n.wait("WATCHDOG=1")
	cancel()
	<-done // it ends with the service
	if !strings.Contains(faults.String(), "oci-serve: the registry does not answer itself") {
		t.Errorf("log %q, want a fault", faults.String())
	}
}

// Nobody waits for word where systemd has not started the program.
func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var faults strings.Builder
	m := &manager{slog.New(&faultHandler{&faults})}
	m.ready("http://127.0.0.1:5000")
	m.watch(t.Context(), func(context.Context) error { return errors.New("asked") })
	if faults.Len() > 0 {
		t.Errorf("log %q", faults.String())
	}
	t.Setenv("NOTIFY_SOCKET", "/nonexistent/notify")
	if m.stopping(); !strings.Contains(faults.String(), "cannot notify systemd") {
		t.Errorf("log %q, want a fault", faults.String())
	}
}

// startActivated starts oci-serve with sockets that were opened before.
func startActivated(t *testing.T, storage string, sockets ...*os.File) *exec.Cmd {
	t.Helper()
	// The variable names the process, which the shell becomes.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "--storage", storage, "--port", "1")
	cmd.Env = append(os.Environ(), asChild+"=1", fmt.Sprintf("LISTEN_FDS=%d", len(sockets)))
	cmd.ExtraFiles = sockets
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// With sockets of systemd's, clients that come while the service is replaced
// wait, and none is refused.
func TestSocketActivation(t *testing.T) {
	var files []*os.File
	var urls []string
	for range 2 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, urls = append(files, f), append(urls, "http://"+ln.Addr().String())
	}
	storage := t.TempDir()
	blob := []byte("kept over a restart")
	for round := range 3 {
		// Nobody serves yet, or any more.
		answer := make(chan error, 1)
		go func() {
			method, path, want := "GET", "/v2/a/blobs/"+digest(blob), 200
			if round == 0 {
				method, path, want = "POST", "/v2/a/blobs/uploads/?digest="+digest(blob), 201
			}
			answer <- expect(want, method, urls[round%2]+path, blob)
		}()
		cmd := startActivated(t, storage, files...)
		if err := <-answer; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("round %d: after SIGTERM: %v", round, err)
		}
	}
}

func TestSocketOfAnotherKind(t *testing.T) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := startActivated(t, t.TempDir(), f)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit: %v, want 1", err)
	}
}

// In the journal each line has its priority and no second time stamp.
func TestJournalLines(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"<4>oci-serve: passwords cross the network"}},
		{[]string{"--access-log", "text"}, []string{`<4>msg="passwords cross`, "<6>msg=request method=GET path=/v2/_catalog "}},
		{[]string{"--access-log", "json"}, []string{`<4>{"time":`, `<6>{"time":`}},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		info, err := w.Stat()
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
		c := startChildWith(t, t.TempDir(), w, append(tt.args, "--host", "0.0.0.0", "--htpasswd", writeUsers(t, aliceLine))...)
		w.Close()
		c.want(200, "GET", "/v2/_catalog", nil)
		c.stop()
		text := make([]byte, 64<<10)
		n, _ := r.Read(text)
		lines := strings.Split(strings.TrimSuffix(string(text[:n]), "\n"), "\n")
		if len(lines) != len(tt.want) {
			t.Fatalf("%q: log %q, want %d lines", tt.args, lines, len(tt.want))
		}
		for i, want := range tt.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%q: line %q, want %s…", tt.args, lines[i], want)
			}
		}
	}
}
