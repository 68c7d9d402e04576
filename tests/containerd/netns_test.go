package containerd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A network is a network namespace. It lives as long as the thread that is in
// it, and programs started from that thread die with it: nothing is left behind,
// whatever ends this process.
type network struct {
	path string // of the namespace, for ip(8)
	work chan func()
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{work: make(chan func())}
	ready, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with this function
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() {
		close(n.work)
		<-ended
	})
	if err := <-ready; err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	n.ip(t, "link set lo up")
	return n
}

// in runs f on the thread of the network: the sockets that it opens and the
// programs that it starts are there.
func (n *network) in(f func() error) error {
	done := make(chan error)
	n.work <- func() { done <- f() }
	return <-done
}

// start starts a program in the network.
func (n *network) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.in(cmd.Start)
}

// output runs a program in the network and returns its standard output.
func (n *network) output(cmd *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := n.start(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// ip runs ip(8) with each line.
func (n *network) ip(t *testing.T, lines ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if _, err := n.output(cmd); err != nil {
		t.Fatalf("ip: %v\n%s", err, strings.Join(lines, "\n"))
	}
}
