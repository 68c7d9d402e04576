// Package plane runs a real Kubernetes control plane on loopback for tests:
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
//
// Its nodes are either kwok's (Fake), which stands in for the machine below a
// node: it reports pods as running, completed, or failing, by what their images
// are called (stages.yaml). Or they are real, with a kubelet of the caller's.
//
// Everything else is as in production. What it starts is found in .cache/bin,
// where tests/setup.sh puts it, writes below one directory, and ends with Stop
// or with the process that called Start, however that ends.
package plane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
)

// Node is the name of the node that kwok keeps.
const Node = "fake"

// token is an administrator's.
const token = "an-administrator"

//go:embed stages.yaml
var stages string

// Plane is a control plane that runs.
type Plane struct {
	Kubeconfig string // path of an administrator's
	Config     *rest.Config
	Client     kubernetes.Interface

	dir, bin string
	running  []*exec.Cmd
}

// Missing returns, in words, what must be built before a plane can start, or "".
func Missing(bin string) string {
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"} {
		if _, err := exec.LookPath(filepath.Join(bin, name)); err != nil {
			return fmt.Sprintf("no %s in %s (tests/setup.sh brings it)", name, bin)
		}
	}
	return ""
}

// Start starts a control plane from the programs in bin, keeps what it writes
// in dir, and waits until its API answers. It has no nodes. The calling
// goroutine must be locked to a thread that lives as long as the plane is to:
// Linux ties a child to the thread that started it.
func Start(ctx context.Context, bin, dir string) (*Plane, error) {
	p := &Plane{dir: dir, bin: bin, Kubeconfig: filepath.Join(dir, "admin.conf")}
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (p *Plane) start(ctx context.Context) error {
	ports, err := FreePorts(5)
	if err != nil {
		return err
	}
	if err := p.files(ports); err != nil {
		return err
	}
	local := func(i int) string { return "http://127.0.0.1:" + ports[i] }
	err = p.run("etcd", "--data-dir", p.path("etcd"), "--listen-client-urls", local(0), "--advertise-client-urls", local(0),
		"--listen-peer-urls", local(1), "--initial-advertise-peer-urls", local(1), "--initial-cluster", "default="+local(1), "--unsafe-no-fsync")
	if err != nil {
		return err
	}
	err = p.run("kube-apiserver", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+ports[2],
		"--etcd-servers="+local(0), "--tls-cert-file="+p.path("apiserver.crt"), "--tls-private-key-file="+p.path("apiserver.key"),
		"--service-account-key-file="+p.path("sa.key"), "--service-account-signing-key-file="+p.path("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--token-auth-file="+p.path("tokens.csv"),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
		"--disable-admission-plugins=ServiceAccount", "--kubelet-preferred-address-types=InternalIP")
	if err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	// kwok does not make a pod ready again that a late lease of its node made
	// unready, so a busy machine gets five minutes.
	for _, args := range [][]string{
		{"kube-controller-manager", "--node-monitor-grace-period=5m", "--kubeconfig=" + p.Kubeconfig, "--bind-address=127.0.0.1", "--secure-port=" + ports[3],
			"--leader-elect=false", "--service-account-private-key-file=" + p.path("sa.key"), "--root-ca-file=" + p.path("apiserver.crt")},
		{"kube-scheduler", "--kubeconfig=" + p.Kubeconfig, "--bind-address=127.0.0.1", "--secure-port=" + ports[4], "--leader-elect=false"},
	} {
		if err := p.run(args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Fake adds the node Node. kwok keeps it and all others that are made.
func (p *Plane) Fake(ctx context.Context) error {
	ports, err := FreePorts(1)
	if err != nil {
		return err
	}
	err = p.run("kwok", "--kubeconfig="+p.Kubeconfig, "--manage-all-nodes=true", "--server-address=127.0.0.1:"+ports[0],
		"--node-lease-duration-seconds=40", "--node-ip=127.0.0.1", "--node-port="+ports[0], "--config="+p.path("stages.yaml"))
	if err != nil {
		return err
	}
	_, err = p.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: Node}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // a plane that was started again
		return nil
	}
	return err
}

// path is a file of the plane's.
func (p *Plane) path(name string) string { return filepath.Join(p.dir, name) }

// files writes what the programs read.
func (p *Plane) files(ports []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	// The API server would make a certificate too, but a client that reads it while
	// it is written trusts nobody for minutes: client-go keeps what it has read.
	serving, servingKey, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"sa.key":        string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"apiserver.crt": string(serving),
		"apiserver.key": string(servingKey),
		"tokens.csv":    token + ",admin,1,system:masters\n",
		"pod.log":       podLog,
		"stages.yaml":   strings.ReplaceAll(stages, "POD_LOG", p.path("pod.log")),
		"admin.conf": fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: tests, cluster: {server: "https://127.0.0.1:%s", certificate-authority: %q}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: tests, context: {cluster: tests, user: admin}}]
current-context: tests
`, ports[2], p.path("apiserver.crt"), token),
	} {
		if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// podLog is what every container of the node has logged, in the format that a
// kubelet reads.
const podLog = `2026-01-02T03:04:05.000000000Z stdout F ► checking prerequisites
2026-01-02T03:04:06.000000000Z stderr F ✗ Kubernetes version v1.20.0 does not match >=1.33.0-0
`

// run starts a program, with its output in a file of its name.
func (p *Plane) run(name string, args ...string) error {
	log, err := os.Create(p.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.running = append(p.running, cmd)
	return nil
}

// connect waits until the API server says that it is ready.
func (p *Plane) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var last error
	for ctx.Err() == nil {
		if last = p.ask(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s\nkube-apiserver is not ready: %w", p.Log("kube-apiserver"), last)
}

func (p *Plane) ask(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	if p.Client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	p.Config = config
	_, err = p.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// Log returns the end of a program's output.
func (p *Plane) Log(name string) string {
	text, err := os.ReadFile(p.path(name + ".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Stop ends what was started, the last first.
func (p *Plane) Stop() {
	for i := len(p.running) - 1; i >= 0; i-- {
		_ = p.running[i].Process.Kill() // nothing of it is to be kept
	}
	for _, cmd := range p.running {
		_ = cmd.Wait()
	}
	p.running = nil
}

// FreePorts returns unused ports of the loopback interface. They are below those that Linux
// assigns by itself (ip_local_port_range), so that nothing else can take one before its
// program starts.
func FreePorts(n int) ([]string, error) {
	const first, last, tries = 10000, 19999, 1000
	var ports []string
	for range tries {
		port := strconv.Itoa(first + mathrand.IntN(last-first+1))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close() // all are held until all are known
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no free ports from %d to %d", first, last)
}
