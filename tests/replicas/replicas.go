// Package replicas runs a registry that outlives a host, for tests: the registry of the
// distribution project twice, over one object store.
package replicas

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k0rdent-airgap/tests/machine"
)

// The only user, and the password.
const (
	Username = "pusher"
	Password = "s3cret-and-more"
	htpasswd = Username + ":$2a$04$5J6kfuMME1ZNy/j6Qsgz7eHBz24KbQ6mXXY22zXC4TO7Gdgc2eag2\n"
)

// Options are what a test may choose.
type Options struct {
	// Addresses of the two registries and the store; by default on the loopback network.
	Addresses [3]string
	// Port of all three; by default a free one.
	Port int
	// Names that the certificate also has.
	Names []string
	// Redirect makes the one or the other send clients to the store for blobs.
	Redirect [2]bool
	// Start starts a program, perhaps in a namespace; by default this process does.
	Start func(*exec.Cmd) error
}

// Site is a pair of registries.
type Site struct {
	A, B         *Registry
	Store        string // HOST:PORT
	CA           string // file
	PasswordFile string

	dir string
	o   Options
}

// Registry is one of the two.
type Registry struct {
	At string // HOST:PORT

	t       testing.TB
	process *process
}

// Serve runs a pair until the test ends, or skips the test where its programs are missing.
func Serve(t testing.TB, o Options) *Site {
	t.Helper()
	store, registry := machine.NeedProgram(t, "versitygw"), machine.NeedProgram(t, "registry")
	if o.Addresses[0] == "" {
		at := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(250))
		o.Addresses = [3]string{at + "1", at + "2", at + "3"}
	}
	if o.Port == 0 {
		o.Port = freePort(t, o.Addresses[2])
	}
	if o.Start == nil {
		o.Start = func(cmd *exec.Cmd) error { return cmd.Start() }
	}
	s := &Site{dir: t.TempDir(), o: o}
	s.Store = s.at(2)
	s.CA, s.PasswordFile = filepath.Join(s.dir, "ca.pem"), filepath.Join(s.dir, "password")
	s.write(t, "password", Password+"\n")
	s.write(t, "htpasswd", htpasswd)
	certificates(t, s.dir, append(o.Names, o.Addresses[:]...))
	s.store(t, store)
	s.A = s.registry(t, registry, 0)
	s.B = s.registry(t, registry, 1)
	return s
}

// Kill ends the registry at once.
func (r *Registry) Kill() {
	r.t.Helper()
	r.process.kill()
}

// Login are the flags with which the tools reach either registry.
func (s *Site) Login() []string {
	return []string{"--ca", s.CA, "--username", Username, "--password-file", s.PasswordFile}
}

func (s *Site) at(n int) string { return net.JoinHostPort(s.o.Addresses[n], fmt.Sprint(s.o.Port)) }

func (s *Site) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the registries have in common, also the key that signs the addresses of uploads, so
// that one continues what the other began.
const config = `version: 0.1
log: {level: error}
storage:
  s3:
    accesskey: site
    secretkey: secret-of-the-store
    region: us-east-1
    regionendpoint: https://%s
    forcepathstyle: true
    bucket: registry
  redirect: {disable: %v}
  delete: {enabled: true}
http:
  addr: %s
  secret: secret-of-both
  tls: {certificate: %[4]s/tls.pem, key: %[4]s/tls.key}
auth: {htpasswd: {realm: site, path: %[4]s/htpasswd}}
`

// store starts the object store, with a bucket.
func (s *Site) store(t testing.TB, program string) {
	t.Helper()
	for _, dir := range []string{"objects/registry", "meta"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "--port", s.Store, "--quiet", "--cert", filepath.Join(s.dir, "tls.pem"), "--key", filepath.Join(s.dir, "tls.key"),
		"posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "objects"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=site", "ROOT_SECRET_KEY=secret-of-the-store")
	s.start(t, cmd, s.Store)
}

func (s *Site) registry(t testing.TB, program string, n int) *Registry {
	t.Helper()
	file := fmt.Sprintf("registry-%d.yml", n)
	s.write(t, file, fmt.Sprintf(config, s.Store, !s.o.Redirect[n], s.at(n), s.dir))
	cmd := exec.Command(program, "serve", filepath.Join(s.dir, file))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "AWS_CA_BUNDLE="+s.CA)
	return &Registry{At: s.at(n), t: t, process: s.start(t, cmd, s.at(n))}
}

// process is a program that runs until the test ends.
type process struct {
	cmd  *exec.Cmd
	log  bytes.Buffer // read it when done is closed
	done chan struct{}
}

// start starts a program and waits until it accepts connections.
func (s *Site) start(t testing.TB, cmd *exec.Cmd, at string) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	if err := s.o.Start(cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.log.Bytes()
			t.Logf("the last that %s wrote:\n%s", cmd.Args, text[max(0, len(text)-4000):])
		}
	})
	for begun := time.Now(); !p.listens(at); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", cmd.Args, p.log.Bytes())
		default:
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s does not listen on %s", cmd.Args, at)
		}
	}
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}
