package registry

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// stalling serves a registry and cuts clients after a stall.
func stalling(t *testing.T, reg *testRegistry, stall time.Duration) *testRegistry {
	server := httptest.NewServer(New(reg.disk, Options{Stall: stall}))
	t.Cleanup(server.Close)
	reg.url = server.URL
	return reg
}

// The same through TLS, whose deadlines are the connection's.
func TestStalledTLS(t *testing.T) {
	reg := newRegistry(t)
	at := reg.begin("a")
	server := httptest.NewTLSServer(New(reg.disk, Options{Stall: 200 * time.Millisecond}))
	t.Cleanup(server.Close)
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n12345", at)
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("a stalled upload was answered with %q", answer)
	}
}

func dial(t *testing.T, reg *testRegistry) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(reg.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// An upload that stalls or trickles in is cut and can be resumed. One that takes far
// longer than the stall, but at the minimum rate, is not.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	const stall = 1500 * time.Millisecond // a busy machine pauses for long
	reg := stalling(t, newRegistry(t), stall)
	at := reg.begin("a")
	conn := dial(t, reg)
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n12345", at)
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("a stalled upload was answered with %q", answer)
	}
	if got := reg.want(204, "GET", at, nil).Header.Get("Range"); got != "0-4" {
		t.Errorf("Range after a stall: %s, want 0-4", got)
	}

	send := func(pieces, size int) int {
		pr, pw := io.Pipe()
		go func() {
			ticker := time.NewTicker(stall / 6)
			defer ticker.Stop()
			for range pieces {
				<-ticker.C
				if _, err := pw.Write(make([]byte, size)); err != nil {
					return
				}
			}
			pw.Close()
		}()
		r, err := http.NewRequest("PATCH", reg.url+at, pr)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := send(15, receivePiece/3); status != 202 {
		t.Errorf("a slow upload was answered with %d", status)
	}
	if status := send(15, 1); status != 408 {
		t.Errorf("an upload below the minimum rate was answered with %d, want 408", status)
	}
}

// An unread body does not hold the connection either.
func TestStalledUnreadBody(t *testing.T) {
	reg := stalling(t, newRegistry(t), 200*time.Millisecond)
	conn := dial(t, reg)
	fmt.Fprint(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("answer %q, %v", answer, err)
	}
}

// A client that reads nothing is cut; one that reads slowly gets everything.
func TestStalledPull(t *testing.T) {
	t.Parallel()
	const stall = time.Second
	reg := newRegistry(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than sockets buffer
	d := reg.pushBlob("a", data)
	stalling(t, reg, stall)
	request := fmt.Sprintf("GET /v2/a/blobs/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", d)

	conn := dial(t, reg)
	fmt.Fprint(conn, request)
	time.Sleep(5 * stall) // the stall itself
	if answer, _ := io.ReadAll(conn); len(answer) >= len(data) {
		t.Error("a client that took nothing was not cut")
	}

	conn = dial(t, reg)
	fmt.Fprint(conn, request)
	got, piece := 0, make([]byte, 1<<20)
	for start := time.Now(); ; {
		n, err := io.ReadFull(conn, piece)
		if got += n; err != nil {
			break
		}
		if time.Since(start) < 3*stall {
			time.Sleep(stall / 8)
		}
	}
	if got < len(data) {
		t.Errorf("a slow client got %d bytes of %d", got, len(data))
	}
}

// One upload more than the limit is asked to retry.
func TestTooManyUploads(t *testing.T) {
	reg := newRegistry(t)
	h := New(reg.disk, Options{})
	push := func(remote string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v2/a/blobs/uploads/?digest="+dig256, nil)
		r.RemoteAddr = remote
		h.ServeHTTP(w, r)
		return w
	}
	for h.receiving.Acquire("192.0.2.1", 1) {
	}
	if w := push("192.0.2.2:1"); w.Code != 201 {
		t.Errorf("another address was answered with %d %s, want a place for it", w.Code, w.Body)
	}
	w := push("192.0.2.1:1")
	if w.Code != 429 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "TOOMANYREQUESTS") {
		t.Errorf("answer %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v2/", nil))
	if w.Code != 200 {
		t.Errorf("a read was answered with %d", w.Code)
	}
}

func TestObserve(t *testing.T) {
	reg := newRegistry(t)
	var seen []Observation
	h := New(reg.disk, Options{Observe: func(o Observation) { seen = append(seen, o) }})
	for _, c := range []struct {
		method, target, body string
		want                 Observation
	}{
		{"POST", "/v2/a/blobs/uploads/?digest=" + string(digestBytes("sha256", []byte("12345"))), "12345", Observation{UploadWhole, 201, 5, 0}},
		{"GET", "/v2/a/blobs/" + string(digestBytes("sha256", []byte("12345"))), "", Observation{BlobRead, 200, 0, 5}},
		{"GET", "/v2/_catalog", "", Observation{Catalog, 200, 0, 19}},
		{"GET", "/v3", "", Observation{kindNone, 404, 0, 64}},
	} {
		seen = nil
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, c.target, strings.NewReader(c.body)))
		if len(seen) != 1 || seen[0] != c.want {
			t.Errorf("%s %s was observed as %+v, want %+v", c.method, c.target, seen, c.want)
		}
	}
	seen = nil
	file := h.Beside(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path != "/file" {
			return ErrEndpointUnknown
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("content"))
		return nil
	})
	for _, target := range []string{"/file", "/other"} {
		file.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	if want := []Observation{{File, 200, 0, 7}, {File, 404, 0, 64}}; !slices.Equal(seen, want) {
		t.Errorf("files were observed as %+v, want %+v", seen, want)
	}
	for k := range kindCount {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}
