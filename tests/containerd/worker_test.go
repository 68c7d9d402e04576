package containerd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A release is a containerd that the tests run.
type release struct {
	name    string
	program string
	two     bool     // containerd 2: other tables in its configuration, other keys in hosts.toml
	main    int      // the newest version of a main file that it reads
	k0s     []string // versions of k0s that have this syntax, oldest first
}

var releases = []release{
	{name: "1.6", program: "containerd1.6", main: 2, k0s: []string{"v1.27.5+k0s.0", "v1.32.8+k0s.0"}},
	{name: "1.7", program: "containerd1.7", main: 2, k0s: []string{"v1.32.8+k0s.0", "v1.35.4+k0s.0"}},
	{name: "2.3", program: "containerd2.3", two: true, main: 3, k0s: []string{"v1.36.1+k0s.0", "v1.36.3+k0s.0"}},
	{name: "2.4", program: "containerd2.4", two: true, main: 4, k0s: []string{"v1.36.3+k0s.0", "v1.37.0+k0s.0"}},
}

// Places that a worker's containerd sees.
const (
	mainFile  = "/etc/containerd/main.toml"
	dropins   = "/etc/k0s/containerd.d"
	certs     = "/etc/k0s/certs.d"
	storeRoot = "/run/containerd/root"
	socket    = "/run/containerd/containerd.sock"
)

// A worker is a host with a containerd. Its /etc is a directory of the test,
// and its /run is in memory; of this machine's files it changes none.
type worker struct {
	release
	t       *testing.T // whose end is also the worker's
	site    *site
	net     *network
	outside *outside
	at      addresses
	root    string        // the worker's /etc is root/etc
	before  int           // packets that had gone outside at the last look
	slowest time.Duration // that a pull of a missing image took
	daemon  *daemon
}

// newWorker makes the n-th worker of a site, its containerd not yet running.
func newWorker(t *testing.T, s *site, r release, n int) *worker {
	t.Helper()
	net := newNetwork(t)
	at := addresses{fmt.Sprintf("10.98.%d.2", n), fmt.Sprintf("fd98:%x::2", n)}
	link := fmt.Sprintf("worker%d", n)
	s.net.ip(t,
		fmt.Sprintf("link add %s type veth peer name site netns %s", link, net.path),
		fmt.Sprintf("addr add 10.98.%d.1/30 dev %s", n, link),
		fmt.Sprintf("addr add fd98:%x::1/64 dev %s nodad", n, link),
		"link set "+link+" up")
	net.ip(t,
		"addr add "+at.ipv4+"/30 dev site",
		"addr add "+at.ipv6+"/64 dev site nodad",
		"link set site up",
		fmt.Sprintf("route add %s/32 via 10.98.%d.1", siteIPv4, n),
		fmt.Sprintf("route add %s/32 via 10.98.%d.1", filtered, n),
		fmt.Sprintf("route add %s/128 via fd98:%x::1", siteIPv6, n))
	return s.furnish(t, r, net, at)
}

// firstNode makes a worker of the registry's own host, as the first node of a
// cluster often is.
func firstNode(t *testing.T, s *site, r release) *worker {
	t.Helper()
	return s.furnish(t, r, s.net, addresses{"127.0.0.1", "::1"})
}

// furnish creates a host's files in a network, and its route to the internet.
func (s *site) furnish(t *testing.T, r release, net *network, at addresses) *worker {
	t.Helper()
	w := &worker{release: r, t: t, site: s, net: net, at: at, root: t.TempDir(), outside: newOutside(t, net)}
	version := 2
	if r.two {
		version = 3
	}
	writeFiles(t, w.root, map[string]string{
		"etc/resolv.conf":                   "nameserver " + outsideAddress + "\noptions timeout:2 attempts:1\n",
		"etc/hosts":                         "127.0.0.1 localhost\n" + siteIPv4 + " " + siteName + "\n",
		"etc/ssl/certs/ca-certificates.crt": string(w.outside.ca.pem),
		mainFile:                            fmt.Sprintf(mainText, version),
	})
	return w
}

// mainText is the main file, as k0s writes one: all that the daemon needs and
// none of the CRI plugin's keys. The plugin that is off would make /opt/containerd.
const mainText = `version = %d
root = "` + storeRoot + `"
state = "/run/containerd/state"
imports = ["` + dropins + `/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "` + socket + `"
`

// containerd is a run of the worker's containerd.
func (w *worker) containerd(args ...string) *exec.Cmd {
	return w.command(w.program, append([]string{"--config", mainFile}, args...)...)
}

// command is a run of a program with the worker's files, in a mount namespace
// of its own that ends with it.
func (w *worker) command(name string, args ...string) *exec.Cmd {
	const script = `mount --bind "$1/etc" /etc && mount -t tmpfs -o mode=755 worker /run && shift && exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", w.root, tool(name)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

// dump returns the output of `containerd config dump` for the main file and drop-ins.
func (w *worker) dump() (string, error) {
	out, err := w.net.output(w.containerd("config", "dump"))
	return string(out), err
}

// A daemon is a containerd that serves.
type daemon struct {
	cmd    *exec.Cmd
	log    bytes.Buffer // read it when done is closed
	done   chan struct{}
	conn   *grpc.ClientConn
	images cri.ImageServiceClient
}

// start starts the worker's containerd and waits until it answers.
func (w *worker) start(t *testing.T) {
	t.Helper()
	d := &daemon{cmd: w.containerd(), done: make(chan struct{})}
	d.cmd.Stderr = &d.log
	if err := w.net.start(d.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		d.cmd.Wait()
	}()
	w.daemon = d
	w.t.Cleanup(func() {
		w.stop(w.t)
		if w.t.Failed() {
			w.t.Logf("the last that containerd %s wrote:\n%s", w.name, tail(d.log.String(), 40))
		}
	})
	var err error
	d.conn, err = grpc.NewClient("unix://"+w.path(socket), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	d.images = cri.NewImageServiceClient(d.conn)
	for begun := time.Now(); ; {
		_, err := d.images.ListImages(t.Context(), &cri.ListImagesRequest{})
		if err == nil {
			return
		}
		select {
		case <-d.done:
			t.Fatalf("containerd %s ended:\n%s", w.name, tail(d.log.String(), 40))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("containerd %s does not answer: %v", w.name, err)
		}
	}
}

// stop stops the worker's containerd. A second call does nothing.
func (w *worker) stop(t *testing.T) {
	t.Helper()
	d := w.daemon
	if d == nil {
		return
	}
	w.daemon = nil
	if d.conn != nil {
		d.conn.Close()
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		t.Errorf("containerd %s does not stop", w.name)
		d.cmd.Process.Kill()
		<-d.done
	}
}

// path is where this process finds a file that the worker's containerd sees.
func (w *worker) path(name string) string {
	return filepath.Join("/proc", fmt.Sprint(w.daemon.cmd.Process.Pid), "root", name)
}

// pull pulls an image as kubelet does.
func (w *worker) pull(t *testing.T, reference string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := w.daemon.images.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: reference}})
	return err
}

// forget removes all images, and with them their content.
func (w *worker) forget(t *testing.T) {
	t.Helper()
	list, err := w.daemon.images.ListImages(t.Context(), &cri.ListImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list.Images {
		if _, err := w.daemon.images.RemoveImage(t.Context(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: i.Id}}); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(w.path(blobDir)); err == nil && len(left) > 0 {
		t.Fatalf("%d blobs are left after all images were removed", len(left))
	}
}
