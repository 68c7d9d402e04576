package cluster

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// spec returns the spec of an object as JSON.
func (f *fake) spec(u *unstructured.Unstructured) string {
	f.t.Helper()
	client, err := f.client(u)
	if err != nil {
		f.t.Fatal(err)
	}
	have, err := client.Get(f.t.Context(), u.GetName(), metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	if have.GetLabels()["k0rdent.mirantis.com/component"] != "kcm" {
		f.t.Errorf("%s: labels %v, want the one that kcm asks for", objectName(have), have.GetLabels())
	}
	return text(have.Object["spec"])
}

// TestEnsureCredential makes what kcm reads for a cloud: a Secret, the provider's
// identity, and the Credential that refers to either.
func TestEnsureCredential(t *testing.T) {
	aws := AWS{Name: "aws", Region: "eu-1", AccessKeyID: "id", SecretAccessKey: "key"}
	stack := OpenStack{Name: "os", AuthURL: "https://os/v3", Region: "r", Username: "u", Password: "p", ProjectName: "o", DomainName: "d"}
	app := OpenStack{Name: "app", AuthURL: "https://os/v3", ApplicationCredentialID: "i", ApplicationCredentialSecret: "s"}
	tests := []struct {
		cred           Credential
		secret, key    string
		data           string // part of what the key has
		identity, spec string
	}{
		{aws, "aws-secret", "SecretAccessKey", "key",
			`{"allowedNamespaces":{},"secretRef":"aws-secret"}`,
			`{"description":"AWS, region eu-1","identityRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta2","kind":"AWSClusterStaticIdentity","name":"aws-identity"}}`},
		{stack, "os-config", "clouds.yaml", "user_domain_name: d", "",
			`{"description":"OpenStack, region r","identityRef":{"apiVersion":"v1","kind":"Secret","name":"os-config","namespace":"kcm-system"}}`},
		{app, "app-config", "clouds.yaml", "auth_type: v3applicationcredential", "",
			`{"description":"OpenStack","identityRef":{"apiVersion":"v1","kind":"Secret","name":"app-config","namespace":"kcm-system"}}`},
	}
	for _, tt := range tests {
		f := newFake(t)
		for _, want := range []Status{Created, Unchanged} {
			if got, note, err := f.EnsureCredential(t.Context(), tt.cred); got != want || note != "" || err != nil {
				t.Errorf("%v: %q, %q, %v, want %q", tt.cred, got, note, err, want)
			}
		}
		s, err := f.api.CoreV1().Secrets(Namespace).Get(t.Context(), tt.secret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(s.Data[tt.key]), tt.data) || s.Labels["k0rdent.mirantis.com/component"] != "kcm" {
			t.Errorf("%v: secret %s with labels %v has no %q in %s", tt.cred, tt.secret, s.Labels, tt.data, tt.key)
		}
		if tt.identity != "" {
			if got := f.spec(object("infrastructure.cluster.x-k8s.io/v1beta2", "AWSClusterStaticIdentity", "", tt.cred.name()+"-identity")); got != tt.identity {
				t.Errorf("%v: identity %s, want %s", tt.cred, got, tt.identity)
			}
		}
		credential := object("k0rdent.mirantis.com/v1beta1", "Credential", Namespace, tt.cred.name())
		if got := f.spec(credential); got != tt.spec {
			t.Errorf("%v: spec %s, want %s", tt.cred, got, tt.spec)
		}
	}
}

// TestEnsureCredentialAgain: what differs is put right, what others have added
// stays.
func TestEnsureCredentialAgain(t *testing.T) {
	f := newFake(t, anObject(t, `
apiVersion: k0rdent.mirantis.com/v1beta1
kind: Credential
metadata: {name: aws, namespace: kcm-system}
spec: {description: of a person, region: eu, identityRef: {name: other}}
`))
	cred := AWS{Name: "aws", AccessKeyID: "id"}
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Created && got != Updated || err != nil {
		t.Fatalf("%q, %v, want what was missing to be made", got, err)
	}
	const want = `{"description":"AWS","identityRef":{"apiVersion":"infrastructure.cluster.x-k8s.io/v1beta2","kind":"AWSClusterStaticIdentity","name":"aws-identity"},"region":"eu"}`
	if got := f.spec(object("k0rdent.mirantis.com/v1beta1", "Credential", Namespace, "aws")); got != want {
		t.Errorf("spec %s, want %s", got, want)
	}
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Unchanged || err != nil {
		t.Errorf("again: %q, %v, want %q", got, err, Unchanged)
	}
	cred.SecretAccessKey = "another"
	if got, _, err := f.EnsureCredential(t.Context(), cred); got != Updated || err != nil {
		t.Errorf("another key: %q, %v, want %q", got, err, Updated)
	}
}

// TestEnsureCredentialTooEarly: without the provider's kind there is nothing yet
// that could use a login.
func TestEnsureCredentialTooEarly(t *testing.T) {
	f := newFake(t)
	got, note, err := f.EnsureCredential(t.Context(), Azure{Name: "az", ClientID: "i", ClientSecret: "s"})
	if got != Skipped || err != nil || !strings.Contains(note, "no kind AzureClusterIdentity (infrastructure.cluster.x-k8s.io/v1beta1): its provider is not enabled") {
		t.Errorf("%q, %q, %v, want it skipped for its kind", got, note, err)
	}
	if secrets, err := f.api.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil || len(secrets.Items) > 0 {
		t.Errorf("%d secrets, %v, want none", len(secrets.Items), err)
	}
}
