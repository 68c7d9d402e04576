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

// Kinds of other projects that this package reads, in whatever version the server
// prefers, so that no generated types are needed.
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

// conditioned lists the kinds whose Ready condition has a reason why something does
// not start, how likely that is the cause, and which controller sets it.
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

// noStatusAfter is how long an object may have no status before its controller is
// reported.
const noStatusAfter = 2 * time.Minute

// StuckError means that a wait timed out.
type StuckError struct {
	What     string        // what is not ready, such as "node a is not ready"
	After    time.Duration // how long the wait took
	Problems []Problem     // the most likely cause first; may be empty
}

// maxProblems is the number of problems that an error lists.
const maxProblems = 5

func (e *StuckError) Error() string {
	s := fmt.Sprintf("%s (after %v)", e.What, e.After)
	before := ": "
	for _, p := range e.Problems[:min(maxProblems, len(e.Problems))] {
		s += before + p.String()
		before = "; "
	}
	if more := len(e.Problems) - maxProblems; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}

// stuck returns the error for a wait that ended with ctx.
func (c *Cluster) stuck(ctx context.Context, what string, start time.Time) error {
	ctx, cancel := later(ctx)
	defer cancel()
	return &StuckError{What: what, After: since(start), Problems: c.Explain(ctx)}
}

// Explain returns what keeps the cluster from becoming ready, the most likely cause
// first: nodes that are not ready, pods in all namespaces whose images cannot be
// pulled, that fail, cannot be scheduled or are not ready, and what Flux, the Cluster
// API operator and kcm report. Pods that the platform does not depend on come next to
// last, and what may only need time comes last. It skips what cannot be read, except
// for the API server itself.
func (c *Cluster) Explain(ctx context.Context) []Problem {
	if err := c.readyz(ctx); err != nil && ctx.Err() == nil {
		return []Problem{{Object: "api server", Message: oneLine(err.Error()), weight: pull}}
	}
	meta.MaybeResetRESTMapper(c.mapper) // once for all kinds that may be new
	problems := c.nodeProblems(ctx)
	problems = append(problems, c.podProblems(ctx)...)
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
			bad := corev1.ConditionTrue // for conditions that report pressure
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

// podProblems returns the problems of pods, and of Deployments that cannot create any.
func (c *Cluster) podProblems(ctx context.Context) []Problem {
	pods, err := c.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	nodes := c.nodesReady(ctx)
	ours := c.platformNamespaces(ctx)
	var problems []Problem
	for i := range pods.Items {
		pod := &pods.Items[i]
		p, found := Problem{Object: podName(pod), Reason: "on a lost node", Message: lost(pod, nodes), weight: blocked}, true
		if p.Message == "" {
			p, found = c.explainPod(ctx, pod)
		}
		if !found {
			continue
		}
		p.unrelated = !ours[pod.Namespace] && !essential(pod)
		problems = append(problems, p)
	}
	return append(problems, c.deploymentProblems(ctx)...)
}

// deploymentProblems returns the Deployments that cannot create pods.
func (c *Cluster) deploymentProblems(ctx context.Context) []Problem {
	list, err := c.kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
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

// tryList returns the objects of a kind in all namespaces, or nil if they cannot be
// read.
func (c *Cluster) tryList(ctx context.Context, kind schema.GroupKind) []unstructured.Unstructured {
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

// conditionProblems returns the objects of a kind whose Ready condition is set and not
// True, and those for which their controller has not set a status.
func (c *Cluster) conditionProblems(ctx context.Context, kind schema.GroupKind, weight int, controller string) []Problem {
	var problems []Problem
	for _, u := range c.tryList(ctx, kind) {
		if age := time.Since(u.GetCreationTimestamp().Time); noStatus(&u) && age > noStatusAfter {
			message := fmt.Sprintf("%s has not processed it for %v", controller, age.Round(time.Second))
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

// noStatus reports whether no controller has processed an object. Flux's kinds start
// with an observed generation of -1. A HelmRepository of type oci never gets a status.
func noStatus(u *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	return observed <= 0 && len(conditions) == 0 && field(u, "spec", "type") != "oci"
}

// platformProblems returns what kcm reports about Releases, templates and components.
func (c *Cluster) platformProblems(ctx context.Context) []Problem {
	var problems []Problem
	for _, u := range c.tryList(ctx, providerTemplateKind) {
		valid, _, _ := unstructured.NestedBool(u.Object, "status", "valid")
		message, _, _ := unstructured.NestedString(u.Object, "status", "validationError")
		if !valid && message != "" {
			problems = append(problems, Problem{Object: objectName(&u), Reason: "invalid", Message: oneLine(message), weight: blocked})
		}
	}
	for _, u := range c.tryList(ctx, releaseKind) {
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

// condition returns an object's condition of a type, or the zero value.
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

// objectName returns the kind and name of an object, as arguments of kubectl.
func objectName(u *unstructured.Unstructured) string {
	name := strings.ToLower(u.GetKind()) + " "
	if u.GetNamespace() != "" {
		name += u.GetNamespace() + "/"
	}
	return name + u.GetName()
}
