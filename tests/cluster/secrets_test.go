package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k0rdent-airgap/cmd/k0rdent-install/cluster"
	"k0rdent-airgap/lib/config"
)

func TestSecrets(t *testing.T) {
	s, ctx := open(t)
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	if status, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil || status != cluster.Unchanged {
		t.Errorf("namespace again: %s, %v, want it unchanged", status, err)
	}
	pull := func(password string) cluster.Secret {
		s, err := cluster.PullSecret("pull", "10.0.0.5:5000", "alice", password)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	// What pods pull with, and nothing more, in the place of a login.
	other := pull("wonder land")
	other.Name = "creds"
	tests := []struct {
		name   string
		secret cluster.Secret
		want   cluster.Status
	}{
		{"a CA", cluster.CASecret("ca", []byte("one")), cluster.Created},
		{"the same CA", cluster.CASecret("ca", []byte("one")), cluster.Unchanged},
		{"another CA", cluster.CASecret("ca", []byte("two")), cluster.Updated},
		{"a login", cluster.CredsSecret("creds", "alice", "wonder land"), cluster.Created},
		{"the same login", cluster.CredsSecret("creds", "alice", "wonder land"), cluster.Unchanged},
		{"another password", cluster.CredsSecret("creds", "alice", "looking glass"), cluster.Updated},
		{"another type", other, cluster.Updated},
		{"a pull secret", pull("wonder land"), cluster.Created},
		{"the same pull secret", pull("wonder land"), cluster.Unchanged},
		{"its password", pull("looking glass"), cluster.Updated},
	}
	for _, tt := range tests {
		status, err := s.EnsureSecret(ctx, tt.secret)
		if err != nil || status != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, status, err, tt.want)
		}
		have, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).Get(ctx, tt.secret.Name, metav1.GetOptions{})
		if err != nil || have.Type != tt.secret.Type {
			t.Errorf("%s: type %q, %v, want %q", tt.name, have.Type, err, tt.secret.Type)
		}
		for key, want := range tt.secret.Data {
			if string(have.Data[key]) != string(want) {
				t.Errorf("%s: %s = %q, want %q", tt.name, key, have.Data[key], want)
			}
		}
	}
	have, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).Get(ctx, "pull", metav1.GetOptions{})
	if want := `{"auths":{"10.0.0.5:5000":{"username":"alice","password":"looking glass","auth":"YWxpY2U6bG9va2luZyBnbGFzcw=="}}}`; err != nil || string(have.Data[corev1.DockerConfigJsonKey]) != want {
		t.Errorf("pull secret: %s, %v, want %s", have.Data[corev1.DockerConfigJsonKey], err, want)
	}
}

// TestSecretKeepsWhatOthersAdd holds for a key next to ours.
func TestSecretKeepsWhatOthersAdd(t *testing.T) {
	s, ctx := open(t)
	if _, err := s.EnsureNamespace(ctx, cluster.Namespace); err != nil {
		t.Fatal(err)
	}
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "ca"}, Data: map[string][]byte{"extra": []byte("kept")}}
	if _, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).Create(ctx, theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if status, err := s.EnsureSecret(ctx, cluster.CASecret("ca", []byte("one"))); err != nil || status != cluster.Updated {
		t.Fatalf("%q, %v, want it updated", status, err)
	}
	have, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).Get(ctx, "ca", metav1.GetOptions{})
	if err != nil || string(have.Data["extra"]) != "kept" || string(have.Data["ca.crt"]) != "one" {
		t.Errorf("data = %q, %v, want both keys", have.Data, err)
	}
}

var logins = []cluster.Credential{
	cluster.AWS{Name: "aws", Region: "eu-west-1", AccessKeyID: "AKIA1", SecretAccessKey: config.Hidden("one-secret")},
	cluster.Azure{Name: "azure", SubscriptionID: "sub", ClientID: "client", ClientSecret: config.Hidden("one-secret"), TenantID: "tenant"},
	cluster.OpenStack{Name: "stack", AuthURL: "https://stack.example:5000/v3", Region: "R1", Username: "alice", Password: config.Hidden("one-secret"), ProjectName: "p", DomainName: "d"},
	cluster.GCP{Name: "google", ServiceAccountKey: config.Hidden(`{"type": "service_account", "private_key": "one-secret"}`)},
	cluster.VSphere{Name: "vcenter", Username: "k0rdent@vsphere.local", Password: config.Hidden("one-secret"), Datacenter: "DC0"},
	cluster.Metal3{Name: "rack", Machines: []cluster.BMC{{Name: "node-1", Username: "admin", Password: config.Hidden("one-secret")}, {Name: "node-2", Username: "admin", Password: config.Hidden("two-secret")}}},
}

func TestCredentials(t *testing.T) {
	s, ctx := open(t)
	s.install(ctx, t, "1.2.3", quick(), cluster.Installed)
	for _, login := range []cluster.Credential{logins[0], logins[1], logins[4], logins[5]} {
		status, note, err := s.EnsureCredential(ctx, login)
		if err != nil || status != cluster.Skipped || !strings.Contains(note, "its provider is not enabled") {
			t.Errorf("%v without its provider: %q, %q, %v, want it skipped", login, status, note, err)
		}
		if list, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Opaque"}); err != nil || len(list.Items) > 0 {
			t.Errorf("%v was skipped and left %d secrets behind, %v", login, len(list.Items), err)
		}
	}
	vsphere := s.kind(ctx, t, "v1beta1", "VSphereClusterIdentity", "vsphereclusteridentities", "Cluster")
	s.kindOf(ctx, t, "metal3.io", "v1alpha1", "BareMetalHost", "baremetalhosts", "Namespaced")
	aws := s.kind(ctx, t, "v1beta2", "AWSClusterStaticIdentity", "awsclusterstaticidentities", "Cluster")
	azure := s.kind(ctx, t, "v1beta1", "AzureClusterIdentity", "azureclusteridentities", "Namespaced")

	s.ensure(ctx, t, cluster.Created)
	s.ensure(ctx, t, cluster.Unchanged)

	tests := []struct{ object, path, want string }{
		{s.get(ctx, t, aws, "", "aws-identity"), "spec.secretRef", "aws-identity-secret"},
		{s.get(ctx, t, azure, cluster.Namespace, "azure-identity"), "spec.clientSecret.name", "azure-identity-secret"},
		{s.get(ctx, t, vsphere, "", "vcenter-identity"), "spec.secretName", "vcenter-identity-secret"},
		{s.get(ctx, t, credentials, cluster.Namespace, "vcenter"), "spec.identityRef.apiVersion", "infrastructure.cluster.x-k8s.io/v1beta1"},
		{s.get(ctx, t, credentials, cluster.Namespace, "vcenter"), "spec.identityRef.namespace", cluster.Namespace},
		{s.get(ctx, t, credentials, cluster.Namespace, "google"), "spec.identityRef.name", "google-config"},
		{s.get(ctx, t, credentials, cluster.Namespace, "rack"), "spec.identityRef.name", "rack-config"},
		{s.get(ctx, t, credentials, cluster.Namespace, "aws"), "spec.identityRef.kind", "AWSClusterStaticIdentity"},
		{s.get(ctx, t, credentials, cluster.Namespace, "aws"), "spec.description", "AWS, region eu-west-1"},
		{s.get(ctx, t, credentials, cluster.Namespace, "azure"), "spec.identityRef.namespace", cluster.Namespace},
		{s.get(ctx, t, credentials, cluster.Namespace, "stack"), "spec.identityRef.name", "stack-config"},
	}
	for _, tt := range tests {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON([]byte(tt.object)); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := unstructured.NestedString(u.Object, strings.Split(tt.path, ".")...); got != tt.want {
			t.Errorf("%s %s: %s = %q, want %q", u.GetKind(), u.GetName(), tt.path, got, tt.want)
		}
	}
	s.secretHolds(ctx, t, "aws-identity-secret", "SecretAccessKey", "one-secret")
	s.secretHolds(ctx, t, "google-config", "credentials", "one-secret")
	s.secretHolds(ctx, t, "vcenter-identity-secret", "password", "one-secret")
	s.secretHolds(ctx, t, "node-2-bmc-secret", "password", "two-secret")
	// Sveltos looks for a template by the name of what each Credential refers to.
	for _, name := range []string{"aws-identity", "azure-identity", "google-config", "stack-config", "vcenter-identity", "rack-config"} {
		have, err := s.plane.Client.CoreV1().ConfigMaps(cluster.Namespace).Get(ctx, name+"-resource-template", metav1.GetOptions{})
		if err != nil || have.Annotations["projectsveltos.io/template"] != "true" || (len(have.Data) == 0) != (name == "aws-identity" || name == "rack-config") {
			t.Errorf("the template of %s: %v, %v", name, have, err)
		}
	}
	s.secretHolds(ctx, t, "azure-identity-secret", "clientSecret", "one-secret")
	s.secretHolds(ctx, t, "stack-config", "clouds.yaml", "password: one-secret")

	// A new password is a new secret; the objects stay as they are.
	changed := logins[0].(cluster.AWS)
	changed.SecretAccessKey = config.Hidden("two-secret")
	if status, _, err := s.EnsureCredential(ctx, changed); err != nil || status != cluster.Updated {
		t.Errorf("with a new key: %q, %v, want it updated", status, err)
	}
	s.secretHolds(ctx, t, "aws-identity-secret", "SecretAccessKey", "two-secret")
	renewed := logins[1].(cluster.Azure)
	renewed.TenantID = "other"
	if status, _, err := s.EnsureCredential(ctx, renewed); err != nil || status != cluster.Updated {
		t.Errorf("with another tenant: %q, %v, want it updated", status, err)
	}
	if got := s.get(ctx, t, azure, cluster.Namespace, "azure-identity"); !strings.Contains(got, `"tenantID":"other"`) {
		t.Errorf("identity = %s, want the other tenant", got)
	}
}

// ensure makes all logins.
func (s *site) ensure(ctx context.Context, t *testing.T, want cluster.Status) {
	t.Helper()
	for _, login := range logins {
		if status, note, err := s.EnsureCredential(ctx, login); err != nil || status != want || note != "" {
			t.Errorf("%v: %q, %q, %v, want it %s", login, status, note, err, want)
		}
	}
}

// kind adds a kind of a Cluster API provider, and waits until it is served.
func (s *site) kind(ctx context.Context, t *testing.T, version, kind, plural, scope string) schema.GroupVersionResource {
	t.Helper()
	return s.kindOf(ctx, t, "infrastructure.cluster.x-k8s.io", version, kind, plural, scope)
}

// kindOf adds a kind of any group, and waits until it is served.
func (s *site) kindOf(ctx context.Context, t *testing.T, group, version, kind, plural, scope string) schema.GroupVersionResource {
	t.Helper()
	u := crd(group, version, kind, plural, scope)
	if _, err := s.objects.Resource(crds).Create(ctx, u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.objects.Resource(crds).Delete(context.Background(), u.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	r := schema.GroupVersionResource{Group: group, Version: version, Resource: plural}
	waitFor(ctx, t, kind+" to be served", func() bool {
		_, err := s.objects.Resource(r).List(ctx, metav1.ListOptions{})
		return err == nil
	})
	return r
}

// get returns an object as JSON.
func (s *site) get(ctx context.Context, t *testing.T, r schema.GroupVersionResource, namespace, name string) string {
	t.Helper()
	u, err := s.objects.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *site) secretHolds(ctx context.Context, t *testing.T, name, key, want string) {
	t.Helper()
	secret, err := s.plane.Client.CoreV1().Secrets(cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || !strings.Contains(string(secret.Data[key]), want) {
		t.Errorf("secret %s: %s = %q, %v, want %q in it", name, key, secret.Data[key], err, want)
	}
}

// TestNoSecretIsPrinted prints every login in every way that Go has.
func TestNoSecretIsPrinted(t *testing.T) {
	pull, err := cluster.PullSecret("pull", "10.0.0.5:5000", "alice", "one-secret")
	if err != nil {
		t.Fatal(err)
	}
	all := []any{cluster.CredsSecret("creds", "alice", "one-secret"), pull}
	for _, login := range logins {
		all = append(all, login, &login, []any{login})
	}
	for _, v := range all {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "one-secret") || strings.Contains(text, "[111 110 101") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}
