// Command pull measures oci-serve: it starts the program, uploads one large
// blob by PATCH, and pulls it with 1, 16 and 200 clients at once. What has just
// been uploaded is not in the page cache (oci-serve writes large blobs around
// it), so the first pull is as fast as the disk. For each step
// it prints the rate, the peak memory of the server, and errors if any.
//
//	go build -o /tmp/oci-serve ./cmd/oci-serve
//	go run ./tests/bench/pull --serve /tmp/oci-serve --dir /var/tmp
//
// The clients run in this process, on the same cores as the server.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const repository = "bench/blob"

func main() {
	serve := flag.String("serve", "oci-serve", "`PROGRAM` to measure")
	dir := flag.String("dir", os.TempDir(), "put the storage below `DIR`")
	upload := flag.Int64("upload", 4<<30, "`BYTES` of the blob that is uploaded")
	pull := flag.Int64("pull", 1<<30, "`BYTES` that one client pulls; 200 clients pull a sixteenth each")
	flag.Parse()
	if err := measure(*serve, *dir, *upload, *pull); err != nil {
		fmt.Fprintln(os.Stderr, "pull:", err)
		os.Exit(1)
	}
}

func measure(program, dir string, upload, pull int64) (err error) {
	storage, err := os.MkdirTemp(dir, "bench-pull-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(storage)
	s, err := start(program, storage)
	if err != nil {
		return err
	}
	defer s.stop()
	var large, small string
	err = s.step(fmt.Sprintf("upload %d MiB by PATCH", upload>>20), func() (n int64, err error) {
		large, err = s.upload(upload)
		return upload, err
	})
	if err != nil {
		return err
	}
	if small, err = s.upload(pull); err != nil {
		return err
	}
	if err := s.firstByte(small); err != nil {
		return err
	}
	for _, c := range []struct {
		clients int
		digest  string
		bytes   int64
		from    string
	}{{1, large, upload, "the disk"}, {1, large, upload, "memory"}, {16, small, pull, "memory"}, {200, small, pull / 16, "memory"}} {
		name := fmt.Sprintf("pull %d MiB, %d clients, from %s", c.bytes>>20, c.clients, c.from)
		if err := s.step(name, func() (int64, error) { return s.pull(c.clients, c.digest, c.bytes) }); err != nil {
			return err
		}
	}
	return nil
}

// server is a running oci-serve.
type server struct {
	cmd    *exec.Cmd
	url    string
	client *http.Client
}

func start(program, storage string) (*server, error) {
	cmd := exec.Command(program, "--host", "127.0.0.1", "--port", "0", "--storage", storage)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var record struct{ URL string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &record)
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("%s: no registry record: %w", program, err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, WriteBufferSize: 256 << 10}}
	return &server{cmd, record.URL, client}, nil
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

// step runs one measurement and prints its line.
func (s *server) step(name string, do func() (bytes int64, err error)) error {
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	// "5" makes the peak start again from what is resident now (proc(5)).
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil {
		return err
	}
	begin := time.Now()
	n, err := do()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(begin)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return err
	}
	peak := regexp.MustCompile(`VmHWM:\s*(\d+ kB)`).FindSubmatch(status)
	fmt.Printf("%-42s %8.0f MB/s  %7.2f s  peak %s\n", name, float64(n)/1e6/took.Seconds(), took.Seconds(), peak[1])
	return nil
}

// upload sends a blob of n bytes in one PATCH, as go-containerregistry does, and returns its
// digest.
func (s *server) upload(n int64) (string, error) {
	resp, err := s.do(http.MethodPost, s.url+"/v2/"+repository+"/blobs/uploads/", nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	location := s.url + resp.Header.Get("Location")
	h := sha256.New()
	content := io.TeeReader(io.LimitReader(newNoise(), n), h)
	if _, err := s.do(http.MethodPatch, location, content, http.StatusAccepted); err != nil {
		return "", err
	}
	digest := fmt.Sprintf("sha256:%x", h.Sum(nil))
	_, err = s.do(http.MethodPut, location+"?digest="+digest, nil, http.StatusCreated)
	return digest, err
}

func (s *server) do(method, url string, body io.Reader, want int) (*http.Response, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s: %s", method, resp.Status)
	}
	return resp, nil
}

// firstByte prints how long the first byte of a blob takes to arrive.
func (s *server) firstByte(digest string) error {
	var times []time.Duration
	for range 50 {
		begin := time.Now()
		body, err := s.get(digest, 0)
		if err != nil {
			return err
		}
		_, err = body.Read(make([]byte, 1))
		times = append(times, time.Since(begin))
		body.Close()
		if err != nil {
			return err
		}
	}
	slices.Sort(times)
	fmt.Printf("%-42s median %v, worst of %d %v\n", "first byte", times[len(times)/2], len(times), times[len(times)-1])
	return nil
}

// get asks for a blob, or for its first bytes if most is not 0.
func (s *server) get(digest string, most int64) (io.ReadCloser, error) {
	req, err := http.NewRequest(http.MethodGet, s.url+"/v2/"+repository+"/blobs/"+digest, nil)
	if err != nil {
		return nil, err
	}
	want := http.StatusOK
	if most != 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", most-1))
		want = http.StatusPartialContent
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		resp.Body.Close()
		return nil, fmt.Errorf("GET: %s", resp.Status)
	}
	return resp.Body, nil
}

// pull has many clients get the first n bytes of a blob at once, and returns the sum of the
// bytes that arrived.
func (s *server) pull(clients int, digest string, n int64) (int64, error) {
	group, _ := errgroup.WithContext(context.Background())
	for range clients {
		group.Go(func() error {
			body, err := s.get(digest, n)
			if err != nil {
				return err
			}
			defer body.Close()
			got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 256<<10))
			if err == nil && got != n {
				err = fmt.Errorf("got %d bytes, want %d", got, n)
			}
			return err
		})
	}
	return int64(clients) * n, group.Wait()
}

// noise repeats a megabyte that no file system compresses, shifted by a counter
// so that no two blobs are the same.
type noise struct {
	block []byte
	rest  *bytes.Reader
}

func newNoise() *noise {
	block := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", time.Now().UnixNano()))).Read(block)
	return &noise{block, bytes.NewReader(block)}
}

func (z *noise) Read(p []byte) (int, error) {
	if z.rest.Len() == 0 {
		z.rest.Reset(z.block)
	}
	return z.rest.Read(p)
}
