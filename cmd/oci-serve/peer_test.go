package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/tests/machine"
)

// Variables that make the test binary a client, as another user.
const (
	asClient     = "TEST_OCI_SERVE_CLIENT"
	clientCloses = "TEST_OCI_SERVE_CLOSES"
)

// nobody is an unprivileged user that every Linux system has.
const nobody = 65534

// connected returns both ends of a connection to address, whose first word is
// the network to listen on and whose second the address to dial.
func connected(t testing.TB, listen, dial string) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
	if err != nil {
		machine.Skip(t, "no %s here: %v", listen, err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	c, err := net.Dial("tcp", net.JoinHostPort(dial, port))
	if err != nil {
		machine.Skip(t, "no %s here: %v", dial, err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); c.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// ownAddress returns an IPv4 address of this host that is not loopback.
func ownAddress(t testing.TB) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	machine.Skip(t, "this host has no address but loopback")
	return ""
}

func TestPeerIsIdentified(t *testing.T) {
	own := uint32(os.Geteuid())
	for _, c := range []struct{ name, listen, dial string }{
		{"IPv4", "127.0.0.1", "127.0.0.1"},
		{"IPv4, dual stack", "::", "127.0.0.1"},
		{"IPv4 as IPv6", "::", "::ffff:127.0.0.1"},
		{"IPv6", "::1", "::1"},
		{"another loopback address", "0.0.0.0", "127.0.0.2"},
		{"the host's own address", "0.0.0.0", "own"},
		{"the host's own address, dual stack", "::", "own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.dial == "own" {
				c.dial = ownAddress(t)
			}
			server, client := connected(t, c.listen, c.dial)
			p := peerOf(new(http.Request).WithContext(withPeer(t.Context(), server)))
			if uid, err := p.uid(); uid != own || err != nil || !p.here() {
				t.Errorf("uid() = %d, %v, here() = %v, want %d", uid, err, p.here(), own)
			}
			if uid, err := procOwner(p.remote, p.local); uid != own || err != nil {
				t.Errorf("from /proc: %d, %v, want %d", uid, err, own)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if uid, err := p.find(server); err == nil {
				t.Errorf("after the client closed: uid %d, want none", uid)
			}
			if uid, err := procOwner(p.remote, p.local); err == nil {
				t.Errorf("after the client closed, from /proc: uid %d, want none", uid)
			}
		})
	}
}

// A client that has sent all it wanted may close its end.
func TestPeerIsAskedForOnce(t *testing.T) {
	server, client := connected(t, "127.0.0.1", "127.0.0.1")
	p := peerOf(new(http.Request).WithContext(withPeer(t.Context(), server)))
	first, err := p.uid()
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if again, err := p.uid(); again != first || err != nil {
		t.Errorf("uid() = %d, %v the second time, want %d", again, err, first)
	}
}

// A question that failed is asked again.
func TestPeerIsAskedAgain(t *testing.T) {
	asked := 0
	uid := remember(func() (uint32, error) {
		if asked++; asked == 1 {
			return 0, syscall.EMFILE
		}
		return 7, nil
	})
	if _, err := uid(); err == nil {
		t.Error("the first time: no error")
	}
	for range 2 {
		if got, err := uid(); got != 7 || err != nil {
			t.Errorf("uid() = %d, %v, want 7", got, err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}

func TestPeerElsewhere(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, p := range []peer{
		{},
		{remote: at("192.0.2.7:1"), local: at("192.0.2.1:5000")},
		{remote: at("[2001:db8::7]:1"), local: at("[2001:db8::1]:5000")},
	} {
		if _, err := p.find(nil); !errors.Is(err, errElsewhere) {
			t.Errorf("%v: %v, want %v", p, err, errElsewhere)
		}
	}
}

// postOnce starts an upload, and returns the status and the body, or nothing if
// it closes its end at once.
func postOnce(host string, closeAtOnce bool) string {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", host)
	if closeAtOnce {
		return ""
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(r.Body)
	return fmt.Sprintln(r.StatusCode, string(body))
}

// asNobody runs postOnce as an unprivileged user.
func asNobody(t *testing.T, host string, closeAtOnce bool) string {
	t.Helper()
	machine.NeedRoot(t, "be another user")
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = []string{asClient + "=" + host}
	if closeAtOnce {
		cmd.Env = append(cmd.Env, clientCloses+"=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// ownedRegistry serves a registry to whose owner alone it is open.
func ownedRegistry(t testing.TB, address string) (host string, served chan int) {
	t.Helper()
	h, _ := pagesOver(t, "owner", "any", nil)
	served = make(chan int, 100)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := httptest.NewRecorder()
		h.ServeHTTP(seen, r)
		served <- seen.Code
		w.WriteHeader(seen.Code)
		seen.Body.WriteTo(w)
	}))
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = ln
	s.Config.ConnContext = withPeer
	s.Start()
	t.Cleanup(s.Close)
	return ln.Addr().String(), served
}

func TestOwnerAloneMayWrite(t *testing.T) {
	for _, address := range []string{"127.0.0.1", ownAddress(t)} {
		host, _ := ownedRegistry(t, address)
		if got := postOnce(host, false); !strings.HasPrefix(got, "202 ") {
			t.Errorf("own user at %s: %s, want 202", address, got)
		}
		got := asNobody(t, host, false)
		for _, want := range []string{"403 ", "only root may push", "this is nobody", "--write loopback"} {
			if !strings.Contains(got, want) {
				t.Errorf("user nobody at %s: %s, want %q", address, got, want)
			}
		}
	}
}

// The kernel gives a socket that was closed to root: one that closes before it
// is looked at must not gain by it.
func TestClosedSocketIsNotRoot(t *testing.T) {
	host, served := ownedRegistry(t, "127.0.0.1")
	for range 20 {
		asNobody(t, host, true)
		if code := <-served; code != 403 {
			t.Fatalf("answered with %d, want 403", code)
		}
	}
}

func TestGuardOwner(t *testing.T) {
	at := netip.MustParseAddrPort
	own, far := at("127.0.0.1:5000"), at("192.0.2.7:1")
	is := func(uid uint32) func() (uint32, error) { return func() (uint32, error) { return uid, nil } }
	unknown := func() (uint32, error) { return 0, errNoOwner }
	broken := func() (uint32, error) { return 0, syscall.EMFILE }
	self := uint32(os.Geteuid())
	for _, c := range []struct {
		name string
		peer peer
		want int
	}{
		{"root", peer{at("127.0.0.1:1"), own, is(0)}, 202},
		{"own user", peer{at("127.0.0.1:1"), own, is(self)}, 202},
		{"another user", peer{at("127.0.0.1:1"), own, is(self + 1)}, 403},
		{"nobody knows", peer{at("127.0.0.1:1"), own, unknown}, 403},
		{"no answer for now", peer{at("127.0.0.1:1"), own, broken}, 500},
		{"root over IPv6", peer{at("[::1]:1"), at("[::1]:5000"), is(0)}, 202},
		{"root to the host's address", peer{at("192.0.2.1:1"), at("192.0.2.1:5000"), is(0)}, 202},
		{"root of another host", peer{far, at("192.0.2.1:5000"), is(0)}, 403},
		{"no connection", peer{}, 403},
	} {
		h, _ := pagesOver(t, "owner", "any", nil)
		r := httptest.NewRequest("POST", "http://localhost:5000/v2/a/blobs/uploads/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), peerKey{}, c.peer)))
		if w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, w.Body, c.want)
		}
	}
}

// What a browser sends on behalf of a page, as Firefox and Chromium do.
func TestGuardBrowser(t *testing.T) {
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	type want struct{ loopback, any int }
	for _, c := range []struct {
		name, host string
		header     http.Header
		want       want
	}{
		{"oci-push", "localhost:5000", nil, want{202, 202}},
		{"by address", "127.0.0.1:5000", nil, want{202, 202}},
		{"by IPv6 address", "[::1]:5000", nil, want{202, 202}},
		{"by IPv6 address without a port", "[::1]", nil, want{202, 202}},
		{"by this host's name", hostname + ":5000", nil, want{202, 202}},
		{"by a name in the certificate", "registry.site:5000", nil, want{202, 202}},
		{"HTTP/1.0", "", nil, want{202, 202}},
		{"form of another site", "127.0.0.1:5000", header("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), want{403, 403}},
		{"old browser", "127.0.0.1:5000", header("Origin", "https://evil.example"), want{403, 403}},
		{"sandboxed page", "127.0.0.1:5000", header("Origin", "null"), want{403, 403}},
		{"page on another port", "127.0.0.1:5000", header("Origin", "http://127.0.0.1:8080"), want{403, 403}},
		{"sibling site", "registry.site:5000", header("Sec-Fetch-Site", "same-site"), want{403, 403}},
		{"page that the registry served", "127.0.0.1:5000", header("Origin", "http://127.0.0.1:5000", "Sec-Fetch-Site", "same-origin"), want{403, 202}},
		{"DNS rebinding", "evil.example:5000", header("Origin", "http://evil.example:5000"), want{403, 202}},
		{"DNS rebinding without Origin", "evil.example:5000", nil, want{403, 202}},
		{"DNS rebinding with a name like an address", "127.0.0.1.evil.example:5000", nil, want{403, 202}},
		{"DNS rebinding with a name like localhost", "localhost.evil.example", nil, want{403, 202}},
	} {
		for write, want := range map[string]int{"loopback": c.want.loopback, "any": c.want.any} {
			g := &guard{write: write, read: "any", names: func(n string) bool { return n == "registry.site" }}
			h := registryOver(t, g)
			for _, method := range []string{"POST", "GET"} {
				r := httptest.NewRequest(method, "/v2/a/blobs/uploads/", nil)
				if method == "GET" {
					r = httptest.NewRequest(method, "/v2/", nil)
					want = 200
				}
				r.RemoteAddr, r.Host = "127.0.0.1:1", c.host
				if c.header != nil {
					r.Header = c.header
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("%s, --write %s: %s = %d %s, want %d", c.name, write, method, w.Code, w.Body, want)
				}
			}
		}
	}
}

// A page of another site gains nothing from a password that the browser has.
func TestGuardBrowserWithPassword(t *testing.T) {
	u, _, _ := testUsers(t)
	h, _ := pagesOver(t, "auth", "any", u)
	r := httptest.NewRequest("POST", "/v2/a/blobs/uploads/", nil)
	r.SetBasicAuth("alice", "wonder land")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 403 || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v, want 403 and no question for a password", w.Code, w.Header())
	}
}

func BenchmarkPeer(b *testing.B) {
	server, _ := connected(b, "127.0.0.1", "127.0.0.1")
	p := peerOf(new(http.Request).WithContext(withPeer(b.Context(), server)))
	b.Run("netlink", func(b *testing.B) {
		for b.Loop() {
			if _, err := diagOwner(p.remote, p.local); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proc", func(b *testing.B) {
		for b.Loop() {
			if _, err := procOwner(p.remote, p.local); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.find(server); err != nil {
				b.Fatal(err)
			}
		}
	})
}
