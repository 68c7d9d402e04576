package containerd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The registry host's addresses and name in the site.
const (
	siteIPv4 = "10.99.0.1"
	siteIPv6 = "fd99::1"
	siteName = "registry.site.example"
)

// Credentials for the server that requires them. The hash is bcrypt's of the password.
const (
	username = "alice"
	password = "wonder land"
	htpasswd = username + ":$2y$05$kxH0jQ7XtkyhWxZpxU/0.OOWdP6pNrteF.wRfJnjeprEcvTT3DVXi\n"
)

// A site is the registry host: oci-serve in a network of its own, filled from
// a bundle.
type site struct {
	net     *network
	dir     string
	images  map[string]string // digest of "repository:tag"
	plain   *server           // HTTP
	secure  *server           // TLS
	prefix  *server           // TLS, everything below a path
	locked  *server           // TLS, reads require a password
	records []byte            // what bundle-ls says of the bundle
}

// bundlePrefix is the path in the server that has one.
const bundlePrefix = "site/" + vendorPath

// imageEntries are the entries of the bundle that the tests pull, with a
// repository where the bundle's own would not do.
var imageEntries = map[string]string{
	"busybox":                                "library/busybox", // what docker.io/busybox asks a mirror for
	"jetstack/cert-manager-controller":       "",
	"capi-operator/cluster-api-operator":     "",
	"projectsveltos/addon-controller":        "",
	"k0sproject/pause":                       "",
	"projectsveltos/drift-detection-manager": "",
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{net: newNetwork(t), dir: t.TempDir()}
	s.net.ip(t, "addr add "+siteIPv4+"/32 dev lo", "addr add "+siteIPv6+"/128 dev lo")
	s.readBundle(t)
	users := filepath.Join(s.dir, "users")
	secret := filepath.Join(s.dir, "password")
	writeFiles(t, s.dir, map[string]string{"users": htpasswd, "password": password + "\n"})

	var filling sync.WaitGroup
	open := func(name, prefix string, login []string, flags ...string) *server {
		v := s.serve(t, name, flags...)
		filling.Go(func() { s.push(t, v, prefix, login...) })
		return v
	}
	s.plain = open("plain", "", nil)
	s.secure = open("secure", "", nil, "--tls", "auto", "--tls-name", siteName)
	s.prefix = open("prefix", "/"+bundlePrefix, nil, "--tls", "auto")
	s.locked = open("locked", "", []string{"--username", username, "--password-file", secret},
		"--tls", "auto", "--htpasswd", users, "--read", "auth")
	filling.Wait()
	return s
}

// readBundle makes the sample bundle, and notes what it holds by the word of
// its generator.
func (s *site) readBundle(t *testing.T) {
	t.Helper()
	bundle, manifest := filepath.Join(s.dir, "bundle.tar"), filepath.Join(s.dir, "manifest.json")
	run(t, exec.Command("go", "run", "-C", root, "./tests/samplebundle/cmd/mkbundle", "--format", "tar", "--size", "16MiB", "--out", bundle, "--manifest", manifest))
	var m struct {
		Entries []struct{ Path, Repository, Tag, Digest string }
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	s.images = make(map[string]string)
	var names strings.Builder
	for _, e := range m.Entries {
		name, wanted := imageEntries[e.Repository]
		if !wanted {
			continue
		}
		if name == "" {
			name = e.Repository
		} else {
			names.WriteString(e.Path + " " + name + ":" + e.Tag + "\n")
		}
		s.images[name+":"+e.Tag] = e.Digest
	}
	writeFiles(t, s.dir, map[string]string{"map": names.String()})
	for line := range bytes.Lines(run(t, exec.Command(tool("bundle-ls"), "--quiet", "--map", filepath.Join(s.dir, "map"), bundle))) {
		var r struct{ Repository, Tag string }
		if json.Unmarshal(line, &r) == nil && s.images[r.Repository+":"+r.Tag] != "" {
			s.records = append(s.records, line...)
		}
	}
}

// push fills a server over loopback, from where alone it may be written to.
func (s *site) push(t *testing.T, v *server, prefix string, login ...string) {
	args := append([]string{"--quiet", "--to", "localhost:" + v.port + prefix}, login...)
	if v.ca != "" {
		args = append(args, "--ca", v.ca)
	}
	cmd := exec.Command(tool("oci-push"), args...)
	cmd.Stdin = bytes.NewReader(s.records)
	out, err := s.net.output(cmd)
	if err != nil {
		t.Error(err)
	}
	v.tell = append(v.tell, out...)
	if n := bytes.Count(out, []byte(`"status":"pushed"`)); n != len(s.images) {
		t.Errorf("%d of %d images were pushed:\n%s", n, len(s.images), out)
	}
}

// A server is one oci-serve.
type server struct {
	cmd  *exec.Cmd
	port string
	ca   string // file, "" where it speaks HTTP
	tell []byte // its record, then those of what was pushed to it
	log  *accessLog
}

// at is where the server is found, for one of its host's names.
func (v *server) at(host string) string { return net.JoinHostPort(host, v.port) }

// url is the server's address, for one of its host's names.
func (v *server) url(host string) string {
	if v.ca != "" {
		return "https://" + v.at(host)
	}
	return "http://" + v.at(host)
}

// serve starts an oci-serve on all addresses of the site. It accepts
// connections when it writes its record.
func (s *site) serve(t *testing.T, name string, flags ...string) *server {
	t.Helper()
	args := append([]string{"--host", "::", "--port", "0", "--storage", filepath.Join(s.dir, "storage-"+name), "--access-log", "json"}, flags...)
	cmd := exec.Command(tool("oci-serve"), args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	v := &server{cmd: cmd, log: newAccessLog()}
	if err := s.net.start(cmd); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		v.log.read(stderr)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-read // Wait closes the pipe
		if err := cmd.Wait(); err != nil {
			t.Errorf("oci-serve: %v", err)
		}
	})
	if v.tell, err = bufio.NewReader(stdout).ReadBytes('\n'); err != nil {
		t.Fatalf("oci-serve has no record: %v\n%s", err, v.log.text())
	}
	var r struct{ Address, CA string }
	if err := json.Unmarshal(v.tell, &r); err != nil {
		t.Fatal(err)
	}
	v.ca = r.CA
	if _, v.port, err = net.SplitHostPort(r.Address); err != nil {
		t.Fatal(err)
	}
	return v
}

// addresses are those of one host.
type addresses struct{ ipv4, ipv6 string }

// has reports whether a connection from remote, "address:port", is the host's.
func (a addresses) has(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	from := at.Addr().Unmap().String()
	return err == nil && (from == a.ipv4 || from == a.ipv6)
}

// A request is one line of oci-serve's access log.
type request struct {
	Msg, Method, Path, Remote, NS, User string
	Status                              int
}

// An accessLog follows what an oci-serve writes.
type accessLog struct {
	mu       sync.Mutex
	more     chan struct{} // closed at the next line
	requests []request
	other    []string
}

func newAccessLog() *accessLog { return &accessLog{more: make(chan struct{})} }

func (l *accessLog) read(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var q request
		err := json.Unmarshal(lines.Bytes(), &q)
		l.mu.Lock()
		if err == nil && q.Msg == "request" {
			l.requests = append(l.requests, q)
		} else {
			l.other = append(l.other, lines.Text())
		}
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
	}
}

func (l *accessLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.other, "\n")
}

// from returns a client's requests except the first ones, and a channel that is closed
// when there are more.
func (l *accessLog) from(client addresses, first int) ([]request, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []request
	for _, q := range l.requests {
		if client.has(q.Remote) {
			found = append(found, q)
		}
	}
	return found[first:], l.more
}

// await returns a client's requests once they are as wanted: the log is written after
// the answer, so a client may be ahead of it.
func (l *accessLog) await(client addresses, first int, wanted func([]request) bool) ([]request, bool) {
	timeout := time.After(5 * time.Second)
	for {
		found, more := l.from(client, first)
		if wanted(found) {
			return found, true
		}
		select {
		case <-more:
		case <-timeout:
			return found, false
		}
	}
}
