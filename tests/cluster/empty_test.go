package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
)

// empty removes everything of a test from the cluster: objects of the chart's
// kinds without asking their finalizers, and what is in the namespace. The
// namespace itself stays, as deleting one takes seconds.
func (s *site) empty(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	now, background := int64(0), metav1.DeletePropagationBackground
	o := metav1.DeleteOptions{GracePeriodSeconds: &now, PropagationPolicy: &background}
	every := metav1.ListOptions{}
	kube := s.plane.Client
	var errs []error
	errs = append(errs,
		kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().DeleteCollection(ctx, o, every),
		kube.AppsV1().Deployments(cluster.Namespace).DeleteCollection(ctx, o, every),
		kube.BatchV1().Jobs(cluster.Namespace).DeleteCollection(ctx, o, every),
		kube.CoreV1().Pods(cluster.Namespace).DeleteCollection(ctx, o, every),
		kube.CoreV1().Secrets(cluster.Namespace).DeleteCollection(ctx, o, every),
		kube.CoreV1().Events(cluster.Namespace).DeleteCollection(ctx, o, every),
		kube.CoordinationV1().Leases(cluster.Namespace).DeleteCollection(ctx, o, every))
	services, err := kube.CoreV1().Services(cluster.Namespace).List(ctx, every)
	errs = append(errs, err)
	for _, service := range services.Items {
		errs = append(errs, kube.CoreV1().Services(cluster.Namespace).Delete(ctx, service.Name, o))
	}
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	s.objectsOfKinds(ctx, t)
}

// objectsOfKinds deletes the objects of the chart's kinds. The kinds stay: to
// delete one takes the API server five seconds, and Helm takes over those that
// an installation before has left.
func (s *site) objectsOfKinds(ctx context.Context, t *testing.T) {
	list, err := s.objects.Resource(crds).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	for _, crd := range list.Items {
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		version := versions[0].(map[string]any)["name"].(string)
		plural, _, _ := strings.Cut(crd.GetName(), ".")
		r := schema.GroupVersionResource{Group: group, Version: version, Resource: plural}
		objects, err := s.objects.Resource(r).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue // the kind is so new that it is not served yet
		}
		if err != nil {
			t.Error(err)
			continue
		}
		for _, u := range objects.Items {
			client := s.objects.Resource(r).Namespace(u.GetNamespace())
			if len(u.GetFinalizers()) > 0 {
				u.SetFinalizers(nil)
				if _, err := client.Update(ctx, &u, metav1.UpdateOptions{}); err != nil {
					t.Error(err)
				}
			}
			if err := client.Delete(ctx, u.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		}
	}
}
