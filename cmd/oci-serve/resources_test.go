package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// maxRSS is the memory that the manual promises, in kilobytes.
const maxRSS = 64 << 10

// peak returns the most memory that a process has had, in kilobytes.
func (c *child) peak() int {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// image pushes an image to a repository and returns its digest.
func (c *child) image(repository, tag string) string {
	c.t.Helper()
	m := fmt.Appendf(nil, `{"mediaType":%q,"config":{"digest":%q}}`, imageType, digest(configBlob))
	c.want(201, "POST", "/v2/"+repository+"/blobs/uploads/?digest="+digest(configBlob), configBlob)
	c.want(201, "PUT", "/v2/"+repository+"/manifests/"+tag, m, "Content-Type", imageType)
	return digest(m)
}

// at runs f in n goroutines at once.
func at(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// links makes symbolic links below a storage.
func symlinks(t *testing.T, n int, link func(i int) (target, file string)) {
	t.Helper()
	for i := range n {
		target, file := link(i)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutDetector returns this program or, since the race detector takes several
// times the memory, one that was built without it.
func withoutDetector(t *testing.T) string {
	t.Helper()
	if !raceDetector {
		return os.Args[0]
	}
	program := filepath.Join(t.TempDir(), "oci-serve")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// Whatever clients do, and whatever is stored, the memory stays bounded.
func TestMemory(t *testing.T) {
	program := withoutDetector(t)
	for _, c := range []struct {
		name string
		load func(t *testing.T, c *child)
	}{
		{"200 pulls", func(t *testing.T, c *child) {
			blob := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // more than sockets buffer
			c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+digest(blob), blob)
			var begun sync.WaitGroup
			begun.Add(200)
			at(200, func(i int) {
				resp, err := http.Get(c.url + "/v2/a/blobs/" + digest(blob))
				begun.Done()
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				begun.Wait() // all of them at once
				h := sha256.New()
				if i > 0 { // the others leave
					return
				}
				if _, err := io.Copy(h, resp.Body); err != nil || fmt.Sprintf("sha256:%x", h.Sum(nil)) != digest(blob) {
					t.Errorf("another blob, %v", err)
				}
			})
		}},
		{"128 uploads", func(t *testing.T, c *child) {
			at(128, func(int) {
				conn, err := net.Dial("tcp", c.record.Address)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, "POST /v2/a/blobs/uploads/?digest=sha256:%064d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 0, 8<<20)
				conn.Write(make([]byte, 3<<19))
			})
		}},
		{"100 lists of tags", func(t *testing.T, c *child) {
			d := c.image("many", "v")
			symlinks(t, 12000, func(i int) (string, string) {
				return "../blobs/" + strings.Replace(d, ":", "/", 1), filepath.Join(c.record.Storage, "repositories/many/_layout/tags", fmt.Sprintf("t%060d", i))
			})
			at(100, func(int) {
				if n := c.drain("/v2/many/tags/list"); n != 12001 { // {"name":"many","tags":["…","…"]}
					t.Errorf("a list of %d tags", n)
				}
			})
		}},
		{"20 catalogs", func(t *testing.T, c *child) {
			symlinks(t, 1000, func(i int) (string, string) {
				return imageType, filepath.Join(c.record.Storage, "repositories", fmt.Sprintf("r%0120d", i), "_layout/manifests/sha256", strings.Repeat("0", 64))
			})
			at(20, func(int) {
				if n := c.drain("/v2/_catalog"); n != 1000-1 {
					t.Errorf("a list of %d repositories", n+1)
				}
			})
		}},
		{"24 large manifests", func(t *testing.T, c *child) {
			at(8, func(i int) {
				for j := range 3 {
					m := fmt.Appendf(nil, `{"mediaType":%q,"manifests":[],"annotations":{"n":"%d.%d","x":"%s"}}`, "application/vnd.oci.image.index.v1+json", i, j, strings.Repeat("x", 4<<20-200))
					c.want(201, "PUT", fmt.Sprintf("/v2/a/manifests/v%d.%d", i, j), m, "Content-Type", "application/vnd.oci.image.index.v1+json")
				}
			})
		}},
		{"slow readers of referrers", func(t *testing.T, c *child) {
			subject := "sha256:" + strings.Repeat("0", 64)
			for i := range 2 {
				m := fmt.Appendf(nil, `{"mediaType":%q,"manifests":[],"subject":{"digest":%q},"annotations":{"n":"%d","x":"%s"}}`, "application/vnd.oci.image.index.v1+json", subject, i, strings.Repeat("<", 4<<20-300))
				c.want(201, "PUT", fmt.Sprintf("/v2/a/manifests/v%d", i), m, "Content-Type", "application/vnd.oci.image.index.v1+json")
			}
			c.image("b", "v1")
			for i := range 4 {
				for _, conn := range hold(t, c, fmt.Sprintf("127.0.0.%d", i+2), 50) {
					fmt.Fprintf(conn, "GET /v2/a/referrers/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", subject)
					defer conn.Close() // or the server would wait for them when it stops
				}
			}
			time.Sleep(time.Second)
			start := time.Now()
			c.want(200, "GET", "/v2/b/referrers/"+subject, nil)
			c.want(200, "GET", "/v2/b/tags/list", nil)
			if took := time.Since(start); took > stallTime/2 { // 2 s on a machine of its own; else until those are cut off
				t.Errorf("another client waited %v", took)
			}
			time.Sleep(time.Second)
		}},
		{"idle connections", func(t *testing.T, c *child) {
			for i := range 8 {
				for _, conn := range hold(t, c, fmt.Sprintf("127.0.0.%d", i+2), maxConns/6) {
					fmt.Fprint(conn, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				}
			}
			hold(t, c, "127.0.0.10", maxConns)
			c.want(200, "GET", "/healthz", nil)
		}},
		{"idle connections with TLS", func(t *testing.T, c *child) {
			for i := range 8 {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("127.0.0.%d", i+2))}}
				for range maxTLSConns / 7 {
					conn, err := tls.DialWithDialer(&dialer, "tcp", c.record.Address, &tls.Config{InsecureSkipVerify: true})
					if err != nil {
						continue // there was no place for it
					}
					t.Cleanup(func() { conn.Close() })
					fmt.Fprint(conn, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var args []string
			if strings.Contains(c.name, "TLS") {
				args = []string{"--tls", "auto"}
			}
			server := startProgram(t, program, t.TempDir(), nil, args...)
			c.load(t, server)
			if got := server.peak(); got > maxRSS {
				t.Errorf("%d kB, want at most %d", got, maxRSS)
			} else {
				t.Logf("%d kB", got)
			}
			server.stop()
		})
	}
}

// drain reads a list and returns the number of commas in it.
func (c *child) drain(target string) (commas int) {
	resp, err := http.Get(c.url + target)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	buf := make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = resp.Body.Read(buf)
		commas += bytes.Count(buf[:n], []byte(","))
	}
	if err != io.EOF || resp.StatusCode != 200 {
		c.t.Errorf("GET %s: %d, %v", target, resp.StatusCode, err)
	}
	return commas
}

// from connects from an address of this host.
func from(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}}
}

// hold opens connections from an address and keeps them until the test ends.
func hold(t *testing.T, c *child, address string, n int) (open []net.Conn) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	for range n {
		conn, err := dialer.Dial("tcp", c.record.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		open = append(open, conn)
	}
	return open
}

// While one address does its worst, others push, pull and log in at once.
func TestFairness(t *testing.T) {
	// Of cost 14: a second of a core and more to compare it with.
	const hash = "$2a$14$sEdX2eYooXOq/dQcyX9VOu/GsPJC5kT/hEr2VaYnh/HnF6rSazTKy"
	quick, err := bcrypt.GenerateFromPassword([]byte("quick"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, fmt.Appendf(nil, "slow:%s\nquick:%s\n", hash, quick), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, t.TempDir(), "--htpasswd", users)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	bad := from("127.0.0.2")
	for i := range 40 { // wrong passwords
		all.Go(func() {
			for ctx.Err() == nil {
				r, _ := http.NewRequestWithContext(ctx, "GET", c.url+"/v2/", nil)
				r.SetBasicAuth("slow", fmt.Sprint(i))
				if resp, err := bad.Do(r); err == nil {
					resp.Body.Close()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for _, conn := range hold(t, c, "127.0.0.2", maxConns) { // connections, with bodies that trickle in
		fmt.Fprintf(conn, "POST /v2/a/blobs/uploads/?digest=sha256:%064d HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic cXVpY2s6cXVpY2s=\r\nContent-Length: 1000\r\n\r\nx", 0)
	}
	time.Sleep(200 * time.Millisecond)
	good := from("127.0.0.1")
	for i := range 3 {
		start := time.Now()
		blob := fmt.Appendf(nil, "blob %d", i)
		for _, step := range []struct {
			method, target string
			body           []byte
			status         int
		}{
			{"GET", "/v2/", nil, 200},
			{"POST", "/v2/b/blobs/uploads/?digest=" + digest(blob), blob, 201},
			{"GET", "/v2/b/blobs/" + digest(blob), nil, 200},
		} {
			r, err := http.NewRequest(step.method, c.url+step.target, bytes.NewReader(step.body))
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth("quick", "quick")
			resp, err := good.Do(r)
			if err != nil {
				t.Fatalf("%s %s: %v", step.method, step.target, err)
			}
			resp.Body.Close()
			if resp.StatusCode != step.status {
				t.Errorf("%s %s = %d, want %d", step.method, step.target, resp.StatusCode, step.status)
			}
		}
		good.CloseIdleConnections()
		if took := time.Since(start); took > 10*time.Second { // 2 s on a machine of its own
			t.Errorf("round %d took %v", i, took)
		} else {
			t.Logf("round %d: %v", i, took)
		}
	}
	cancel()
}

// With few open files, idle connections leave some for others, and the
// watchdog's question needs none.
func TestFewFiles(t *testing.T) {
	t.Setenv("TEST_CHILD_FILES", "64")
	c := startChild(t, t.TempDir())
	t.Setenv("TEST_CHILD_FILES", "")
	open := hold(t, c, "127.0.0.2", 100)
	for i := range 3 {
		c.want(201, "POST", "/v2/a/blobs/uploads/?digest="+digest([]byte{byte(i)}), []byte{byte(i)})
	}
	if _, err := bufio.NewReader(open[99]).ReadByte(); err == nil {
		t.Error("the last one got something")
	}
}
