package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"k0rdent-airgap/cmd/k0rdent-install/chart"
)

// componentLabel marks what kcm backs up and copies along with a Credential.
var componentLabel = map[string]string{"k0rdent.mirantis.com/component": "kcm"}

// Credential is a login to a cloud: AWS, Azure or OpenStack. None of them
// prints its secrets.
type Credential interface {
	fmt.Stringer
	// objects returns the Secret, and the object of the cloud's provider that
	// refers to it, or nil where the Secret is referred to directly.
	objects() (Secret, *unstructured.Unstructured, error)
	// name and description are those of the Credential object.
	name() string
	description() string
}

// AWS is an access key.
type AWS struct {
	Name, Region                               string
	AccessKeyID, SecretAccessKey, SessionToken string
}

// Azure is a service principal.
type Azure struct {
	Name, SubscriptionID             string
	ClientID, ClientSecret, TenantID string
}

// OpenStack is an application credential, or a user with a project.
type OpenStack struct {
	Name, AuthURL, Region                                string
	ApplicationCredentialID, ApplicationCredentialSecret string
	Username, Password, ProjectName, DomainName          string
}

func (c AWS) String() string         { return "credential " + c.Name }
func (c AWS) GoString() string       { return c.String() }
func (c AWS) name() string           { return c.Name }
func (c AWS) description() string    { return described("AWS", "region", c.Region) }
func (c Azure) String() string       { return "credential " + c.Name }
func (c Azure) GoString() string     { return c.String() }
func (c Azure) name() string         { return c.Name }
func (c Azure) description() string  { return described("Azure", "subscription", c.SubscriptionID) }
func (c OpenStack) String() string   { return "credential " + c.Name }
func (c OpenStack) GoString() string { return c.String() }
func (c OpenStack) name() string     { return c.Name }
func (c OpenStack) description() string {
	return described("OpenStack", "region", c.Region)
}

// described keeps what a ClusterDeployment asks for again, and what no object
// of the provider has a place for, where a person finds it.
func described(cloud, what, value string) string {
	if value == "" {
		return cloud
	}
	return fmt.Sprintf("%s, %s %s", cloud, what, value)
}

func (c AWS) objects() (Secret, *unstructured.Unstructured, error) {
	s := Secret{Name: c.Name + "-secret", Type: corev1.SecretTypeOpaque, Labels: componentLabel, Data: map[string][]byte{
		"AccessKeyID": []byte(c.AccessKeyID), "SecretAccessKey": []byte(c.SecretAccessKey), "SessionToken": []byte(c.SessionToken),
	}}
	u := object("infrastructure.cluster.x-k8s.io/v1beta2", "AWSClusterStaticIdentity", "", c.Name+"-identity")
	u.Object["spec"] = map[string]any{"secretRef": s.Name, "allowedNamespaces": map[string]any{}}
	return s, u, nil
}

func (c Azure) objects() (Secret, *unstructured.Unstructured, error) {
	// kcm looks for the secret under the identity's name with this ending when
	// it hands the login on to a child cluster.
	s := Secret{Name: c.Name + "-identity-secret", Type: corev1.SecretTypeOpaque, Labels: componentLabel, Data: map[string][]byte{
		"clientSecret": []byte(c.ClientSecret),
	}}
	u := object("infrastructure.cluster.x-k8s.io/v1beta1", "AzureClusterIdentity", Namespace, c.Name+"-identity")
	u.Object["spec"] = map[string]any{
		"type": "ServicePrincipal", "tenantID": c.TenantID, "clientID": c.ClientID,
		"clientSecret":      map[string]any{"name": s.Name, "namespace": Namespace},
		"allowedNamespaces": map[string]any{},
	}
	return s, u, nil
}

func (c OpenStack) objects() (Secret, *unstructured.Unstructured, error) {
	auth := map[string]any{"auth_url": c.AuthURL}
	cloud := map[string]any{"auth": auth, "interface": "public", "identity_api_version": 3}
	if c.Region != "" {
		cloud["region_name"] = c.Region
	}
	if c.ApplicationCredentialID != "" {
		cloud["auth_type"] = "v3applicationcredential"
		auth["application_credential_id"] = c.ApplicationCredentialID
		auth["application_credential_secret"] = c.ApplicationCredentialSecret
	} else {
		cloud["auth_type"] = "v3password"
		auth["username"], auth["password"], auth["project_name"] = c.Username, c.Password, c.ProjectName
		auth["user_domain_name"], auth["project_domain_name"] = c.DomainName, c.DomainName
	}
	text, err := yaml.Marshal(map[string]any{"clouds": map[string]any{"openstack": cloud}})
	if err != nil {
		return Secret{}, nil, err
	}
	return Secret{Name: c.Name + "-config", Type: corev1.SecretTypeOpaque, Labels: componentLabel, Data: map[string][]byte{"clouds.yaml": text}}, nil, nil
}

// object is a new object with the labels that kcm asks for.
func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetLabels(map[string]string{managerLabel: manager, "k0rdent.mirantis.com/component": "kcm"})
	return u
}

// EnsureCredential creates the Secret, the identity and the Credential of a
// login, or updates those that differ. If kcm's kind Credential or the
// provider's kind is not there, nothing is created: the status is Skipped and
// the note says which kind is missing.
func (c *Cluster) EnsureCredential(ctx context.Context, cred Credential) (status Status, note string, err error) {
	secret, identity, err := cred.objects()
	if err != nil {
		return "", "", fmt.Errorf("%v: %w", cred, err)
	}
	wanted := []*unstructured.Unstructured{credentialObject(cred, secret, identity)}
	if identity != nil {
		wanted = append([]*unstructured.Unstructured{identity}, wanted...)
	}
	for _, u := range wanted {
		if _, err := c.client(u); absent(err) {
			return Skipped, missing(u), nil
		} else if err != nil {
			return "", "", fmt.Errorf("%v: %w", cred, err)
		}
	}
	status, err = c.EnsureSecret(ctx, secret)
	if err != nil {
		return "", "", fmt.Errorf("%v: %w", cred, err)
	}
	for _, u := range wanted {
		became, err := c.ensure(ctx, u)
		if err != nil {
			return "", "", fmt.Errorf("%v: %s: %w", cred, objectName(u), err)
		}
		if status == Unchanged || became == Created {
			status = became
		}
	}
	return status, "", nil
}

// missing returns why a credential cannot be made.
func missing(u *unstructured.Unstructured) string {
	if u.GetKind() == credentialKind.Kind {
		return "k0rdent is not installed: there is no kind Credential"
	}
	return fmt.Sprintf("the cluster has no kind %s (%s): its provider is not enabled in Management, or not ready yet", u.GetKind(), u.GetAPIVersion())
}

func credentialObject(cred Credential, secret Secret, identity *unstructured.Unstructured) *unstructured.Unstructured {
	ref := map[string]any{"apiVersion": "v1", "kind": "Secret", "name": secret.Name, "namespace": Namespace}
	if identity != nil {
		ref = map[string]any{"apiVersion": identity.GetAPIVersion(), "kind": identity.GetKind(), "name": identity.GetName()}
		if identity.GetNamespace() != "" {
			ref["namespace"] = identity.GetNamespace()
		}
	}
	u := object(credentialKind.Group+"/v1beta1", credentialKind.Kind, Namespace, cred.name())
	u.Object["spec"] = map[string]any{"description": cred.description(), "identityRef": ref}
	return u
}

// client returns a client for an object's kind in the version that it names.
func (c *Cluster) client(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := u.GroupVersionKind()
	if _, err := c.resource(kind.GroupKind(), u.GetNamespace()); err != nil {
		return nil, err
	}
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if u.GetNamespace() == "" {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(u.GetNamespace()), nil
}

// ensure creates an object or makes its spec and labels hold what want has.
func (c *Cluster) ensure(ctx context.Context, want *unstructured.Unstructured) (status Status, err error) {
	err = patiently(ctx, func() error {
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
		status = Unchanged
		if fits(have, want) {
			return nil
		}
		status = Updated
		spec, _, _ := unstructured.NestedMap(have.Object, "spec")
		wanted, _, _ := unstructured.NestedMap(want.Object, "spec")
		have.Object["spec"] = chart.Merge(spec, wanted)
		labels := have.GetLabels()
		for k, v := range want.GetLabels() {
			if labels == nil {
				labels = make(map[string]string)
			}
			labels[k] = v
		}
		have.SetLabels(labels)
		_, err = client.Update(ctx, have, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
	return status, err
}

// fits reports whether an object holds what is wanted, whatever else it holds.
func fits(have, want *unstructured.Unstructured) bool {
	labels := have.GetLabels()
	for k, v := range want.GetLabels() {
		if labels[k] != v {
			return false
		}
	}
	spec, _, _ := unstructured.NestedMap(have.Object, "spec")
	wanted, _, _ := unstructured.NestedMap(want.Object, "spec")
	return len(changes(spec, wanted)) == 0
}
