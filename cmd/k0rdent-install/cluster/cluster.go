// Package cluster brings k0rdent into a Kubernetes cluster and out of it: what
// must be there before the chart, the chart as a Helm release, the wait until
// the platform is ready, cloud credentials, upgrade and removal.
//
// Every function may be called again, after a success or after the process was
// killed at any instant: it checks the current state and does what is missing.
// Where something does not come up, the error names the pod, image, hook or
// component that is in the way, in the words of the component that failed.
//
// The release belongs to Helm only until kcm, the controller that it installs,
// has started: kcm then creates the object Management/kcm with a copy of the
// release's values and lets Flux upgrade the same release with them, with its
// webhooks and the Cluster API operator switched on. From there on Management
// is what is changed, since a Helm upgrade with the first values would undo
// that second pass. Whether Management exists therefore decides everything.
//
// The release is applied on the client side, as Helm 3 does, and says so in its
// record. A helm-controller of either generation, that of Helm 3 and that of
// Helm 4, then upgrades it in the same way; see docs/decisions/0020-helm-4.md.
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
	// Namespace is where k0rdent lives. kcm expects its Secrets there.
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

// Cluster is a Kubernetes API server and the clients that speak to it. It is
// safe for use by several goroutines.
type Cluster struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	mapper  meta.RESTMapper
	getter  *getter
}

// Helm and Kubernetes' client have one log each for the whole program, on
// stderr, which is for people. What they have to say is either over, such as a
// watch that broke and was begun again, or comes back as an error. Helm also
// writes to package log, which follows the default of slog. klog may be set
// only before it is used.
func init() {
	silent := slog.New(slog.DiscardHandler)
	slog.SetDefault(silent)
	klog.SetSlogLogger(silent)
}

// Open reads a kubeconfig file. It does not connect: WaitAPI does.
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
	// The server does its own throttling (priority and fairness); the client's
	// default of 5 requests a second would stretch an install by minutes.
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

// getter hands the clients to Helm. Helm's own one keeps its discovery cache
// in the home directory, where a program that prepares a host has no business.
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

// helm returns what Helm's actions work with. It is put together here rather
// than by Helm's Init, which would link database drivers.
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
