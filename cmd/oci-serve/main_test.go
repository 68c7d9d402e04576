package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/lib/cli"
	"k0rdent-airgap/lib/record"
	"k0rdent-airgap/lib/registry"
	"k0rdent-airgap/tests/clitest"
	"k0rdent-airgap/tests/machine"
)

// asChild is the variable that makes the test binary be oci-serve, so that a
// test can kill it.
const asChild = "TEST_CHILD_OCI_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		if n, err := strconv.Atoi(os.Getenv("TEST_CHILD_FILES")); err == nil {
			limit := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				panic(err)
			}
		}
		main()
	}
	if host := os.Getenv(asClient); host != "" {
		fmt.Print(postOnce(host, os.Getenv(clientCloses) != ""))
		return
	}
	debug.SetMemoryLimit(4 << 30) // the program's own is for one of it in a process
	os.Exit(machine.Run(m))
}

// child is oci-serve in a process of its own.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	record record.Registry
	stderr bytes.Buffer
}

// startChild starts oci-serve on a free port of loopback and waits for its record.
func startChild(t *testing.T, storage string, args ...string) *child {
	t.Helper()
	return startChildWith(t, storage, nil, args...)
}

// startChildWith is startChild with a file for what goes to stderr, or nil.
func startChildWith(t *testing.T, storage string, stderr *os.File, args ...string) *child {
	t.Helper()
	return startProgram(t, os.Args[0], storage, stderr, args...)
}

// startProgram is startChildWith of a program that is this one, or was built
// from the same source.
func startProgram(t *testing.T, program, storage string, stderr *os.File, args ...string) *child {
	t.Helper()
	c := &child{t: t}
	args = append([]string{"--host", "127.0.0.1", "--port", "0", "--storage", storage}, args...)
	c.cmd = exec.Command(program, args...)
	c.cmd.Env = append(os.Environ(), asChild+"=1")
	c.cmd.Stderr = &c.stderr
	if stderr != nil {
		c.cmd.Stderr = stderr
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.record)
	}
	if err != nil {
		c.kill()
		t.Fatalf("no registry record: %v\n%s", err, c.stderr.String())
	}
	c.url = c.record.URL
	return c
}

// kill ends the process at once and waits until it is gone.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// do sends a request to a path, or to a location, and returns the status and body.
func do(method, url string, body []byte, headers ...string) (*http.Response, []byte, error) {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, text, err
}

func (c *child) want(status int, method, target string, body []byte, headers ...string) *http.Response {
	c.t.Helper()
	resp, text, err := do(method, c.url+target, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Fatalf("%s %s = %d %s, want %d", method, target, resp.StatusCode, text, status)
	}
	return resp
}

func TestDocs(t *testing.T) {
	var c config
	clitest.Docs(t, c.flags(), usage, "../..")
}

func TestRecord(t *testing.T) {
	storage := t.TempDir()
	c := startChild(t, storage)
	want := record.Registry{Address: c.record.Address, URL: "http://" + c.record.Address, Storage: storage, PID: c.cmd.Process.Pid}
	if c.record != want || !strings.HasPrefix(want.Address, "127.0.0.1:") {
		t.Errorf("record = %+v, want %+v", c.record, want)
	}
	c.want(200, "GET", "/v2/", nil)
}

func TestReach(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:5000":  "127.0.0.1:5000",
		"[::]:5000":     "[::1]:5000",
		"10.0.0.1:5000": "10.0.0.1:5000",
	} {
		if got := reach(addr); got != want {
			t.Errorf("reach(%q) = %q, want %q", addr, got, want)
		}
	}
}

// Given an IPv4 address, the registry must not be open on IPv6 as well.
func TestListenBindsOneAddress(t *testing.T) {
	ln, err := listen(context.Background(), "0.0.0.0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a := netip.MustParseAddrPort(ln.Addr().String()); !a.Addr().Is4() {
		t.Errorf("listens on %v", a)
	}
}

// On one of the host's addresses, the host itself can still write; whoever else
// may write needs no loopback.
func TestListenForWriters(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	host := ""
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			host = p.Addr().String()
		}
	}
	if host == "" {
		machine.Skip(t, "this host has no address but loopback")
	}
	for _, row := range []struct {
		host, write string
		want        []string
	}{
		{host, "loopback", []string{host, "127.0.0.1"}},
		{host, "auth", []string{host}},
		{host, "none", []string{host}},
		{"0.0.0.0", "loopback", []string{"0.0.0.0"}},
		{"127.0.0.1", "loopback", []string{"127.0.0.1"}},
	} {
		sockets, err := listeners(context.Background(), config{host: row.host, write: row.write})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		ports := make(map[uint16]bool)
		for _, ln := range sockets {
			a := netip.MustParseAddrPort(ln.Addr().String())
			got, ports[a.Port()] = append(got, a.Addr().String()), true
			ln.Close()
		}
		if !slices.Equal(got, row.want) || len(ports) != 1 {
			t.Errorf("--host %s --write %s listens on %q, %d ports, want %q, one port", row.host, row.write, got, len(ports), row.want)
		}
	}
}

// Exit codes and messages of what can be wrong before the registry serves.
func TestRefusals(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, busyPort, _ := net.SplitHostPort(busy.Addr().String())
	used := startChild(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"busy port", []string{"--host", "127.0.0.1", "--port", busyPort, "--storage", t.TempDir()}, 75, "port " + busyPort + " is in use by oci-serve.test (process "},
		{"storage in use", []string{"--port", "0", "--storage", used.record.Storage}, 75, fmt.Sprintf("in use by process %d", used.record.PID)},
		{"gc while serving", []string{"--gc", "--storage", used.record.Storage}, 75, "hint: stop the registry"},
		{"storage is a file", []string{"--port", "0", "--storage", file}, 1, "hint: --storage names a directory"},
		{"port", []string{"--port", "70000"}, 2, `invalid --port "70000": must be a number from 0 to 65535`},
		{"write", []string{"--write", "me"}, 2, "must be owner, loopback, auth, any or none"},
		{"read", []string{"--read", "none"}, 2, "must be any or auth"},
		{"auth without users", []string{"--write", "auth"}, 2, "require --htpasswd"},
		{"users without auth", []string{"--write", "any", "--htpasswd", file}, 2, "--htpasswd requires --write auth or --read auth"},
		{"no users", []string{"--storage", t.TempDir(), "--htpasswd", file}, 2, "no users"},
		{"tls", []string{"--tls", "on"}, 2, "must be auto"},
		{"two certificates", []string{"--tls", "auto", "--tls-cert", file, "--tls-key", file}, 2, "mutually exclusive"},
		{"no key", []string{"--tls-cert", file}, 2, "--tls-cert requires --tls-key"},
		{"bad certificate", []string{"--storage", t.TempDir(), "--tls-cert", file, "--tls-key", file}, 2, "the file is empty"},
		{"name without auto", []string{"--tls-name", "a.example"}, 2, "requires --tls auto"},
		{"not a name", []string{"--tls", "auto", "--tls-name", "a b"}, 2, "neither a host name nor an address"},
		{"repair alone", []string{"--repair"}, 2, "requires --scrub"},
		{"gc and scrub", []string{"--gc", "--scrub"}, 2, "mutually exclusive"},
		{"access log", []string{"--access-log", "xml"}, 2, "must be text or json"},
		{"scrub of no storage", []string{"--scrub", "--storage", t.TempDir()}, 2, "not a registry's"},
		{"repair while it runs", []string{"--scrub", "--repair", "--storage", used.record.Storage}, 75, "in use"},
		{"empty storage", []string{"--port", "0", "--storage", ""}, 2, "must be a directory"},
		{"operand", []string{"bundle.tgz"}, 2, "unexpected argument \"bundle.tgz\"\nhint: name the directory"},
		{"host", []string{"--host", "192.0.2.1", "--port", "0", "--storage", t.TempDir()}, 1, "hint: the addresses of this host are: 127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(context.Background(), c.args, nil, &stdout, &stderr)
			cli.Report(&stderr, "oci-serve", err)
			if cli.Code(err) != c.code || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
				t.Errorf("code %d, stdout %q, stderr %q, want code %d and %q", cli.Code(err), &stdout, &stderr, c.code, c.want)
			}
		})
	}
}

// A mistyped storage is not created, and nothing is reported of it.
func TestNothingIsMadeOfATypo(t *testing.T) {
	for _, args := range [][]string{{"--gc"}, {"--scrub"}, {"--scrub", "--repair"}} {
		typo := filepath.Join(t.TempDir(), "typo")
		for _, storage := range []string{typo, t.TempDir()} {
			var stdout bytes.Buffer
			err := run(context.Background(), append(args, "--storage", storage), nil, &stdout, io.Discard)
			entries, _ := os.ReadDir(storage)
			if cli.Code(err) != cli.CodeMisuse || !strings.Contains(err.Error(), storage) || stdout.Len() > 0 || len(entries) > 0 {
				t.Errorf("%q: %v, %q, made %v", args, err, &stdout, entries)
			}
		}
		if _, err := os.Stat(typo); err == nil {
			t.Errorf("%q made the storage", args)
		}
	}
}

func TestStorageErrorsHaveHints(t *testing.T) {
	for want, err := range map[string]error{
		"mount the file system read-write": &os.PathError{Op: "openat", Path: "lock", Err: syscall.EROFS},
		"local file system such as ext4":   fmt.Errorf("want a file system with hard links: %w", &os.LinkError{Op: "linkat", Old: "lock", New: "x", Err: syscall.EPERM}),
		"make room there":                  &os.PathError{Op: "write", Path: "lock", Err: syscall.ENOSPC},
		"make room there, or name another": fmt.Errorf("format: %w", registry.ErrNoSpace),
		"run as root":                      &os.PathError{Op: "mkdir", Path: "/srv/r", Err: syscall.EACCES},
	} {
		got := storageError("/srv/r", err, false)
		if !strings.Contains(got.Error(), "/srv/r") || !strings.Contains(cli.HintOf(got), want) {
			t.Errorf("%v: %v, hint %q, want %q", err, got, cli.HintOf(got), want)
		}
	}
}

func TestWritePolicy(t *testing.T) {
	closed := startChild(t, t.TempDir(), "--write", "none")
	closed.want(403, "POST", "/v2/a/blobs/uploads/", nil)
	closed.want(200, "GET", "/v2/_catalog", nil)
	open := startChild(t, t.TempDir())
	open.want(202, "POST", "/v2/a/blobs/uploads/", nil)
}

func TestGC(t *testing.T) {
	storage := t.TempDir()
	c := startChild(t, storage)
	kept, gone := []byte("kept"), []byte("gone!")
	c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+digest(kept), kept)
	c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+digest(gone), gone)
	c.want(202, "DELETE", "/v2/a/blobs/"+digest(gone), nil)
	c.kill()
	var stdout bytes.Buffer
	if err := run(context.Background(), []string{"--gc", "--storage", storage}, nil, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	if want := `{"kind":"summary","tool":"oci-serve","counts":{"kept":1,"removed":1},"bytes":5`; !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("summary %s, want %s…", &stdout, want)
	}
}

// stop asks the process to end, and checks that it does so without complaint.
func (c *child) stop() {
	c.t.Helper()
	c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("after SIGTERM: %v\n%s", err, c.stderr.String())
	}
}

// SIGTERM must let a running transfer finish, answer who has connected but not
// asked yet, and take no new ones.
func TestDrain(t *testing.T) {
	c := startChild(t, t.TempDir())
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20) // more than sockets buffer
	c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+digest(data), data)
	resp, err := http.Get(c.url + "/v2/a/blobs/" + digest(data))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	early, err := net.Dial("tcp", c.record.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	c.want(200, "GET", "/healthz", nil, "Connection", "close") // accepted after the one above
	c.cmd.Process.Signal(syscall.SIGTERM)
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", c.record.Address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break // it has stopped accepting
		}
		if err == nil {
			conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("it still accepts connections")
		}
	}
	fmt.Fprint(early, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	early.SetDeadline(time.Now().Add(10 * time.Second))
	if answer, err := io.ReadAll(early); !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) {
		t.Errorf("who had connected before got %q, %v", answer, err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the transfer got %d bytes, %v, want %d", len(got), err, len(data))
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("exit: %v, want 0\n%s", err, c.stderr.String())
	}
}
