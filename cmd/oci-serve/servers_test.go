package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"k0rdent-airgap/lib/registry"
)

// sendfile is a connection that records whether a file reaches it as the kernel can
// send it: the file itself, without a type around it.
type sendfile struct {
	*net.TCPConn
	files chan<- bool
}

func (c *sendfile) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	c.files <- ok
	return c.TCPConn.ReadFrom(r)
}

type sendfileListener struct {
	net.Listener
	files chan<- bool
}

func (l *sendfileListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sendfile{conn.(*net.TCPConn), l.files}, nil
}

// both returns the handlers of both listeners, over a storage and a directory with a
// file "kernel" and one of k0s.
func both(t *testing.T, content []byte) map[string]http.Handler {
	t.Helper()
	disk, err := registry.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	dir := t.TempDir()
	for _, name := range []string{k0sFile, "kernel"} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, counts := slog.New(slog.DiscardHandler), newMetrics()
	f := newFiles(dir, dir, disk)
	return map[string]http.Handler{
		"main":  newPages(f, "", disk, &guard{write: "any", read: "any"}, counts, nil, log),
		"plain": plainFiles(f, disk, counts, log),
	}
}

const k0sFile = "k0s-v1.32.8+k0s.0-amd64"

// serverOf returns a server as oci-serve has it.
func serverOf(h http.Handler) *http.Server {
	return newServers(false).server(h, &serverLog{newReports(slog.New(slog.DiscardHandler)), false})
}

// The kernel sends blobs and files, on both listeners.
func TestSendfile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	handlers := both(t, content)
	for _, on := range []struct {
		name    string
		targets []string
	}{
		{"main", []string{"/v2/files/blobs/" + digest(content), "/files/pushed", "/files/kernel", "/k0s/" + k0sFile}},
		{"plain", []string{"/pushed", "/kernel", "/k0s/" + k0sFile}},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		files := make(chan bool, 100)
		srv := serverOf(handlers[on.name])
		t.Cleanup(func() { srv.Close() })
		go srv.Serve(&sendfileListener{ln, files})
		url := "http://" + ln.Addr().String()
		if on.name == "main" {
			(&child{t: t, url: url}).putFile("files", "pushed", "pushed", content)
		}
		for _, target := range on.targets {
			for len(files) > 0 {
				<-files
			}
			resp, body, err := do("GET", url+target, nil)
			if err != nil || resp.StatusCode != 200 || !bytes.Equal(body, content) {
				t.Fatalf("%s %s: %v, %v, %d bytes", on.name, target, err, resp, len(body))
			}
			if len(files) == 0 || !<-files {
				t.Errorf("%s %s: the file does not reach the connection", on.name, target)
			}
		}
	}
}

// A client that sends its request or reads the answer too slowly is cut off, on both
// listeners. The clock is the test's own.
func TestSlowClients(t *testing.T) {
	const size = 16 << 20
	for name, h := range both(t, make([]byte, size)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := serverOf(h)
				defer srv.Close()
				for _, c := range []struct {
					request string
					most    time.Duration
				}{
					{"GET /files/kernel HTTP/1.1\r\nHost:", headerTime},
					{"GET /files/kernel HTTP/1.1\r\nHost: localhost\r\n\r\n", 2*stallTime + stallTime/2},
				} {
					conn, err := inside(srv)()
					if err != nil {
						t.Fatal(err)
					}
					start, got := time.Now(), 0
					fmt.Fprint(conn, c.request)
					for buf := make([]byte, 1000); ; {
						n, err := conn.Read(buf)
						if got += n; err != nil {
							break
						}
						time.Sleep(time.Second) // a megabyte takes a quarter of an hour
					}
					if took := time.Since(start); took > c.most || got >= size {
						t.Errorf("%q: cut off after %v and %d bytes, want %v at most", c.request, took, got, c.most)
					}
				}
			})
		})
	}
}
