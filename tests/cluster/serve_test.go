//go:build serve

package cluster

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"k8s.io/client-go/dynamic"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/tests/cluster/plane"
)

// TestServe is not a test but what the stand-in for k0s starts in tests that
// install the whole: a control plane on the host that this runs on, which is a
// node of it, and a kcm that takes the platform's chart from the host's registry.
// It writes an administrator's kubeconfig to the first argument, keeps everything
// next to that, and ends on SIGTERM.
//
//	cluster.test -test.run TestServe -test.timeout 0 KUBECONFIG PROGRAMS REGISTRY CA
func TestServe(t *testing.T) {
	runtime.LockOSThread() // the programs end with the thread that started them
	kubeconfig, bin, registry, ca := os.Args[len(os.Args)-4], os.Args[len(os.Args)-3], os.Args[len(os.Args)-2], os.Args[len(os.Args)-1]
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	dir := filepath.Join(filepath.Dir(kubeconfig), "plane")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := plane.Start(ctx, bin, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Fake(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(p.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Cluster: c, plane: p, objects: objects}
	s.here(ctx, t)
	s.sampled(ctx, t, &store{address: registry, ca: ca})
	if err := publish(p.Kubeconfig, kubeconfig); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

// publish copies a file in one step.
func publish(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
