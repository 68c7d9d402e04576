// Package cluster installs k0rdent in a Kubernetes cluster and removes it: the
// Secrets that the chart requires, the chart as a Helm release, the wait until the
// platform is ready, cloud credentials, upgrade and removal.
//
// Every function may be called again, after a success or after the process was
// killed at any instant: it checks the current state and does what is missing. If
// something does not start, the error names the pod, image, hook or component that
// failed, with its own message.
//
// The release belongs to Helm only until kcm, the controller that it installs,
// has started: kcm then creates the object Management/kcm with a copy of the
// release's values and has Flux upgrade the same release with them, with its webhooks
// and the Cluster API operator enabled. From then on, changes are made to Management,
// since a Helm upgrade with the first values would undo that second pass. So every
// function first checks whether Management exists.
//
// The release is applied on the client side, as by Helm 3, and its record says so.
// Every helm-controller, whether it contains Helm 3 or Helm 4, then upgrades it in
// the same way; see docs/decisions/0020-helm-4.md.
package cluster

import (
	"fmt"
	"io"
	"log/slog"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

const (
	// Namespace is k0rdent's namespace, in which kcm expects its Secrets.
	Namespace = chart.Namespace
	// ReleaseName is the Helm release's name.
	ReleaseName = chart.ReleaseName
)

// Status is the result for an object.
type Status string

// The values of a Status.
const (
	Created    Status = "created"
	Updated    Status = "updated"
	Unchanged  Status = "unchanged"
	Skipped    Status = "skipped"
	Installed  Status = "installed"  // the chart, for the first time
	Upgraded   Status = "upgraded"   // the release, or Management to another Release
	Configured Status = "configured" // Management got other values
	Removed    Status = "removed"
)

// Cluster holds the clients of a Kubernetes API server. It is safe for concurrent
// use.
type Cluster struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	mapper  meta.RESTMapper
	getter  *getter
}

// Helm and the Kubernetes client log to stderr, which is for people. What they log is
// either resolved, such as a watch that was restarted, or also returned as an error.
// Helm also writes to package log, which follows the default of slog. klog can only be
// configured before it is used.
func init() {
	silent := slog.New(slog.DiscardHandler)
	slog.SetDefault(silent)
	klog.SetSlogLogger(silent)
}

// Open returns the cluster of a kubeconfig file. It does not connect: WaitAPI does.
func Open(kubeconfig string) (*Cluster, error) {
	return open(clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig},
		&clientcmd.ConfigOverrides{}))
}

func open(loader clientcmd.ClientConfig) (*Cluster, error) {
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	// The server throttles requests itself (priority and fairness); the client's
	// default of 5 requests a second would delay an installation by minutes.
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	c := &Cluster{}
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	cached := memory.NewMemCacheClient(c.kube.Discovery())
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(cached)
	c.getter = &getter{config: config, loader: loader, discovery: cached, mapper: c.mapper}
	return c, nil
}

// getter provides the clients to Helm. Helm's own getter caches discovery in the home
// directory, to which this program must not write.
type getter struct {
	config    *rest.Config
	loader    clientcmd.ClientConfig
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.RESTMapper
}

func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.discovery, nil
}

func (g *getter) ToRESTMapper() (meta.RESTMapper, error) { return g.mapper, nil }

func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.loader }

// helm returns the configuration of Helm's actions. Helm's Init would link database
// drivers.
func (c *Cluster) helm() *action.Configuration {
	client := kube.New(c.getter)
	client.Namespace = Namespace
	cfg := action.NewConfiguration()
	cfg.RESTClientGetter = c.getter
	cfg.KubeClient = client
	cfg.Releases = storage.Init(driver.NewSecrets(c.kube.CoreV1().Secrets(Namespace)))
	cfg.HookOutputFunc = func(_, _, _ string) io.Writer { return io.Discard }
	return cfg
}
