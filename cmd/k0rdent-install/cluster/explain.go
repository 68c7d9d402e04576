package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of others that this package asks for. They are found by name at
// the server, in whatever version that serves, so no types are generated.
var (
	managementKind        = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "Management"}
	releaseKind           = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "Release"}
	providerTemplateKind  = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "ProviderTemplate"}
	clusterDeploymentKind = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "ClusterDeployment"}
	regionKind            = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "Region"}
	credentialKind        = schema.GroupKind{Group: "k0rdent.mirantis.com", Kind: "Credential"}
	crdKind               = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
	helmReleaseKind       = schema.GroupKind{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease"}
	helmChartKind         = schema.GroupKind{Group: "source.toolkit.fluxcd.io", Kind: "HelmChart"}
	helmRepositoryKind    = schema.GroupKind{Group: "source.toolkit.fluxcd.io", Kind: "HelmRepository"}
)

// conditioned lists the kinds whose Ready condition says why something does
// not come up, how surely it is the cause, and which controller sets it.
var conditioned = []struct {
	kind       schema.GroupKind
	weight     int
	controller string
}{
	{helmRepositoryKind, failed, "source-controller"},
	{helmChartKind, failed, "source-controller"},
	{helmReleaseKind, blocked, "helm-controller"},
	{schema.GroupKind{Group: operatorGroup, Kind: "CoreProvider"}, blocked, operator},
	{schema.GroupKind{Group: operatorGroup, Kind: "BootstrapProvider"}, blocked, operator},
	{schema.GroupKind{Group: operatorGroup, Kind: "ControlPlaneProvider"}, blocked, operator},
	{schema.GroupKind{Group: operatorGroup, Kind: "InfrastructureProvider"}, blocked, operator},
	{schema.GroupKind{Group: operatorGroup, Kind: "IPAMProvider"}, blocked, operator},
}

const (
	operator      = "the Cluster API operator"
	operatorGroup = "operator.cluster.x-k8s.io"
)

// neglect is how long an object may be left without a status by its controller.
const neglect = 2 * time.Minute

// StuckError says that a wait has ended in vain, and what stands in the way.
type StuckError struct {
	What     string        // what was waited for, such as "node a is not ready"
	After    time.Duration // how long it was waited for
	Problems []Problem     // the most likely cause first; may be empty
}

// maxTold is how many problems an error names.
const maxTold = 5

func (e *StuckError) Error() string {
	s := fmt.Sprintf("%s (after %v)", e.What, e.After)
	before := ": "
	for _, p := range e.Problems[:min(maxTold, len(e.Problems))] {
		s += before + p.String()
		before = "; "
	}
	if more := len(e.Problems) - maxTold; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}

// stuck explains, after ctx has ended, why a wait was in vain.
func (c *Cluster) stuck(ctx context.Context, what string, start time.Time) error {
	ctx, cancel := later(ctx)
	defer cancel()
	return &StuckError{What: what, After: since(start), Problems: c.Explain(ctx)}
}

// Explain returns what is stuck, the most likely cause first: nodes that are not
// ready, pods whose images cannot be pulled, that fail, find no node or are not
// ready, in all namespaces, and what Flux, the Cluster API operator and kcm say of
// themselves. What may just need time comes last, and before it pods that the
// platform does not depend on. It is empty where everything is well. What it
// cannot ask for, it leaves out, but for the API server itself.
func (c *Cluster) Explain(ctx context.Context) []Problem {
	if err := c.readyz(ctx); err != nil && ctx.Err() == nil {
		return []Problem{{Object: "api server", Message: oneLine(err.Error()), weight: pull}}
	}
	meta.MaybeResetRESTMapper(c.mapper) // once for all kinds that may be new
	problems := c.nodeProblems(ctx)
	problems = append(problems, c.podProblems(ctx, metav1.NamespaceAll)...)
	for _, k := range conditioned {
		problems = append(problems, c.conditionProblems(ctx, k.kind, k.weight, k.controller)...)
	}
	problems = append(problems, c.platformProblems(ctx)...)
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(b.rank(), a.rank()) })
	return problems
}

func (c *Cluster) nodeProblems(ctx context.Context) []Problem {
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	if len(nodes.Items) == 0 {
		return []Problem{{Object: "nodes", Message: "none has registered", weight: failed}}
	}
	var problems []Problem
	for _, node := range nodes.Items {
		for _, cond := range node.Status.Conditions {
			bad := corev1.ConditionTrue // of the conditions that tell of pressure
			if cond.Type == corev1.NodeReady {
				if bad = corev1.ConditionFalse; cond.Status == corev1.ConditionUnknown {
					bad = cond.Status
				}
			}
			if cond.Status == bad {
				problems = append(problems, Problem{Object: "node " + node.Name, Reason: cmp.Or(cond.Reason, string(cond.Type)), Message: oneLine(cond.Message), weight: blocked})
			}
		}
	}
	return problems
}

// podProblems looks at the pods of a namespace, or of all.
func (c *Cluster) podProblems(ctx context.Context, namespace string) []Problem {
	pods, err := c.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	nodes := c.nodeStates(ctx)
	ours := c.platformNamespaces(ctx)
	var problems []Problem
	for i := range pods.Items {
		pod := &pods.Items[i]
		p, found := podProblem(pod)
		switch lost := nodes.lost(pod); {
		case lost != "":
			p = Problem{Object: p.Object, Reason: "on a lost node", Message: lost, weight: blocked}
		case found:
			c.detail(ctx, pod, &p)
		default:
			var slow bool
			if p, slow = slowPod(pod); !slow {
				continue
			}
			if warning := oneLine(c.warning(ctx, pod)); warning != "" {
				p.Message, p.weight = warning, blocked
			}
		}
		p.aside = !ours[pod.Namespace] && !essential(pod)
		problems = append(problems, p)
	}
	return append(problems, c.podless(ctx, namespace)...)
}

// podless returns the Deployments that cannot make pods at all.
func (c *Cluster) podless(ctx context.Context, namespace string) []Problem {
	list, err := c.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var problems []Problem
	for _, d := range list.Items {
		for _, cond := range d.Status.Conditions {
			if cond.Type == appsv1.DeploymentReplicaFailure && cond.Status == corev1.ConditionTrue {
				problems = append(problems, Problem{Object: "deployment " + d.Namespace + "/" + d.Name, Reason: cond.Reason, Message: oneLine(cond.Message), weight: blocked})
			}
		}
	}
	return problems
}

// look returns the objects of a kind in all namespaces; none where they cannot
// be read.
func (c *Cluster) look(ctx context.Context, kind schema.GroupKind) []unstructured.Unstructured {
	client, err := c.known(kind, metav1.NamespaceAll)
	if err != nil {
		return nil
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	return list.Items
}

// conditionProblems returns the objects of a kind whose Ready condition is
// there and not True, and those that their controller has left alone.
func (c *Cluster) conditionProblems(ctx context.Context, kind schema.GroupKind, weight int, controller string) []Problem {
	var problems []Problem
	for _, u := range c.look(ctx, kind) {
		if age := time.Since(u.GetCreationTimestamp().Time); neglected(&u) && age > neglect {
			message := fmt.Sprintf("%s has done nothing about it for %v", controller, age.Round(time.Second))
			problems = append(problems, Problem{Object: objectName(&u), Reason: "no status", Message: message, weight: failed})
			continue
		}
		cond := condition(&u, "Ready")
		if cond.Status == "" || cond.Status == string(metav1.ConditionTrue) {
			continue
		}
		p := Problem{Object: objectName(&u), Reason: cond.Reason, Message: oneLine(cond.Message), weight: weight}
		if strings.HasPrefix(cond.Reason, "Dependency") || cond.Reason == "Progressing" {
			p.weight = consequence
		}
		problems = append(problems, p)
	}
	return problems
}

// neglected reports whether no controller has looked at an object. Flux's kinds
// begin with an observed generation of -1. source-controller has nothing to do
// for a HelmRepository of type oci, which never gets a status.
func neglected(u *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	return observed <= 0 && len(conditions) == 0 && field(u, "spec", "type") != "oci"
}

// platformProblems is what kcm says: of Releases, templates and components.
func (c *Cluster) platformProblems(ctx context.Context) []Problem {
	var problems []Problem
	for _, u := range c.look(ctx, providerTemplateKind) {
		valid, _, _ := unstructured.NestedBool(u.Object, "status", "valid")
		message, _, _ := unstructured.NestedString(u.Object, "status", "validationError")
		if !valid && message != "" {
			problems = append(problems, Problem{Object: objectName(&u), Reason: "invalid", Message: oneLine(message), weight: blocked})
		}
	}
	for _, u := range c.look(ctx, releaseKind) {
		for _, kind := range []string{"TemplatesCreated", "TemplatesValid"} {
			if cond := condition(&u, kind); cond.Status == string(metav1.ConditionFalse) {
				problems = append(problems, Problem{Object: objectName(&u), Reason: kind + "=False", Message: oneLine(cond.Message), weight: consequence})
			}
		}
	}
	state, err := c.State(ctx)
	if err != nil || state == nil {
		return problems
	}
	for _, component := range state.Components {
		if !component.Ready {
			problems = append(problems, Problem{Object: "component " + component.Name, Message: oneLine(component.Error), weight: consequence})
		}
	}
	return problems
}

// cond is a condition of an object's status.
type cond struct {
	Status, Reason, Message string
	ObservedGeneration      int64
}

// condition returns an object's condition of a type, or a zero one.
func condition(u *unstructured.Unstructured, kind string) cond {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok || m["type"] != kind {
			continue
		}
		var c cond
		c.Status, _ = m["status"].(string)
		c.Reason, _ = m["reason"].(string)
		c.Message, _ = m["message"].(string)
		c.ObservedGeneration, _ = m["observedGeneration"].(int64)
		return c
	}
	return cond{}
}

// objectName names an object the way kubectl takes it, in words.
func objectName(u *unstructured.Unstructured) string {
	name := strings.ToLower(u.GetKind()) + " "
	if u.GetNamespace() != "" {
		name += u.GetNamespace() + "/"
	}
	return name + u.GetName()
}
