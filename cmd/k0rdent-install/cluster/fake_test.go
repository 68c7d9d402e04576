package cluster

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	restfake "k8s.io/client-go/rest/fake"
	clienttesting "k8s.io/client-go/testing"
)

// kinds lists the kinds of the fake server, with their version and scope.
var kinds = []struct {
	kind    schema.GroupKind
	version string
	scope   meta.RESTScope
}{
	{managementKind, "v1beta1", meta.RESTScopeRoot},
	{releaseKind, "v1beta1", meta.RESTScopeRoot},
	{providerTemplateKind, "v1beta1", meta.RESTScopeRoot},
	{credentialKind, "v1beta1", meta.RESTScopeNamespace},
	{clusterDeploymentKind, "v1beta1", meta.RESTScopeNamespace},
	{helmReleaseKind, "v2", meta.RESTScopeNamespace},
	{helmChartKind, "v1", meta.RESTScopeNamespace},
	{helmRepositoryKind, "v1", meta.RESTScopeNamespace},
	{regionKind, "v1beta1", meta.RESTScopeRoot},
	{crdKind, "v1", meta.RESTScopeRoot},
	{schema.GroupKind{Group: "infrastructure.cluster.x-k8s.io", Kind: "AWSClusterStaticIdentity"}, "v1beta2", meta.RESTScopeRoot},
	{schema.GroupKind{Group: "infrastructure.cluster.x-k8s.io", Kind: "VSphereClusterIdentity"}, "v1beta2", meta.RESTScopeRoot},
}

// fake is an in-memory API server without admission and controllers: a test writes
// what those would. It works in a synctest bubble, in which waiting takes no time.
type fake struct {
	*Cluster
	t       *testing.T
	objects *dynamicfake.FakeDynamicClient
	api     *kubefake.Clientset
	readyz  string // why the server is not ready; "" if it is
}

func newFake(t *testing.T, objects ...runtime.Object) *fake {
	t.Helper()
	var versions []schema.GroupVersion
	for _, k := range kinds {
		versions = append(versions, k.kind.WithVersion(k.version).GroupVersion())
	}
	mapper := meta.NewDefaultRESTMapper(versions)
	lists := make(map[schema.GroupVersionResource]string)
	for _, k := range kinds {
		gvk := k.kind.WithVersion(k.version)
		mapper.Add(gvk, k.scope)
		resource, _ := meta.UnsafeGuessKindToResource(gvk)
		lists[resource] = k.kind.Kind + "List"
	}
	var typed, untyped []runtime.Object
	for _, o := range objects {
		if _, ok := o.(*unstructured.Unstructured); ok {
			untyped = append(untyped, o)
		} else {
			typed = append(typed, o)
		}
	}
	f := &fake{t: t}
	untypedAPI := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, untyped...)
	clients := kubefake.NewClientset(typed...)
	// Unlike a server, client-go's fake sends existing objects to every new watch, as
	// if they had just changed.
	silent := func(clienttesting.Action) (bool, watch.Interface, error) { return true, watch.NewRaceFreeFake(), nil }
	untypedAPI.PrependWatchReactor("*", silent)
	clients.PrependWatchReactor("*", silent)
	untypedAPI.PrependReactor("delete", "*", finalize(untypedAPI.Tracker()))
	f.objects, f.api = untypedAPI, clients
	f.Cluster = &Cluster{kube: probed{f.api, f}, dynamic: f.objects, mapper: mapper}
	return f
}

// finalize keeps an object until its finalizers are removed, as a server does and
// client-go's fake does not.
func finalize(tracker clienttesting.ObjectTracker) clienttesting.ReactionFunc {
	return func(a clienttesting.Action) (bool, runtime.Object, error) {
		d := a.(clienttesting.DeleteAction)
		o, err := tracker.Get(d.GetResource(), d.GetNamespace(), d.GetName())
		u, ok := o.(*unstructured.Unstructured)
		if err != nil || !ok || len(u.GetFinalizers()) == 0 {
			return false, nil, nil
		}
		now := metav1.Now()
		u = u.DeepCopy()
		u.SetDeletionTimestamp(&now)
		return true, nil, tracker.Update(d.GetResource(), u, d.GetNamespace())
	}
}

// failing makes the next requests of a kind fail, one for each error, before they
// have an effect.
func failing(f *clienttesting.Fake, verb, resource string, errs ...error) {
	f.Lock() // requests may be in progress
	defer f.Unlock()
	f.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if len(errs) == 0 {
			return false, nil, nil
		}
		err := errs[0]
		errs = errs[1:]
		return true, nil, err
	})
}

// probed is a clientset whose server answers /readyz, which client-go's fake does not.
type probed struct {
	kubernetes.Interface
	f *fake
}

func (p probed) Discovery() discovery.DiscoveryInterfaces {
	return discovered{p.Interface.Discovery(), p.f}
}

type discovered struct {
	discovery.DiscoveryInterfaces
	f *fake
}

func (d discovered) RESTClient() rest.Interface {
	return &restfake.RESTClient{
		NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion(),
		Client: restfake.CreateHTTPClient(func(*http.Request) (*http.Response, error) {
			code := http.StatusOK
			if d.f.readyz != "" {
				code = http.StatusInternalServerError
			}
			return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(d.f.readyz))}, nil
		}),
	}
}

// put creates or replaces an object, as a controller would.
func (f *fake) put(o runtime.Object) {
	f.t.Helper()
	var err error
	ctx := context.Background()
	switch o := o.(type) {
	case *unstructured.Unstructured:
		mapping, failure := f.mapper.RESTMapping(o.GroupVersionKind().GroupKind())
		if failure != nil {
			f.t.Fatal(failure)
		}
		client := f.objects.Resource(mapping.Resource).Namespace(o.GetNamespace())
		if _, err = client.Update(ctx, o, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
			_, err = client.Create(ctx, o, metav1.CreateOptions{})
		}
	case *appsv1.Deployment:
		_, err = f.api.AppsV1().Deployments(o.Namespace).Update(ctx, o, metav1.UpdateOptions{})
	case *corev1.Node:
		_, err = f.api.CoreV1().Nodes().Update(ctx, o, metav1.UpdateOptions{})
	case *coordinationv1.Lease:
		_, err = f.api.CoordinationV1().Leases(o.Namespace).Update(ctx, o, metav1.UpdateOptions{})
	default:
		f.t.Fatalf("put: %T", o)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// beat renews a Lease, as its controller would, until ctx ends.
func (f *fake) beat(ctx context.Context, namespace, name string) {
	for sleep(ctx, 2*time.Second) {
		now := metav1.NowMicro()
		f.put(aLease(namespace, name, now))
	}
}

func aLease(namespace, name string, renewed metav1.MicroTime) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("a pod"), RenewTime: &renewed},
	}
}

// anObject parses an object in YAML.
func anObject(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yamlObject([]byte(text), u); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return u
}

// with returns a copy of an object with strings replaced: old, new, …
func with(t *testing.T, u *unstructured.Unstructured, oldnew ...string) *unstructured.Unstructured {
	t.Helper()
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !bytes.Contains(raw, []byte(oldnew[i])) {
			t.Fatalf("no %s in %s", oldnew[i], raw)
		}
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON([]byte(strings.NewReplacer(oldnew...).Replace(string(raw)))); err != nil {
		t.Fatal(err)
	}
	return out
}

// aDeployment returns a Deployment of the chart, with all of its pods available.
func aDeployment(name string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, Generation: 1, Annotations: map[string]string{helmOwner: ReleaseName}},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(1))},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1},
	}
}

// aNode returns a node that is Ready.
func aNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.5"}},
	}}
}

// has reports whether one of the texts contains part.
func has(texts []string, part string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, part) })
}
