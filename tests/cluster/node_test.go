package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k0rdent-airgap/tests/cluster/plane"
)

const (
	// nodeName and nodeAddress are those of the one machine of the site. No
	// way leads out of its network.
	nodeName    = "node"
	nodeAddress = "10.99.0.1"
	// sandbox is the image below every pod, by k0s's name for it.
	sandbox = "quay.io/k0sproject/pause:3.10.2-0"
)

// insideVariable marks this program as process 1 of a machine of its
// own, and names the directory in which it may write.
const insideVariable = "K0RDENT_TEST_INSIDE"

// outside runs a test of this program again, on a machine of its own: other
// network, other processes, other mounts. With it ends all that it started.
func outside(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	defer sweep(cgroups())
	const script = `
		mount -t proc proc /proc
		mount -t tmpfs -o mode=755 machine /run
		mount -t tmpfs -o mode=755 machine /var/lib
		mkdir /run/etc /run/work
		mount -t overlay machine -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
		ip link set lo up
		ip link add eth0 type veth peer name nowhere
		ip addr add ` + nodeAddress + `/24 dev eth0
		ip link set eth0 up
		ip link set nowhere up
		exec "$@"`
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "machine",
		self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), insideVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Parallel() // from here on it runs beside all others
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	t.Logf("%s", out.Bytes())
}

// machine returns, in words, what a machine lacks to run containers, or "".
func machine() string {
	for _, name := range []string{"runc", "ip", "unshare", "/usr/lib/cni/bridge", binaries + "/kubelet", binaries + "/containerd2.3", binaries + "/containerd-shim-runc-v2"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("%v (tests/setup.sh brings it)", err)
		}
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "x", "/run").CombinedOutput(); err != nil {
		return fmt.Sprintf("no network, mounts and processes of one's own: %v: %s", err, bytes.TrimSpace(out))
	}
	// runc wants to make a cgroup for each container.
	for _, dir := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
		probe := filepath.Join(dir, fmt.Sprintf("k0rdent-test-%d", os.Getpid()))
		if os.Mkdir(probe, 0o755) == nil {
			return errorText(os.Remove(probe))
		}
	}
	return "no cgroup can be made in /sys/fs/cgroup"
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// cgroups lists the groups of containers that are there.
func cgroups() map[string]bool {
	found := make(map[string]bool)
	for _, pattern := range []string{"/sys/fs/cgroup/k8s.io", "/sys/fs/cgroup/*/k8s.io", "/sys/fs/cgroup/k8s.io/*", "/sys/fs/cgroup/*/k8s.io/*"} {
		list, _ := filepath.Glob(pattern) // the pattern is good
		for _, path := range list {
			found[path] = true
		}
	}
	return found
}

// sweep removes the groups that containers have left, but not those of before.
func sweep(before map[string]bool) {
	after := cgroups()
	for _, depth := range []int{6, 5, 4} { // the deepest first
		for path := range after {
			if strings.Count(path, "/") == depth && !before[path] {
				_ = os.Remove(path) // one that is in use is another's
			}
		}
	}
}

// node is a machine with containerd and a kubelet, which keep their files in a
// directory.
type node struct{ dir string }

const containerdConfig = `version = 3
root = "DIR/containerd"
state = "/run/containerd/state"
imports = ["/etc/k0s/containerd.d/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + sandbox + `"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true # a sandbox may not be allowed to go below its parent
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/etc/cni/net.d"
`

const cniConfig = `{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
	"type": "bridge", "bridge": "pods", "isGateway": true,
	"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.98.0.0/24"}]]}
}]}`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ` + nodeAddress + `
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
readOnlyPort: 0
healthzPort: 0
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: 1Mi, imagefs.available: 1Mi}
`

// join starts a kubelet on this machine, and containerd below it.
func join(ctx context.Context, t *testing.T, p *plane.Plane, dir string) {
	t.Helper()
	n := node{dir}
	for path, text := range map[string]string{
		filepath.Join(dir, "containerd.toml"): strings.ReplaceAll(containerdConfig, "DIR", dir),
		filepath.Join(dir, "kubelet.yaml"):    kubeletConfig,
		"/etc/cni/net.d/10-pods.conflist":     cniConfig,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n.start(t, "containerd2.3", "--config", filepath.Join(dir, "containerd.toml"))
	// A kubelet ends if there is no containerd yet.
	waitFor(ctx, t, "containerd to listen", func() bool {
		c, err := net.Dial("unix", "/run/containerd/containerd.sock")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	n.start(t, "kubelet", "--config="+filepath.Join(dir, "kubelet.yaml"), "--kubeconfig="+p.Kubeconfig, "--hostname-override="+nodeName,
		"--node-ip="+nodeAddress, "--root-dir="+filepath.Join(dir, "kubelet"), "--cert-dir="+filepath.Join(dir, "kubelet/pki"))
}

// start starts a program of the node, which ends with the machine. What it
// writes is shown if the test fails.
func (n node) start(t *testing.T, name string, args ...string) {
	t.Helper()
	path := filepath.Join(n.dir, name+".log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	bin, err := filepath.Abs(binaries)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if !t.Failed() {
			return
		}
		text, _ := os.ReadFile(path)
		lines := strings.Split(string(text), "\n")
		t.Logf("the last that %s wrote:\n%s", name, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	})
}
