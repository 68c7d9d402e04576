package cluster

import (
	"context"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

// componentLabel marks objects that kcm backs up and copies with a Credential.
const componentLabel = "k0rdent.mirantis.com/component"

// object returns a new object with the labels that kcm requires.
func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetLabels(labels())
	return u
}

func labels() map[string]string {
	return map[string]string{managerLabel: manager, componentLabel: "kcm"}
}

// EnsureCredential creates the Secrets, the identity, the template and the Credential
// of cred, or updates those that differ. If kcm's kind Credential or a kind of the
// provider does not exist, it creates nothing: the status is Skipped, and the note names
// the missing kind.
func (c *Cluster) EnsureCredential(ctx context.Context, cred Credential) (status Status, note string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%v: %w", cred, err)
		}
	}()
	l := cred.login()
	var objects []*unstructured.Unstructured
	if l.identity != nil {
		objects = append(objects, c.served(l.identity, l.versions))
	}
	objects = append(objects, credentialObject(l))
	needed := objects
	if l.needs != nil {
		needed = append([]*unstructured.Unstructured{l.needs}, objects...)
	}
	for _, u := range needed {
		if _, err := c.client(u); absent(err) {
			return Skipped, missing(u), nil
		} else if err != nil {
			return "", "", err
		}
	}
	status = Unchanged
	add := func(changed Status, err error) error {
		if status == Unchanged || changed == Created {
			status = changed
		}
		return err
	}
	for _, s := range l.secrets {
		if err := add(c.EnsureSecret(ctx, s)); err != nil {
			return "", "", err
		}
	}
	if err := add(c.ensureTemplate(ctx, l.reference().GetName()+"-resource-template", l.template)); err != nil {
		return "", "", err
	}
	for _, u := range objects {
		if err := add(c.ensure(ctx, u)); err != nil {
			return "", "", fmt.Errorf("%s: %w", objectName(u), err)
		}
	}
	return status, "", nil
}

// served returns an object in the first of the versions of its kind that the cluster
// serves, or as it is if it serves none.
func (c *Cluster) served(u *unstructured.Unstructured, versions []string) *unstructured.Unstructured {
	before := u.GroupVersionKind()
	for _, v := range versions {
		u.SetGroupVersionKind(before.GroupKind().WithVersion(v))
		if _, err := c.client(u); err == nil {
			return u
		}
	}
	u.SetGroupVersionKind(before)
	return u
}

// ensureTemplate creates or updates the ConfigMap from which Sveltos creates the
// objects of a credential in a child cluster. kcm requires one for each credential, even
// if empty. It leaves one that an operator wrote alone.
func (c *Cluster) ensureTemplate(ctx context.Context, name, text string) (status Status, err error) {
	data := map[string]string{}
	if text != "" {
		data["resources.yaml"] = text
	}
	configs := c.kube.CoreV1().ConfigMaps(Namespace)
	err = retry(ctx, func() error {
		have, err := configs.Get(ctx, name, metav1.GetOptions{})
		switch {
		case absent(err):
			status = Created
			_, err = configs.Create(ctx, &corev1.ConfigMap{Data: data, ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: labels(), Annotations: map[string]string{"projectsveltos.io/template": "true"},
			}}, metav1.CreateOptions{})
			return err
		case err != nil:
			return err
		}
		status = Unchanged
		if have.Labels[managerLabel] != manager || have.Data["resources.yaml"] == text {
			return nil
		}
		status, have.Data = Updated, data
		_, err = configs.Update(ctx, have, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		err = fmt.Errorf("config map %s/%s: %w", Namespace, name, err)
	}
	return status, err
}

// missing returns why a credential cannot be created.
func missing(u *unstructured.Unstructured) string {
	if u.GetKind() == credentialKind.Kind {
		return "k0rdent is not installed: the cluster has no kind Credential"
	}
	return fmt.Sprintf("the cluster has no kind %s (%s): its provider is not enabled in Management, or not ready yet", u.GetKind(), u.GetAPIVersion())
}

func credentialObject(l login) *unstructured.Unstructured {
	r := l.reference()
	ref := map[string]any{"apiVersion": r.GetAPIVersion(), "kind": r.GetKind(), "name": r.GetName()}
	// A template's references have the namespace of this one.
	if namespace := r.GetNamespace(); namespace != "" || l.inNamespace {
		ref["namespace"] = Namespace
	}
	u := object(credentialKind.Group+"/v1beta1", credentialKind.Kind, Namespace, l.name)
	u.Object["spec"] = map[string]any{"description": l.description, "identityRef": ref}
	return u
}

// client returns a client for an object's kind and version.
func (c *Cluster) client(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := u.GroupVersionKind()
	return c.resource(kind.GroupKind(), u.GetNamespace(), kind.Version)
}

// ensure creates an object, or sets the fields of its spec and the labels that want
// has.
func (c *Cluster) ensure(ctx context.Context, want *unstructured.Unstructured) (status Status, err error) {
	err = retry(ctx, func() error {
		client, err := c.client(want)
		if err != nil {
			return err
		}
		have, err := client.Get(ctx, want.GetName(), metav1.GetOptions{})
		if absent(err) {
			status = Created
			_, err = client.Create(ctx, want, metav1.CreateOptions{FieldManager: manager})
			return err
		}
		if err != nil {
			return err
		}
		changed := have.DeepCopy()
		changed.SetLabels(merged(changed.GetLabels(), want.GetLabels()))
		spec, _, _ := unstructured.NestedMap(have.Object, "spec")
		wanted, _, _ := unstructured.NestedMap(want.Object, "spec")
		changed.Object["spec"] = chart.Merge(spec, wanted)
		if reflect.DeepEqual(have, changed) {
			status = Unchanged
			return nil
		}
		status = Updated
		_, err = client.Update(ctx, changed, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
	return status, err
}

// merged returns into with the entries of from.
func merged[V any](into, from map[string]V) map[string]V {
	if into == nil {
		into = make(map[string]V)
	}
	maps.Copy(into, from)
	return into
}
